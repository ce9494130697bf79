"""A list of n-grams: the best of the corpus by a scorer, or one made elsewhere; and where they stand in a text.

Shapes: W words of one document, N n-grams of one order, E entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from maskwright.annotation.artefact import artefact, contents
from maskwright.annotation.ngrams import ngram_counts, numbered, packed, rows_of
from maskwright.annotation.scorers import Scorer
from maskwright.data.document import Document, Source
from maskwright.errors import RecipeError

_VERSION = 1


class Matches(NamedTuple):
    """Where entries stand, sorted by start, then length."""

    start_M: np.ndarray  # int64, number of the first word
    length_M: np.ndarray  # int64, in words
    entry_M: np.ndarray  # int64, row of the table


@dataclass(frozen=True)
class _Level:
    """Beginnings of entries, of n words: sorted keys (row among beginnings of n - 1 words, last word)."""

    keys: np.ndarray  # uint64
    entry: np.ndarray  # int64: the entry that ends here, or -1


class Lexicon:
    """N-grams of 2 to `longest` words that occur `minimum` times or more, the best of each order by `scorer`.

    entries: how many there are at most, `shares` of them 2, 3, ... words long; an order that has fewer gives all. None:
    no bound. keep: the best share of each order that may enter. lowercase: `The` and `the` are one word. punctuation:
    whether n-grams hold words without a letter or digit. table: the folder of a lexicon made before, used instead.

    Raises RecipeError for values that make no sense.
    """

    def __init__(
        self,
        scorer: Scorer,
        longest: int,
        minimum: int,
        entries: int | None,
        shares: Sequence[float] | None,
        keep: float,
        lowercase: bool,
        punctuation: bool,
        table: str | None,
    ) -> None:
        if not 2 <= longest <= 16:
            raise RecipeError(f"masking: longest is {longest}; n-grams have 2 to 16 words.")
        if minimum < 1:
            raise RecipeError(f"masking: minimum is {minimum}; n-grams are counted from 1 occurrence up.")
        if entries is not None and entries < 1:
            raise RecipeError(f"masking: entries is {entries}; give a number of n-grams from 1 up, or null.")
        if entries is not None and (
            shares is None or len(shares) != longest - 1 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6
        ):
            raise RecipeError(
                f"masking: shares is {shares}; give each order from 2 to {longest} words a share of the "
                f"{entries} entries, adding up to 1."
            )
        if entries is None and shares is not None:
            raise RecipeError("masking: shares divides the entries, and entries is null; set both or none.")
        if not 0 < keep <= 1:
            raise RecipeError(f"masking: keep is {keep}; it is a share between 0 and 1, 0 excluded.")
        self.scorer, self.longest, self.minimum, self.keep = scorer, longest, minimum, float(keep)
        self.entries, self.shares = entries, None if shares is None else [float(share) for share in shares]
        self.lowercase, self.punctuation, self.given = lowercase, punctuation, table

    def settings(self) -> dict[str, Any]:
        if self.given is not None:
            return {"version": _VERSION, "lowercase": self.lowercase, "table": contents(self.given)}
        own: dict[str, Any] = {
            "version": _VERSION,
            "longest": self.longest,
            "minimum": self.minimum,
            "entries": self.entries,
        }
        own |= {"shares": self.shares, "keep": self.keep, "lowercase": self.lowercase, "punctuation": self.punctuation}
        return own | self.scorer.settings()

    def fit(self, source: Source) -> None:
        """Make the list, or open it: columns words (list of strings), count and score; the shorter first, the better
        first among those of one order. Memory: see `ngram_counts`."""
        found = artefact(source, "lexicon", self.settings(), self._chosen, self.given)
        self.table = found.table("entries")
        self._grow()

    def _chosen(self, source: Source) -> dict[str, pa.Table]:
        counts = ngram_counts(source, self.longest, self.minimum, self.lowercase, self.punctuation)
        words = np.array(counts.words, dtype=object)
        parts = []
        for length in range(2, self.longest + 1):
            score_N = self.scorer(counts, length)
            best_N = np.argsort(-score_N, kind="stable")[: np.isfinite(score_N).sum()]
            most = round(self.keep * len(best_N))
            if self.entries is not None and self.shares is not None:
                most = min(most, round(self.entries * self.shares[length - 2]))
            best_N = best_N[:most]
            flat = pa.array(words[counts.numbers(best_N, length)].ravel(), pa.string())
            lists = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, length), pa.int32()), flat)
            columns = {"words": lists, "count": counts.orders[length - 1].count_N[best_N], "score": score_N[best_N]}
            parts.append(pa.table(columns))
        table = pa.concat_tables(parts)
        if not table.num_rows:
            raise RecipeError(
                f"masking: no n-gram of this corpus occurs {self.minimum} times; lower minimum or give more text."
            )
        return {"entries": table}

    def _grow(self) -> None:
        """Number the words of the entries and sort their beginnings, order by order."""
        lists = self.table["words"].combine_chunks()
        words = lists.flatten().dictionary_encode()
        self.number_of = {word: number for number, word in enumerate(words.dictionary.to_pylist())}
        number_F = words.indices.to_numpy().astype(np.int64)
        length_E = lists.value_lengths().to_numpy().astype(np.int64)
        first_E = np.cumsum(length_E) - length_E
        self.longest_entry = int(length_E.max())
        self._levels: list[_Level] = []
        node_E = number_F[first_E]
        for length in range(2, self.longest_entry + 1):
            reach_E = np.flatnonzero(length_E >= length)
            every = packed(node_E[reach_E], number_F[first_E[reach_E] + length - 1])
            keys, node_R = np.unique(every, return_inverse=True)
            node_E[reach_E] = node_R
            entry = np.full(len(keys), -1)
            ends_E = np.flatnonzero(length_E == length)
            entry[node_E[ends_E]] = ends_E
            self._levels.append(_Level(keys, entry))

    def find(self, document: Document) -> Matches:
        """All entries in a document, overlapping ones too."""
        number_W = numbered(document, self.number_of, self.lowercase, -1)
        begin_R, node_R = np.flatnonzero(number_W >= 0), number_W[number_W >= 0]
        found = []
        for length, level in enumerate(self._levels, 2):
            inside = begin_R + length <= len(number_W)
            begin_R, node_R = begin_R[inside], node_R[inside]
            last_R = number_W[begin_R + length - 1]
            known = last_R >= 0
            row_R = rows_of(packed(node_R[known], last_R[known]), level.keys)
            begin_R, node_R = begin_R[known][row_R >= 0], row_R[row_R >= 0]
            entry_R = level.entry[node_R]
            ends = entry_R >= 0
            found.append((begin_R[ends], np.full(int(ends.sum()), length), entry_R[ends]))
        start_M, length_M, entry_M = (np.concatenate(column) for column in zip(*found))
        order_M = np.lexsort((length_M, start_M))
        return Matches(start_M[order_M], length_M[order_M], entry_M[order_M])
