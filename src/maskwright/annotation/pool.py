"""Pools: words or entities that may stand for each other, by number of tokens and class.

Shapes: T tokens of one document, N entries of a pool, E given ones, G groups, S the most pieces of an entry.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from maskwright.annotation.artefact import Artefact, artefact
from maskwright.annotation.counts import word_counts
from maskwright.annotation.ngrams import is_word
from maskwright.annotation.pieces import Pieces, PieceTable, spelled, tells_spaces
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Source
from maskwright.errors import RecipeError
from maskwright.masking.corruptions import Pool

_VERSION = 1


class Pooled(NamedTuple):
    """A pool and where the given entries went."""

    pool: Pool
    row_E: np.ndarray  # int64: the pool's row of each given entry; equal ones share a row
    groups: Mapping[tuple[Any, int], int]  # the group of each class and number of pieces


def pool_of(entries: Sequence[tuple[Pieces, Hashable]]) -> Pooled:
    """The pool of entries (token ids, class): those of one class and as many tokens form a group.

    Groups come in the order in which their class and size are first given, and so do entries within them.
    """
    groups: dict[tuple[Any, int], int] = {}
    for pieces, kind in entries:
        groups.setdefault((kind, len(pieces)), len(groups))
    distinct = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    size_U = np.fromiter((len(pieces) for pieces, _ in distinct), np.int64, len(distinct))
    group_U = np.fromiter((groups[kind, len(pieces)] for pieces, kind in distinct), np.int64, len(distinct))
    order_N = np.argsort(group_U, kind="stable")
    row_U = np.empty_like(order_N)
    row_U[order_N] = np.arange(len(order_N))
    piece_US = np.zeros((len(distinct), int(size_U.max(initial=1))), np.int64)
    piece_US[np.arange(piece_US.shape[1]) < size_U[:, None]] = [token for pieces, _ in distinct for token in pieces]
    size_G = np.bincount(group_U, minlength=len(groups))
    pool = Pool(
        piece_NS=torch.from_numpy(piece_US[order_N]),
        group_N=torch.from_numpy(group_U[order_N]),
        first_G=torch.from_numpy(np.cumsum(size_G) - size_G),
        size_G=torch.from_numpy(size_G),
        pieces_G=torch.tensor([size for _, size in groups], dtype=torch.int64),
    )
    return Pooled(pool, row_U[np.fromiter((distinct[entry] for entry in entries), np.int64, len(entries))], groups)


class WordPool(Annotator):
    """Each token's word as a row of the pool of the corpus' words (-1: it is none of them).

    The pool has the words with a letter or a digit that occur at least `least_count` times, the `most` most frequent of
    them. Words of as many tokens may stand for each other, those behind a space and those elsewhere apart, where the
    tokenizer tells them apart: spaces stay where they are. Memory: the table of word counts, which is larger.
    """

    name = "word_pool"
    dtype = np.int32
    outside = -1
    unit = "word"

    def __init__(self, least_count: int, most: int) -> None:
        if isinstance(least_count, bool) or not isinstance(least_count, int) or least_count < 1:
            raise RecipeError(f"least_count of the word pool is {least_count}; it is a number of words from 1 up.")
        if isinstance(most, bool) or not isinstance(most, int) or most < 2:
            raise RecipeError(f"most of the word pool is {most}; two words at least stand for each other.")
        self.least_count, self.most = least_count, most

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "least_count": self.least_count, "most": self.most}

    def fit(self, source: Source) -> None:
        self._artefact: Artefact = artefact(source, "word_pool", self.settings(), self._learned)

    def mark(self, document: Document) -> np.ndarray:
        row_T = self._table.rows(document)
        return np.where(row_T >= 0, self._pooled.row_E.astype(np.int32)[row_T], np.int32(-1))

    @property
    def pool(self) -> Pool:
        return self._pooled.pool

    @cached_property
    def group_of_size(self) -> Tensor:
        """Int64 [S + 1]: the group of words behind a space, or else of others, of that many pieces; -1: none."""
        groups = self._pooled.groups
        group_S = torch.full((self.pool.piece_NS.shape[1] + 1,), -1, dtype=torch.int64)
        for (spaced, size), group in groups.items():
            if spaced or (True, size) not in groups:
                group_S[size] = group
        return group_S

    @cached_property
    def _entries(self) -> list[tuple[Pieces, bool]]:
        table = self._artefact.table("entries")
        pieces = map(tuple, table.column("pieces").to_pylist())
        return list(zip(pieces, table.column("spaced").to_pylist()))

    @cached_property
    def _pooled(self) -> Pooled:
        return pool_of(self._entries)

    @cached_property
    def _table(self) -> PieceTable:
        return PieceTable([pieces for pieces, _ in self._entries])

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        counts = word_counts(source, lowercase=False)
        counts = counts.filter(pa.compute.greater_equal(counts.column("count"), self.least_count))
        words, number = counts.column("word").to_pylist(), counts.column("count").to_pylist()
        known = [row for row, word in enumerate(words) if is_word(word)][: self.most]
        rows: dict[Pieces, dict[str, Any]] = {}
        for spaced in (True, False) if tells_spaces(source.tokenizer) else (True,):
            for row, pieces in zip(known, spelled([words[row] for row in known], spaced, source.tokenizer)):
                if pieces is not None and pieces not in rows:  # lower-casing tokenizers write several words alike
                    rows[pieces] = {"word": words[row], "spaced": spaced, "count": number[row], "pieces": pieces}
        if not rows:
            raise RecipeError(
                f"no word of the corpus occurs {self.least_count} times; lower least_count of the word pool, or give "
                "more text."
            )
        kinds = [("word", pa.string()), ("spaced", pa.bool_()), ("count", pa.int64()), ("pieces", pa.list_(pa.int32()))]
        return {"entries": pa.Table.from_pylist(list(rows.values()), pa.schema(kinds))}
