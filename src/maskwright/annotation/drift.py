"""Pivots: words whose use has changed between two times (lexical semantic change, LMLM, arXiv 2210.17127).

Shapes: T tokens of one document, D documents, V words.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from maskwright.annotation.artefact import artefact
from maskwright.annotation.counts import word_counts
from maskwright.annotation.divergence import by_neighbours
from maskwright.annotation.fields import period_of
from maskwright.annotation.neighbours import counts_by_group
from maskwright.annotation.ngrams import is_word
from maskwright.annotation.tablefiles import TableFile
from maskwright.annotation.usages import UsageModel
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Source
from maskwright.errors import RecipeError

_VERSION = 1
_PERIODS = ("before", "after")
_SETTING = "of the pivots"
_LOOKED_AT = 50_000  # most frequent words, of which some may be rare in one of the periods


class Pivots(Annotator):
    """Class 1, `pivot`, for every token of the words whose use differs most between the documents before `split` and
    those from it on.

    Candidates are the `candidates` most frequent words that occur `least_count` times in both periods; the `number`
    with the highest score are pivots. column: of the documents, with a date or year. split: the first year, month or
    day of the later period.

    model: a run, an export, a folder or a hub name: the paper's way. Up to `occurrences` uses of a word in each period
    become vectors (the sum over all layers), are standardised and clustered, and the score is the Jensen-Shannon
    divergence of the two periods' clusters divided by their number (see `usages`). None: ours, without a network. The
    score is the Jensen-Shannon divergence between the words that stand at most `window` places before or behind it in
    the two periods (of the `contexts` most frequent), less that between halves of one period, so that 0 is no change
    (see `divergence`). table: a file with the column word, the most changed first, in place of all this.

    Memory: 32 bytes x (contexts + candidates) x contexts, however large the corpus is; vectors of uses lie on disk.
    """

    name = "pivot"
    names = ("", "pivot")
    dtype = np.uint8
    outside = 0

    def __init__(
        self,
        column: str,
        split: int | str,
        number: int,
        table: str | None,
        model: str | None,
        candidates: int,
        least_count: int,
        occurrences: int,
        window: int,
        contexts: int,
    ) -> None:
        numbers = {"number": number, "candidates": candidates, "least_count": least_count}
        numbers |= {"occurrences": occurrences, "window": window, "contexts": contexts}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} {_SETTING} is {value}; it is a whole number from 1 up.")
        self.column, self.number = column, number
        self._given = None if table is None else TableFile(table, ("word",), f"table {_SETTING}")
        self.reads = () if self._given else (column,)
        self._period = ("year", "month", "day")[min(str(split).strip("-").count("-"), 2)]
        self._split = period_of(split, self._period, "split")
        self._model = None if model is None else UsageModel(model, occurrences)
        # What the other way of scoring reads does not count for this one.
        used = ("occurrences",) if self._model else ("window", "contexts")
        self._learning = {name: numbers[name] for name in ("candidates", "least_count", *used)}

    def settings(self) -> dict[str, Any]:
        if self._given is not None:
            return {"version": _VERSION, "number": self.number, "table": self._given.sha}
        return self._of_artefact | {"number": self.number}

    @cached_property
    def _of_artefact(self) -> dict[str, Any]:
        model = None if self._model is None else self._model.key
        periods = {"column": self.column, "split": self._split}
        return {"version": _VERSION, **periods, **self._learning, "model": model}

    def fit(self, source: Source) -> None:
        if self._given is None:
            table = artefact(source, "drift", self._of_artefact, self._learned).table("words")
        else:
            table = self._given.table
        self.words = frozenset(str(word).lower() for word in table.column("word")[: self.number].to_pylist())

    def mark(self, document: Document) -> np.ndarray:
        words = document.words
        pivot_W = np.fromiter((word.lower() in self.words for word in words), np.uint8, len(words))
        return pivot_W[document.word_T]

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        later_D = np.array([self._is_later(value) for value in source.train.values(self.column)], np.int64)
        for period, name in enumerate(_PERIODS):
            if (later_D == period).sum() < 2:
                raise RecipeError(
                    f"fewer than 2 documents lie {name} split={self._split} by their column {self.column!r}; set "
                    f"another split {_SETTING}."
                )
        frequent = word_counts(source).column("word").to_pylist()
        frequent = [word for word in frequent[:_LOOKED_AT] if is_word(word)]
        counts_2V = counts_by_group(source, frequent, later_D, 2)
        rows = np.flatnonzero((counts_2V >= self._learning["least_count"]).all(0))[: self._learning["candidates"]]
        if not len(rows):
            raise RecipeError(
                f"no word occurs {self._learning['least_count']} times both before and after {self._split}; lower "
                f"least_count {_SETTING}, or set another split."
            )
        words = [frequent[row] for row in rows]
        if self._model is not None:
            clusters, divergence_V, score_V = self._model.drift(source, words, later_D)
        else:
            clusters = pa.nulls(len(words), pa.int64())
            divergence_V, score_V = by_neighbours(source, words, frequent, later_D, **self._of_neighbours)
        columns = {"word": words, "count_before": counts_2V[0, rows], "count_after": counts_2V[1, rows]}
        columns |= {"clusters": clusters, "divergence": divergence_V, "score": score_V}
        table = pa.table(columns).filter(pa.array(np.isfinite(score_V)))
        return {"words": table.sort_by([("score", "descending"), ("word", "ascending")])}

    @property
    def _of_neighbours(self) -> dict[str, int]:
        return {name: self._learning[name] for name in ("window", "contexts")}

    def _is_later(self, value: Any) -> int:
        """1 for a date from the split on, 0 for one before; -1: the document has none."""
        if value is None or str(value).strip() == "":
            return -1
        return int(period_of(value, self._period, self.column) >= self._split)
