"""Term weights: how much a word says about its passage, as a score of each token (retrieval-oriented masking, arXiv
2210.15133).

Shapes: T tokens, W words, U distinct words of one document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from maskwright.annotation.artefact import Artefact, artefact
from maskwright.annotation.counts import word_counts
from maskwright.annotation.passes import over_documents
from maskwright.annotation.tablefiles import TableFile
from maskwright.annotation.tally import Tally
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Side, Source
from maskwright.errors import RecipeError

_VERSION = 1


class TermWeights(Annotator):
    """Each token has its word's weight tf (k + 1) / (tf + k) x idf, where tf counts the word in its passage, and idf =
    log(1 + (passages - df + 1/2) / (df + 1/2)) as in BM25, df being the training passages that have it.

    k: how slowly repetitions add up; with 0 they do not count. passage: its words; None: a whole document. table: a
    file of columns word and weight to use in place of the idf; words that it lacks weigh 0. Upper and lower case are
    one. Memory: that of a few runs of documents, and the table of distinct words.
    """

    name = "term_weight"
    dtype = np.float32
    outside = 0.0

    def __init__(self, k: float, passage: int | None, table: str | None) -> None:
        if isinstance(k, bool) or not isinstance(k, (int, float)) or not 0 <= k < np.inf:
            raise RecipeError(f"k of the term weights is {k}; it is a number from 0 up.")
        if passage is not None and (isinstance(passage, bool) or not isinstance(passage, int) or passage < 1):
            raise RecipeError(
                f"passage of the term weights is {passage}; it is a number of words from 1 up, or null for whole "
                "documents."
            )
        self.k, self.passage = float(k), passage
        self._given = None if table is None else TableFile(table, ("word", "weight"), "table of the term weights")

    def settings(self) -> dict[str, Any]:
        table = None if self._given is None else self._given.sha
        return {"version": _VERSION, "k": self.k, "passage": self.passage, "table": table}

    def fit(self, source: Source) -> None:
        if self._given is None:
            settings = {"version": _VERSION, "passage": self.passage}
            self._artefact: Artefact = artefact(source, "term_weights", settings, self._learned)

    def mark(self, document: Document) -> np.ndarray:
        words = [word.lower() for word in document.words]
        number: dict[str, int] = {}
        distinct_W = np.fromiter((number.setdefault(word, len(number)) for word in words), np.int64, len(words))
        passage_W = np.arange(len(words)) // (self.passage or max(len(words), 1))
        together_W = passage_W * max(len(number), 1) + distinct_W
        _, place_W, count_P = np.unique(together_W, return_inverse=True, return_counts=True)
        tf_W = count_P[place_W]
        weight_U = np.fromiter(map(self._weight, number), np.float64, len(number))
        score_W = tf_W * (self.k + 1) / (tf_W + self.k) * weight_U[distinct_W]
        return score_W.astype(np.float32)[document.word_T]

    def _weight(self, word: str) -> float:
        return self._weights.get(word, self._unknown if word else 0.0)  # no word: white space at a document's end

    @cached_property
    def _weights(self) -> dict[str, float]:
        if self._given is None:
            table = self._artefact.table("words")
            return dict(zip(table.column("word").to_pylist(), table.column("weight").to_pylist()))
        words = [str(word).lower() for word in self._given.table.column("word").to_pylist()]
        weights = _numbers(self._given)
        return dict(zip(words, weights))

    @cached_property
    def _unknown(self) -> float:
        """Of a word that the table lacks."""
        if self._given is not None:
            return 0.0
        return float(idf(np.zeros(1), self._artefact.table("collection").column("passages")[0].as_py())[0])

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        if self.passage is None:
            counts = word_counts(source)
            words, df = counts.column("word"), counts.column("documents").to_numpy()
            passages = len(source.train)
        else:
            words, df, passages = _passages(source, self.passage)
        table = pa.table({"word": words, "passages": df, "weight": idf(df, passages)})
        table = table.sort_by([("weight", "descending"), ("word", "ascending")])
        return {"words": table, "collection": pa.table({"passages": [passages]})}


def idf(df_U: np.ndarray, passages: int) -> np.ndarray:
    """BM25's inverse document frequency, which never falls to 0: float64 [U]."""
    return np.log1p((passages - df_U + 0.5) / (df_U + 0.5))


def _passages(source: Source, size: int) -> tuple[pa.ChunkedArray, np.ndarray, int]:
    """The words of the training side, how many passages have each, and how many passages there are."""
    passages = 0
    with Tally(source.cache, "string", ("passages",), source.processes) as tally:
        work = partial(_count, size=size)
        for words, counts, number in over_documents(source.train, work, "count passages", source.processes):
            tally.add(pa.array(words, pa.string()), counts)
            passages += number
        table = tally.sums()
    return table.column("key"), table.column("passages").to_numpy(), passages


def _count(side: Side, first: int, last: int, size: int) -> tuple[list[str], list[int], int]:
    """The words of documents first..last - 1, the passages that have each, and the number of passages."""
    cut = [portion for number in range(first, last) for portion in _cut(side[number], size)]
    found = Counter(chain.from_iterable(cut))
    found.pop("", None)
    return list(found), list(found.values()), len(cut)


def _cut(document: Document, size: int) -> Iterator[set[str]]:
    """The words of each passage of a document."""
    words = [word.lower() for word in document.words]
    return ({*words[begin : begin + size]} for begin in range(0, len(words), size))


def _numbers(file: TableFile) -> list[float]:
    """The weights of a table. Raises RecipeError where one is no number, or below 0."""
    try:
        weights = [float(weight) for weight in file.table.column("weight").to_pylist()]
    except (TypeError, ValueError):
        raise RecipeError(
            f"{file.setting}={file.path} has a weight that is no number; give numbers from 0 up."
        ) from None
    if not all(0 <= weight < np.inf for weight in weights):
        raise RecipeError(f"{file.setting}={file.path} has a weight outside 0..infinity; give numbers from 0 up.")
    return weights
