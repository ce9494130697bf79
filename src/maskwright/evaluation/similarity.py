"""Similarity: does the cosine of two sentences' vectors order pairs as people do? (STS; WhiteningBERT, 2104.01767)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import Interval, correlation
from maskwright.evaluation.represent import Embedder, check_kinds, cosine, whitening
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.source import Source, text_of
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.tools import Tools


class Similarity(Suite):
    """Spearman's correlation for every pooling, layer set and whitening; the first combination is the headline.

    first, second, score: columns. whiten: false | true, or both. fit_on: eval (the sentences of the pairs themselves,
    transductive) or a source of other pairs to fit the whitening on. dimensions: kept after whitening (None: all).
    """

    name = "similarity"

    def __init__(
        self,
        source: Source,
        first: str = "sentence1",
        second: str = "sentence2",
        score: str = "score",
        pooling: Sequence[str] = ("mean", "cls"),
        layers: Sequence[str | int] = ("last", "first_last"),
        whiten: Sequence[bool] = (False, True),
        fit_on: str | Source = "eval",
        dimensions: int | None = None,
    ) -> None:
        self.kinds = check_kinds(pooling, layers)
        if not whiten or any(not isinstance(value, bool) for value in whiten):
            raise RecipeError(f"evaluation.whiten is {list(whiten)}; give a list of false and true.")
        if isinstance(fit_on, str) and fit_on != "eval":
            raise RecipeError(f"evaluation.fit_on is {fit_on!r}; give eval, or a source with files or path of its own.")
        if dimensions is not None and dimensions < 1:
            raise RecipeError(f"evaluation.dimensions is {dimensions}; give a number from 1 up, or null.")
        self.source, self.first, self.second, self.score = source, first, second, score
        self.whiten, self.fit_on, self.dimensions = list(whiten), fit_on, dimensions

    def check(self, subject: Subject) -> None:
        self.source.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        left, right, gold = self._pairs(self.source)
        embed = Embedder(subject, tools)
        texts = list(dict.fromkeys([*left, *right]))
        place = {text: number for number, text in enumerate(texts)}
        at_left, at_right = np.array([place[text] for text in left]), np.array([place[text] for text in right])
        vectors = embed(texts, self.kinds, "similarity")
        fitted = vectors
        if isinstance(self.fit_on, Source) and True in self.whiten:
            others = self._pairs(self.fit_on)[:2]
            fitted = embed(list(dict.fromkeys([*others[0], *others[1]])), self.kinds, "whitening")
        figures: dict[str, Any] = {}
        rows = []
        for whiten in self.whiten:
            for kind in self.kinds:
                vector = vectors[kind]
                if whiten:
                    # both sides of all pairs, as often as they occur, when fitted on the pairs themselves
                    base = fitted[kind] if self.fit_on != "eval" else vector[np.concatenate([at_left, at_right])]
                    mean, matrix = whitening(base, self.dimensions)
                    vector = (vector - mean) @ matrix
                found = spearman(cosine(vector[at_left], vector[at_right]), gold)
                name = f"{kind[0]}/{kind[1]}" + ("/whitened" if whiten else "")
                if not figures:
                    figures |= found.figures("spearman")
                figures[f"by/{name}"] = found.value
                rows.append([kind[0], str(kind[1]), whiten, *found])
        table = Table(
            f"Spearman over {len(gold):,} pairs", ("pooling", "layers", "whitened", "rho", "low", "high"), rows
        )
        fit_on = str(self.fit_on) if isinstance(self.fit_on, Source) else self.fit_on
        few = True in self.whiten and len(fitted[self.kinds[0]]) <= subject.network.config.hidden_size
        notes = ["whitening was fitted on no more sentences than there are dimensions: it is mostly noise"] * few
        facts = {"pairs": len(gold), "truncated": embed.truncated, "fit_on": fit_on, "notes": notes}
        return Result(figures, [table], facts)

    def _pairs(self, source: Source) -> tuple[list[str], list[str], np.ndarray]:
        rows = source.rows(self.first, self.second, self.score)
        try:
            gold = np.array([float(row[self.score]) for row in rows])
        except (TypeError, ValueError) as error:
            raise RecipeError(
                f"evaluation.score: {source} holds a score that is no number ({error}); mend it."
            ) from error
        left, right = ([text_of(row, column, "evaluation.first or second") for row in rows]
                       for column in (self.first, self.second))  # fmt: skip
        return left, right, gold


def spearman(found: np.ndarray, gold: np.ndarray) -> Interval:
    """Rank correlation with its interval; 0 where either side is constant, which orders nothing."""
    if len(gold) < 2 or np.ptp(found) == 0 or np.ptp(gold) == 0:
        return Interval(0.0, float("nan"), float("nan"))
    return correlation(float(stats.spearmanr(found, gold).statistic), len(gold))
