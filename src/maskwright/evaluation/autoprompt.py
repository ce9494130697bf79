"""AutoPrompt: what a masked language model knows of a task, asked by a prompt that gradients find (arXiv 2010.15980).

Shapes: V vocabulary, E width of the embeddings, T trigger tokens, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskwright.data.order import SampleOrder
from maskwright.errors import RecipeError
from maskwright.evaluation.cloze import ClozeEncoder, ClozeTemplate
from maskwright.evaluation.intervals import proportion
from maskwright.evaluation.prompted import Prompted, projection
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.source import Splits
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.supervised import Labelled, labelled
from maskwright.evaluation.tasks import Example, Task, make
from maskwright.evaluation.tools import Tools
from maskwright.evaluation.verbalizer import given, searched
from maskwright.masking.noise import stream_id, uniform
from maskwright.tokenids import is_token_V, table_rows

SCORES = ("accuracy", "likelihood")


@dataclass(frozen=True)
class Kept:
    """A trigger that was better on dev than all before it. iteration: 0 for the prompt of masks alone."""

    iteration: int
    score: float
    trigger_T: Tensor


class AutoPrompt(Suite):
    """Accuracy of a frozen network that fills one mask, with trigger tokens found by a discrete search.

    template: see `ClozeTemplate`. labels: class -> words of one token (None: `label_words` of each by label search, see
    `verbalizer.searched`). Triggers begin as masks. An iteration takes one of them at random, ranks all tokens by how
    far they would change the loss to first order, and tries the best `candidates` on fresh training rows; the best one
    comes in where it beats the current trigger. Special tokens and label words are no candidates, nor, unless
    `capitals`, are tokens that begin with a capital. What is kept is best on dev; test is looked at once.
    score: what triggers are compared by, on the training rows and on dev: accuracy (the authors' code) or likelihood
    (their equation 1). rows: training rows of a gradient, and as many to try candidates on.
    """

    name = "autoprompt"

    def __init__(
        self,
        data: Splits,
        text: str | Sequence[str] | None = None,
        label: str | None = None,
        template: str = "{text} {trigger} {trigger} {trigger} {mask}.",
        labels: Mapping[str, Sequence[str]] | None = None,
        label_words: int = 3,
        score: str = "accuracy",
        candidates: int = 100,
        rows: int = 720,
        iterations: int = 180,
        capitals: bool = False,
        seed: int = 0,
        length: int | None = None,
        dev_share: float = 0.1,
        most: int | None = None,
    ) -> None:
        self.template = ClozeTemplate(template, len(make("classification", text, label, None).text))
        if not self.template.triggers:
            raise RecipeError(f"evaluation.template is {template!r} and has no {{trigger}} to be found; add some.")
        if score not in SCORES:
            raise RecipeError(f"evaluation.score is {score!r}; choose {' or '.join(SCORES)}.")
        for key, number in (("label_words", label_words), ("candidates", candidates), ("rows", rows),
                            ("iterations", iterations), ("length", length), ("most", most)):  # fmt: skip
            if number is not None and number < 1:
                raise RecipeError(f"evaluation.{key} is {number}; give a whole number from 1 up.")
        if not 0 < dev_share < 1:
            raise RecipeError(f"evaluation.dev_share is {dev_share}; it lies between 0 and 1.")
        for name, words in (labels or {}).items():
            if isinstance(words, str) or not words:
                raise RecipeError(f"evaluation.labels.{name} is {words!r}; give a list of words, such as [great].")
        self.labels = None if labels is None else {str(name): list(words) for name, words in labels.items()}
        self.data, self.text, self.label, self.label_words = data, text, label, label_words
        self.score, self.candidates, self.rows, self.iterations = score, candidates, rows, iterations
        self.capitals, self.seed, self.length, self.dev_share, self.most = capitals, seed, length, dev_share, most

    def check(self, subject: Subject) -> None:
        subject.require_masked(self.name)
        if self.labels is None and projection(subject.network) is None:
            raise RecipeError(
                f"{subject.name} has no output embeddings that label search knows; give words in evaluation.labels."
            )
        self.data.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        task = make("classification", self.text, self.label, None)
        data = labelled(task, self.data, subject, self.length, self.dev_share, self.most)
        encoder = ClozeEncoder(self.template, subject.tokenizer, min(subject.length, self.length or subject.length),
                               subject.mask)  # fmt: skip
        prompts = {part: _prompts(task, data, part, encoder) for part in data.rows}
        prompted = Prompted(subject, task, tools)
        special = _special(subject)
        words = self._words(prompted, prompts["train"], task, encoder, subject.tokenizer, special)
        prompted.words = [torch.tensor(tokens, device=tools.device) for tokens in words]
        allowed_V = _allowed(subject, special.union(*words), self.capitals).to(tools.device)
        start_T = torch.full((self.template.triggers,), subject.mask, device=tools.device)
        with tools.progress("autoprompt", self.iterations) as advance:
            course = self.search(prompted, prompts["train"], prompts["dev"], start_T, allowed_V, advance)
        found = prompted.judge(prompts[data.reported], torch.stack([course[-1].trigger_T, start_T]))
        return self._result(task, data, subject, encoder, words, course, found)

    def _words(
        self, prompted: Prompted, train: Sequence[Example], task: Task, encoder: ClozeEncoder, tokenizer: Any,
        special: set[int],
    ) -> list[list[int]]:  # fmt: skip
        """The tokens of each class."""
        classes = task.classes  # type: ignore[attr-defined]
        if self.labels is not None:
            return given(self.labels, classes, encoder.backend, self.template.space, tokenizer.unk_token_id)
        output_VE = projection(prompted.network).weight.detach().float()
        allowed_V = torch.ones(len(output_VE), dtype=torch.bool)
        allowed_V[sorted(special)] = False
        allowed_V &= torch.from_numpy(is_token_V(tokenizer, len(allowed_V)))
        return searched(*prompted.states(train), output_VE.cpu().numpy(), allowed_V.numpy(), self.label_words)

    def search(
        self, prompted: Prompted, train: Sequence[Example], dev: Sequence[Example], start_T: Tensor,
        allowed_V: Tensor, advance: Callable[[int], None] = lambda done: None,
    ) -> list[Kept]:  # fmt: skip
        """The triggers that were kept, one after the other; each is better on dev than the one before."""

        def on_dev(trigger_T: Tensor) -> float:
            return float(prompted.judge(dev, trigger_T[None])[self.score][0])

        table_VE, current_T = prompted.table(), start_T
        course = [Kept(0, on_dev(start_T), start_T)]
        fresh = iter(SampleOrder(len(train), min(self.rows, len(train)), 2 * self.iterations, self.seed))
        u_I = uniform((self.seed, stream_id("autoprompt.trigger")), self.iterations)[0]
        for iteration, place in enumerate((u_I * len(start_T)).long().tolist(), 1):
            gradient_TE = prompted.gradient([train[number] for number in next(fresh).sample], current_T)
            token_K = best_tokens(table_VE, gradient_TE[place], allowed_V, self.candidates)
            triggers_KT = current_T.repeat(1 + len(token_K), 1)  # the current one first
            triggers_KT[1:, place] = token_K
            score_K = prompted.judge([train[number] for number in next(fresh).sample], triggers_KT)[self.score]
            best = int(score_K.argmax())
            if score_K[best] > score_K[0]:
                current_T = triggers_KT[best]
                score = on_dev(current_T)
                if score > course[-1].score:
                    course.append(Kept(iteration, score, current_T))
            advance(1)
        return course

    def _result(
        self, task: Task, data: Labelled, subject: Subject, encoder: ClozeEncoder, words: Sequence[Sequence[int]],
        course: Sequence[Kept], found: Mapping[str, Any],
    ) -> Result:  # fmt: skip
        def tokens(trigger_T: Tensor) -> list[str]:
            return subject.tokenizer.convert_ids_to_tokens(trigger_T.tolist())

        reported, kept = data.reported, course[-1]
        count = len(data.rows[reported])
        own, initial = (proportion(share * count, count) for share in found["accuracy"])
        majority = task.baseline(data.rows["train"], data.examples[reported])["accuracy"]
        figures: dict[str, Any] = own.figures(f"{reported}/accuracy")
        figures[f"{reported}/likelihood"] = found["likelihood"][0]
        if reported != "dev":
            figures[f"dev/{self.score}"] = kept.score
        figures |= initial.figures("initial/accuracy") | {"initial/likelihood": found["likelihood"][1]}
        figures["baseline/accuracy"] = majority
        notes = ["dev, by which the trigger was chosen, is reported: no test set was named"] * (reported == "dev")
        notes += ["dev is a share of the training rows"] * data.made_dev
        facts = {
            "trigger": tokens(kept.trigger_T),
            "prompt": self.template.shown(tokens(kept.trigger_T)),
            "label_words": {name: subject.tokenizer.convert_ids_to_tokens(list(ids))
                            for name, ids in zip(task.classes, words)},  # type: ignore[attr-defined]
            "found_labels": self.labels is None,
            "sizes": {part: len(rows) for part, rows in data.rows.items()},
            "truncated": encoder.truncated,
            "notes": notes,
        }  # fmt: skip
        compared = [
            [facts["prompt"], *own, found["likelihood"][0]],
            [self.template.shown(tokens(course[0].trigger_T)), *initial, found["likelihood"][1]],
            ["the majority class", majority, None, None, None],
        ]
        tried = [[one.iteration, one.score, " ".join(tokens(one.trigger_T))] for one in course]
        label_rows = [[name, " ".join(tokens)] for name, tokens in facts["label_words"].items()]  # type: ignore[attr-defined]
        return Result(
            figures,
            [Table(f"{reported}, {count:,} rows", ("prompt", "accuracy", "low", "high", "likelihood"), compared),
             Table("label words", ("class", "tokens"), label_rows),
             Table("kept on dev", ("iteration", f"dev {self.score}", "trigger"), tried)],
            facts,
        )  # fmt: skip


def best_tokens(table_VE: Tensor, gradient_E: Tensor, allowed_V: Tensor, most: int) -> Tensor:
    """The allowed tokens that lower the loss most to first order: int64 [K], the best first.

    A token w in place of v changes the loss by about (e_w - e_v) . gradient; v is the same for all.
    """
    change_V = (table_VE.float() @ gradient_E.float()).masked_fill(~allowed_V, torch.inf)
    return change_V.topk(min(most, int(allowed_V.sum())), largest=False).indices


def _prompts(task: Task, data: Labelled, part: str, encoder: ClozeEncoder) -> list[Example]:
    prompts = encoder([[row[column] for column in task.text] for row in data.rows[part]])
    return [
        Example(prompt.ids_L, example.target, {"trigger_T": prompt.trigger_T, "slot": prompt.slot})
        for prompt, example in zip(prompts, data.examples[part], strict=True)
    ]


def _special(subject: Subject) -> set[int]:
    added = subject.tokenizer.added_tokens_decoder.items()
    return {*subject.tokenizer.all_special_ids, *(number for number, token in added if token.special)}


def _allowed(subject: Subject, banned: set[int], capitals: bool) -> Tensor:
    """Which tokens may be triggers: bool [V]. Raises RecipeError when none may."""
    size = min(table_rows(subject.tokenizer), subject.network.config.vocab_size)
    there_V = is_token_V(subject.tokenizer, size)
    texts = subject.tokenizer.backend_tokenizer.decode_batch([[n] for n in range(size)], skip_special_tokens=False)
    open_to = [
        there_V[n] and n not in banned and (capitals or not text.strip()[:1].isupper()) for n, text in enumerate(texts)
    ]
    allowed_V = torch.zeros(subject.network.hf.get_input_embeddings().num_embeddings, dtype=torch.bool)
    allowed_V[:size] = torch.tensor(open_to)
    if not allowed_V.any():
        raise RecipeError(
            "every token is special, a label word or has a capital, so none can be a trigger; set "
            "evaluation.capitals=true or name another model."
        )
    return allowed_V
