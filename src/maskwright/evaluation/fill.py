"""Fill: does the model write the right words into the blanks of a text?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import clustered
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.scorer import Score, Scorer
from maskwright.evaluation.source import Row, Source, text_of
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.texts import Request, Span, spans
from maskwright.evaluation.tools import Tools

_EXAMPLES = 12


class Fill(Suite):
    """Accuracy and mean reciprocal rank over the blanks of a cloze file.

    text, target: columns; a text has one or more `blank` marks and as many targets (a list, or a text with `separator`
    between them). All blanks of a text are hidden at once, each piece of a target behind a mask of its own, so the
    number of pieces is known to the model. A blank is right when every piece is the most likely token (n tokens as
    likely as it: 1/n); its reciprocal rank, among all tokens, is the mean over its pieces. A causal model sees what
    stands before a piece, the target's own earlier pieces included, and nothing after it.
    """

    name = "fill"

    def __init__(
        self,
        source: Source,
        text: str = "text",
        target: str = "target",
        blank: str = "[MASK]",
        separator: str = "|",
    ) -> None:
        if not blank or not separator:
            raise RecipeError("evaluation.blank and evaluation.separator cannot be empty; give the marks of the file.")
        self.source, self.text, self.target, self.blank, self.separator = source, text, target, blank, separator

    def check(self, subject: Subject) -> None:
        subject.require_language_model()
        self.source.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        scorer = Scorer(subject, tools, "joint", ranks=True)
        requests = self.requests()
        scores = scorer(requests, "fill")
        if not scores:
            raise RecipeError(f"evaluation.source: no text could be scored; the model takes {subject.length} tokens.")
        rows: list[tuple[Request, Span, np.ndarray]] = []
        for request in requests:
            if request.id in scores:
                places = spans(request.span)
                rows += [(request, *pair) for pair in zip(places, by_span(scores[request.id], places))]
        kept = [(request, span, part) for request, span, part in rows if len(part)]
        right_N = np.array([_right(scores[request.id], part) for request, _, part in kept])
        rank_N = np.array([_reciprocal(scores[request.id], part) for request, _, part in kept])
        nats_N = np.array([-scores[request.id].logp_T[part].sum() for request, _, part in kept])
        text_N = [request.id for request, _, _ in kept]
        all_right = [right_N[[n for n, key in enumerate(text_N) if key == i]].prod() for i in dict.fromkeys(text_N)]
        accuracy = clustered(right_N, text_N)
        figures: dict[str, Any] = accuracy.figures("accuracy") | clustered(rank_N, text_N).figures("mrr")
        figures |= clustered(nats_N, text_N, bounds=(0.0, math.inf)).figures("nats_per_blank")
        figures["text_accuracy"] = float(np.mean(all_right))
        examples = []
        for request, span, part in kept[:_EXAMPLES]:
            guess = subject.tokenizer.decode(scores[request.id].best_T[part])  # type: ignore[index]
            shown = request.text[: span[0]] + self.blank + request.text[span[1] :]
            examples.append([shown, request.text[slice(*span)], guess])
        table = [["accuracy", *accuracy], ["reciprocal rank", *clustered(rank_N, text_N)]]
        skipped: dict[str, int] = {}
        for reason in [
            *scores.skipped.values(),
            *("blank without a token of its own" for *_, part in rows if not len(part)),
        ]:
            skipped[reason] = skipped.get(reason, 0) + 1
        reads = "the left side only" if scorer.head.left_to_right else "both sides"
        return Result(
            figures,
            [Table(f"{len(kept):,} blanks, reading {reads}", ("", "mean", "low", "high"), table),
             Table("examples", ("text", "target", "guess"), examples)],
            {"blanks": len(kept), "texts": len(scores), "several_pieces": sum(len(part) > 1 for *_, part in kept),
             "skipped": skipped, "reads": reads},
        )  # fmt: skip

    def requests(self) -> list[Request]:
        """Texts with their targets filled in, and where those stand."""
        return [self._request(number, row) for number, row in enumerate(self.source.rows(self.text, self.target))]

    def _request(self, number: int, row: Row) -> Request:
        parts = text_of(row, self.text, "evaluation.text").split(self.blank)
        value = row[self.target]
        targets = value.split(self.separator) if isinstance(value, str) else [str(one) for one in value]
        if len(parts) - 1 != len(targets) or not targets:
            raise RecipeError(
                f"{self.source}: row {number + 1} has {len(parts) - 1} blanks ({self.blank}) and {len(targets)} "
                "targets; mend it, or set evaluation.blank and evaluation.separator."
            )
        text, places = parts[0], []
        for target, after in zip(targets, parts[1:], strict=True):
            places.append((len(text), len(text) + len(target)))
            text += target + after
        return Request(number, text, tuple(places))


def by_span(score: Score, parts: list[Span]) -> list[np.ndarray]:
    """For each part the places, among the scored tokens, of those that share a character with it."""
    return [np.flatnonzero((score.start_T < last) & (score.end_T > first)) for first, last in parts]


def _right(score: Score, part: np.ndarray) -> float:
    assert score.better_T is not None and score.tied_T is not None
    return float(((score.better_T[part] == 0) / score.tied_T[part]).prod())


def _reciprocal(score: Score, part: np.ndarray) -> float:
    """Tokens that are equally likely share their mean rank."""
    assert score.better_T is not None and score.tied_T is not None
    return float((1 / (score.better_T[part] + (score.tied_T[part] + 1) / 2)).mean())
