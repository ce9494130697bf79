"""Relations: which of a relation's objects completes the statement best? (BEAR, arXiv 2404.04113)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.data import reading
from maskwright.errors import RecipeError
from maskwright.evaluation.calibration import calibration
from maskwright.evaluation.choices import REDUCTIONS, Answers, Question, answer
from maskwright.evaluation.intervals import clustered, guessing
from maskwright.evaluation.plans import check_plan
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.texts import Request, Span
from maskwright.evaluation.tools import Tools
from maskwright.masking.noise import mixed_seed, stream_id

SUBJECT, OBJECT = "[X]", "[Y]"
METADATA = "metadata_relations.json"


class Relations(Suite):
    """Accuracy over statements, each with every object of its relation as an option.

    folder: BEAR's layout: `metadata_relations.json` (relation -> templates, answer_space_labels) beside one
    `<relation>.jsonl` each (sub_label, obj_label, answer_idx); where the answers are not listed they are the objects
    that occur. domains: a json file, relation -> {"domains": [...]}. templates: how many of each (None: all).
    scored: statement | answer (the answer's tokens alone). most: items per relation, drawn with a fixed seed.
    The headline pools statements over templates and relations; its interval takes relations as clusters.
    """

    name = "relations"

    def __init__(
        self,
        folder: str | None,
        domains: str | None = None,
        relations: Sequence[str] | None = None,
        templates: int | None = None,
        plan: str = "word_l2r",
        words: str = "characters",
        reduction: str = "sum",
        scored: str = "statement",
        capitalize: bool = True,
        most: int | None = None,
    ) -> None:
        check_plan(plan)
        if not folder:
            raise RecipeError(f"evaluation.folder is not set; name the folder that holds {METADATA}.")
        for key, value, known in (("reduction", reduction, REDUCTIONS), ("scored", scored, ("statement", "answer"))):
            if value not in known:
                raise RecipeError(f"evaluation.{key} is {value!r}; choose {' or '.join(known)}.")
        for key, number in (("templates", templates), ("most", most)):
            if number is not None and number < 1:
                raise RecipeError(f"evaluation.{key} is {number}; give a number from 1 up, or null for all.")
        self.folder, self.domains = Path(folder).expanduser(), domains
        self.relations = list(relations) if relations is not None else None
        self.templates, self.plan, self.words, self.reduction = templates, plan, words, reduction
        self.scored, self.capitalize, self.most = scored, capitalize, most

    def check(self, subject: Subject) -> None:
        subject.require_language_model()
        self._metadata()

    def run(self, subject: Subject, tools: Tools) -> Result:
        scorer = Scorer(subject, tools, self.plan, self.words)
        metadata, domains = self._metadata(), self._domains()
        parts = []
        for number, relation in enumerate(metadata):  # one at a time: a full set has most of a million statements
            questions = self.questions(relation, metadata[relation])
            label = f"{relation} ({number + 1} of {len(metadata)})"
            scores = scorer((option for question in questions for option in question.options), label)
            parts.append(answer(questions, scores, self.reduction))
        return self._result(parts, domains)

    def questions(self, relation: str, about: dict[str, Any]) -> list[Question]:
        """Every item of a relation under every template."""
        items = self._items(relation)
        listed = about.get("answer_space_labels")
        answers = listed if listed is not None else list(dict.fromkeys(str(item["obj_label"]) for item in items))
        if self.most is not None and self.most < len(items):
            chosen = np.random.default_rng(mixed_seed(0, stream_id(relation))).permutation(len(items))[: self.most]
            items = [items[number] for number in sorted(chosen)]
        questions = []
        for template_number, template in enumerate(about["templates"][: self.templates]):
            for number, item in enumerate(items):
                known = item.get("answer_idx") if listed is not None else None
                label = str(item["obj_label"])
                right = int(known) if known is not None else answers.index(label) if label in answers else len(answers)
                if not 0 <= right < len(answers):
                    raise RecipeError(
                        f"The answer {label!r} of {relation} is none of its {len(answers)}; mend {METADATA}."
                    )
                key = (relation, template_number, number)
                options = []
                for place, choice in enumerate(answers):
                    text, spans = filled(template, str(item["sub_label"]), choice, self.capitalize)
                    options.append(Request((*key, place), text, spans if self.scored == "answer" else None, spans))
                questions.append(Question(key, options, right, relation, {"template": template_number}))
        return questions

    def _metadata(self) -> dict[str, Any]:
        path = self.folder / METADATA
        if not path.is_file():
            raise RecipeError(f"evaluation.folder={self.folder} holds no {METADATA}; name the folder that does.")
        metadata = _json(path)
        if self.relations is None:
            return metadata
        missing = [relation for relation in self.relations if relation not in metadata]
        if missing:
            raise RecipeError(f"evaluation.relations names {missing[0]}, which {path} does not have; leave it out.")
        return {relation: metadata[relation] for relation in self.relations}

    def _items(self, relation: str) -> list[dict[str, Any]]:
        path = self.folder / f"{relation}.jsonl"
        items = [row for _, row in reading.Table(path, "jsonl", reading.How("evaluation.folder"))]
        for number, item in enumerate(items, 1):
            missing = next((column for column in ("sub_label", "obj_label") if column not in item), None)
            if missing is not None:
                raise RecipeError(f"row {number} of {path} has no {missing}; mend it, or name the relations to use.")
        return items

    def _domains(self) -> dict[str, list[str]]:
        if self.domains is None:
            return {}
        path = Path(self.domains).expanduser()
        if not path.is_file():
            raise RecipeError(f"evaluation.domains={path} does not exist; name relation_info.json, or null.")
        return {relation: list(about["domains"]) for relation, about in _json(path).items()}

    def _result(self, parts: list[Answers], domains: dict[str, list[str]]) -> Result:
        questions = [question for part in parts for question in part.questions]
        if not questions:
            raise RecipeError("evaluation.folder: no statement could be scored; the texts are too long for the model.")
        credit_Q = np.concatenate([part.credit[self.reduction] for part in parts])
        rank_Q = np.concatenate([part.rank for part in parts])
        relation_Q = np.array([question.group for question in questions])
        overall = clustered(credit_Q, relation_Q)
        figures: dict[str, Any] = overall.figures("accuracy")
        if any(part.counts_differ for part in parts):
            other = next(name for name in REDUCTIONS if name != self.reduction)
            figures[f"accuracy_by_{other}"] = float(np.concatenate([part.credit[other] for part in parts]).mean())
        figures |= guessing(np.concatenate([part.chance for part in parts])).figures("chance")
        figures["mrr"] = float((1 / rank_Q).mean())
        figures |= {f"precision@{k}": float((rank_Q <= k).mean()) for k in (5, 10)}
        figures["tied"] = float(np.concatenate([part.tied for part in parts]).mean())
        figures |= calibration(np.concatenate([part.confidence for part in parts]), credit_Q)
        table = [["all", len(questions), overall.value, overall.low, overall.high]]
        for domain in sorted({name for names in domains.values() for name in names}):
            # a relation in d domains counts 1/d in each, so that the domains' mean is the overall accuracy
            weight_Q = np.array([(domain in domains.get(r, ())) / max(1, len(domains.get(r, ()))) for r in relation_Q])
            if weight_Q.any():
                figures[f"by/domain/{domain}"] = float((credit_Q * weight_Q).sum() / weight_Q.sum())
        for relation in sorted(set(relation_Q.tolist())):
            at = relation_Q == relation
            found = clustered(credit_Q[at], np.array([q.id[2] for q in questions])[at])  # type: ignore[index]
            figures[f"by/relation/{relation}"] = found.value
            table.append([relation, int(at.sum()), found.value, found.low, found.high])
        skipped: dict[str, int] = {}
        for part in parts:
            for reason, count in part.skipped.items():
                skipped[reason] = skipped.get(reason, 0) + count
        facts = {
            "statements": len(questions),
            "skipped": skipped,
            "plan": self.plan,
            "reduction": self.reduction,
            "scored": self.scored,
        }
        columns = ("relation", "statements", "accuracy", "low", "high")
        return Result(figures, [Table("accuracy, 95 % intervals over relations and over items", columns, table)], facts)


def filled(template: str, subject: str, choice: str, capitalize: bool) -> tuple[str, tuple[Span, ...]]:
    """A template with its places filled in, and the characters where the answer stands."""
    text, spans, rest = "", [], template
    while rest:
        places = [(rest.find(slot), slot) for slot in (SUBJECT, OBJECT) if slot in rest]
        if not places:
            break
        place, slot = min(places)
        text += rest[:place]
        if slot == OBJECT:
            spans.append((len(text), len(text) + len(choice)))
        text += subject if slot == SUBJECT else choice
        rest = rest[place + len(slot) :]
    text += rest
    if not spans:
        raise RecipeError(f"The template {template!r} has no {OBJECT} for the answer; mend it.")
    return (text[:1].upper() + text[1:] if capitalize else text), tuple(spans)


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecipeError(f"{path} is not JSON ({error}); mend it.") from error
