"""Minimal pairs: is the good sentence of a pair more likely than the bad one? (BLiMP, arXiv 1912.00582)"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np

from maskwright.errors import RecipeError
from maskwright.evaluation.calibration import calibration
from maskwright.evaluation.choices import REDUCTIONS, Answers, Question, answer
from maskwright.evaluation.intervals import guessing, over_groups, proportion
from maskwright.evaluation.plans import check_plan
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.source import Row, Source, text_of
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.texts import Request
from maskwright.evaluation.tools import Tools


class MinimalPairs(Suite):
    """Accuracy over pairs, by paradigm and phenomenon.

    The headline is the unweighted mean over paradigms (the published convention), its interval taken over paradigms: a
    new paradigm, not a new pair of a known one, is what it should hold for. A phenomenon with a single paradigm has
    Wilson's interval over its pairs. good, bad, paradigm, phenomenon: columns; rename: phenomena under another name.
    """

    name = "minimal_pairs"

    def __init__(
        self,
        source: Source,
        plan: str = "word_l2r",
        words: str = "characters",
        reduction: str = "sum",
        good: str = "sentence_good",
        bad: str = "sentence_bad",
        paradigm: str | None = "UID",
        phenomenon: str | None = "linguistics_term",
        rename: Mapping[str, str] | None = None,
        most: int | None = None,
    ) -> None:
        check_plan(plan)
        if reduction not in REDUCTIONS:
            raise RecipeError(f"evaluation.reduction is {reduction!r}; choose sum or mean.")
        if most is not None and most < 1:
            raise RecipeError(f"evaluation.most is {most}; give a number of pairs per paradigm from 1 up, or null.")
        self.source, self.plan, self.words, self.reduction, self.most = source, plan, words, reduction, most
        self.good, self.bad, self.paradigm, self.phenomenon = good, bad, paradigm, phenomenon
        self.rename = dict(rename or {})

    def check(self, subject: Subject) -> None:
        subject.require_language_model()
        self.source.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        scorer = Scorer(subject, tools, self.plan, self.words)
        questions = self.questions()
        scores = scorer((option for question in questions for option in question.options), "minimal pairs")
        return self._result(answer(questions, scores, self.reduction))

    def questions(self) -> list[Question]:
        """One question per pair."""
        wanted = (self.good, self.bad, *filter(None, (self.paradigm, self.phenomenon)))
        seen: dict[str, int] = {}
        questions = []
        for number, row in enumerate(self.source.rows(*wanted)):
            paradigm = str(row[self.paradigm]) if self.paradigm else "all"
            seen[paradigm] = seen.get(paradigm, 0) + 1
            if self.most is not None and seen[paradigm] > self.most:
                continue
            options = [
                Request((number, column), text_of(row, column, "evaluation.good or bad"))
                for column in (self.good, self.bad)
            ]
            questions.append(Question(number, options, 0, paradigm, {"phenomenon": self._phenomenon(row)}))
        return questions

    def _phenomenon(self, row: Row) -> str:
        name = str(row[self.phenomenon]) if self.phenomenon else "all"
        return self.rename.get(name, name)

    def _result(self, answers: Answers) -> Result:
        if not answers.questions:
            raise RecipeError(
                f"evaluation.source: no pair could be scored ({answers.skipped}); give shorter sentences."
            )
        credit_Q = answers.credit[self.reduction]
        paradigm_Q = np.array([question.group for question in answers.questions])
        other = next(name for name in REDUCTIONS if name != self.reduction)
        paradigms = []
        for paradigm in sorted(set(paradigm_Q)):
            at = np.flatnonzero(paradigm_Q == paradigm)
            phenomenon = str(answers.questions[at[0]].facts["phenomenon"])
            by_other = answers.credit[other][at].mean()
            paradigms.append((phenomenon, paradigm, len(at), proportion(credit_Q[at].sum(), len(at)), by_other))
        paradigms.sort()
        share_G = [interval.value for *_, interval, _ in paradigms]
        overall = over_groups(share_G, credit_Q.sum(), len(credit_Q))
        figures: dict[str, Any] = overall.figures("accuracy")
        if answers.counts_differ:
            figures[f"accuracy_by_{other}"] = float(np.mean([by_other for *_, by_other in paradigms]))
        figures |= guessing(answers.chance).figures("chance")
        figures["tied"] = float(answers.tied.mean())
        figures |= calibration(answers.confidence, credit_Q)
        rows: list[list[Any]] = []
        for phenomenon, group in groupby(paradigms, key=lambda line: line[0]):
            members = list(group)
            right = sum(interval.value * pairs for _, _, pairs, interval, _ in members)
            pairs = sum(line[2] for line in members)
            found = over_groups([line[3].value for line in members], right, pairs)
            figures |= found.figures(f"by/phenomenon/{phenomenon}")
            rows.append([phenomenon, len(members), pairs, found.value, found.low, found.high])
        rows.append(["all", len(paradigms), len(credit_Q), overall.value, overall.low, overall.high])
        figures |= {f"by/paradigm/{paradigm}": interval.value for _, paradigm, _, interval, _ in paradigms}
        columns = ("phenomenon", "paradigms", "pairs", "accuracy", "low", "high")
        return Result(
            figures,
            [Table("accuracy by phenomenon, 95 % intervals over paradigms", columns, rows)],
            {"pairs": len(credit_Q), "skipped": answers.skipped, "plan": self.plan, "reduction": self.reduction},
        )
