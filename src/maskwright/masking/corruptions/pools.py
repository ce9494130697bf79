"""Corruptions that take whole words or entities from a table made of the corpus.

Shapes: B rows, L positions, K the most positions a row may lose, N entries of a table, S the most pieces of an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Column, named
from maskwright.masking.corruptions.base import Selected, Stage
from maskwright.masking.view import Outcome


@dataclass(frozen=True)
class Pool:
    """Entries of some tokens each. Entries that may stand for each other, having as many pieces and being of one class,
    form a group and lie side by side."""

    piece_NS: Tensor  # int64 token ids, padded with 0
    group_N: Tensor  # int64
    first_G: Tensor  # int64, where each group begins
    size_G: Tensor  # int64, how many entries it has
    pieces_G: Tensor  # int64, how many pieces each of its entries has

    def to(self, device: torch.device) -> Pool:
        return Pool(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class PoolColumn(Column, Protocol):
    """An annotator that marks each token with its unit's entry in a table (-1: none).

    unit: the column that marks the units. outsider(size): the group from which units that are no entry may take one.
    """

    unit: str | Column
    pool: Pool
    group_of_size: Tensor  # int64 [S + 1]: the group for a unit of that many pieces that is no entry, -1: none


class Exchange(Stage):
    """Another entry of the same group: a random word with as many pieces, an entity of the same type.

    Nothing replaces itself. A unit that is no entry takes one of the group for its number of pieces; where there is no
    other entry, or only a part of the unit is selected, it is left as it is and counts as kept.
    """

    outcome = Outcome.REPLACED

    def __init__(self, share: float, pool: PoolColumn, per: str) -> None:
        super().__init__(share)
        self.column, self.per = pool, per
        self.columns = (pool, pool.unit)

    @property
    def name(self) -> str:
        return f"another {self.per}" if self.per == "word" else f"another {self.column.name}"

    def bind(self, tokenizer: object) -> None:
        self._pool, self._group_S = self.column.pool, self.column.group_of_size

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        unit = _Pieces.of(selected, self.column.unit)
        self._pool, self._group_S = self._pool.to(taken_BK.device), self._group_S.to(taken_BK.device)
        pool = self._pool
        own_BK = selected.field.column(self.column).gather(1, selected.place_BK)
        entered_BK = pool.group_N[own_BK.clamp(min=0)]
        # An entry that the end of a row cuts has fewer pieces here than in the table, and counts as none.
        whole_BK = (own_BK >= 0) & (pool.pieces_G[entered_BK] == unit.size_BK)
        most = len(self._group_S) - 1
        free_BK = torch.where(unit.size_BK <= most, self._group_S[unit.size_BK.clamp(max=most)], -1)
        group_BK = torch.where(whole_BK, entered_BK, free_BK)
        first_BK, number_BK = pool.first_G[group_BK.clamp(min=0)], pool.size_G[group_BK.clamp(min=0)]
        others_BK = number_BK - whole_BK.long()
        u_BK = selected.draws.at("exchange", unit.first_BK)
        after_BK = torch.where(whole_BK, own_BK - first_BK + 1, 0)  # from the entry behind its own, round and round
        chosen_BK = first_BK + (after_BK + (u_BK * others_BK).long()) % number_BK.clamp(min=1)
        found_BK = (group_BK >= 0) & (others_BK > 0) & unit.complete_BK
        pieces = pool.piece_NS[chosen_BK, unit.piece_BK.clamp(max=pool.piece_NS.shape[1] - 1)]
        new_BK = torch.where(found_BK, pieces, selected.ids_BK)
        outcome_BK = torch.where(found_BK, int(self.outcome), int(Outcome.KEPT)).to(torch.uint8)
        return new_BK, outcome_BK


class SimilarColumn(Column, Protocol):
    """An annotator that marks each token with its word's row in a table of similar words (-1: it has none)."""

    unit: str | Column
    similar_NCS: Tensor  # int64 token ids of up to C similar words, of as many pieces as the word itself
    number_N: Tensor  # int64, how many there are
    pieces_N: Tensor  # int64, how many pieces they and the word have


class Similar(Stage):
    """The word most like it, with as many pieces (MacBERT, arXiv 2004.13922); a word without one, cut by the end of
    its row or selected in part is left to `other`. nearest: one of so many most similar words, at random."""

    outcome = Outcome.SIMILAR
    per = "word"

    def __init__(self, share: float, table: SimilarColumn, nearest: int, other: Stage) -> None:
        super().__init__(share)
        if isinstance(nearest, bool) or not isinstance(nearest, int) or nearest < 1:
            raise RecipeError(f"corruption: nearest is {nearest}; it is a number of similar words from 1 up.")
        self.table, self.nearest, self.other = table, nearest, other
        self.columns = (table, table.unit, *other.columns)

    def bind(self, tokenizer: object) -> None:
        self._ids_NCS, self._number_N, self._pieces_N = self.table.similar_NCS, self.table.number_N, self.table.pieces_N
        self.other.bind(tokenizer)  # type: ignore[arg-type]

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        unit = _Pieces.of(selected, self.table.unit)
        device = taken_BK.device
        tables = (self._ids_NCS, self._number_N, self._pieces_N)
        self._ids_NCS, self._number_N, self._pieces_N = (table.to(device) for table in tables)
        row_BK = selected.field.column(self.table).gather(1, selected.place_BK)
        number_BK = self._number_N[row_BK.clamp(min=0)].clamp(max=self.nearest)
        whole_BK = unit.size_BK == self._pieces_N[row_BK.clamp(min=0)]
        found_BK = (row_BK >= 0) & (number_BK > 0) & whole_BK & unit.complete_BK
        u_BK = selected.draws.at("similar", unit.first_BK)
        choice_BK = (u_BK * number_BK).long()
        pieces = self._ids_NCS.shape[2]
        similar_BK = self._ids_NCS[row_BK.clamp(min=0), choice_BK, unit.piece_BK.clamp(max=pieces - 1)]
        other_BK, how_BK = self.other(selected, taken_BK & ~found_BK)
        outcome_BK = torch.where(found_BK, int(self.outcome), how_BK.long()).to(torch.uint8)
        return torch.where(found_BK, similar_BK, other_BK), outcome_BK


class _Pieces:
    """Where each selected position stands in its word or entity."""

    @classmethod
    def of(cls, selected: Selected, unit: str | Column) -> _Pieces:
        """Made once, however many stages ask."""
        key = (cls, named(unit))
        if key not in selected.memo:
            selected.memo[key] = cls(selected, unit)
        return selected.memo[key]

    def __init__(self, selected: Selected, unit: str | Column) -> None:
        self._selected = selected
        self._starts_BL = selected.field.starts(unit)

    @cached_property
    def first_BK(self) -> Tensor:
        return self._selected.field.first(self._starts_BL).gather(1, self._selected.place_BK)

    @cached_property
    def piece_BK(self) -> Tensor:
        """Int64, from 0."""
        return self._selected.place_BK - self.first_BK

    @cached_property
    def size_BK(self) -> Tensor:
        """Int64: pieces of the unit, as far as this row shows it."""
        return self._selected.field.last(self._starts_BL).gather(1, self._selected.place_BK) - self.first_BK + 1

    @cached_property
    def complete_BK(self) -> Tensor:
        """Bool: all pieces of the unit are selected. A budget may cut a word, of which no other word is a part."""
        selected_BK = self._selected.counts_BK.long()
        number_BL = torch.zeros_like(self._selected.shown_BL).scatter_add(1, self.first_BK, selected_BK)
        return number_BL.gather(1, self.first_BK) == self.size_BK


class ClassTokens(Column, Protocol):
    """An annotator of classes that knows which tokens the corpus shows in each: a run of `token_T`."""

    token_T: Tensor  # int64 token ids, class after class, each once
    first_C: Tensor  # int64, where the class begins in it
    size_C: Tensor  # int64, how many tokens it has; 0 for class 0


class RandomWithin(Stage):
    """A random token of those that the corpus shows in the same class of a column, such as the values of a metadata
    field (ERWT, arXiv 2211.10086); in class 0 a random token like any other."""

    outcome = Outcome.RANDOM

    def __init__(self, share: float, classes: ClassTokens) -> None:
        super().__init__(share)
        self.column = classes
        self.columns = (classes,)

    def bind(self, tokenizer: object) -> None:
        self._token_T, self._first_C, self._size_C = self.column.token_T, self.column.first_C, self.column.size_C

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        device = taken_BK.device
        tables = (self._token_T, self._first_C, self._size_C)
        self._token_T, self._first_C, self._size_C = (table.to(device) for table in tables)
        class_BK = selected.field.column(self.column).gather(1, selected.place_BK)
        u_BK = selected.draws.at("replacement", selected.place_BK)
        ordinary_O = selected.vocabulary.ordinary_O.to(device)
        among_BK = self._first_C[class_BK] + (u_BK * self._size_C[class_BK]).long()
        own_BK = self._token_T[among_BK.clamp(max=len(self._token_T) - 1)]
        free_BK = ordinary_O[(u_BK * len(ordinary_O)).long()]
        new_BK = torch.where(self._size_C[class_BK] > 0, own_BK, free_BK)
        return new_BK, torch.tensor(int(self.outcome), dtype=torch.uint8)
