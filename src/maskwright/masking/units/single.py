"""Units that lie side by side: tokens, words and whatever else a column marks, blocks, one token of each unit.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import WORD, Column, named
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.pace import Pace
from maskwright.masking.units.base import Unit, gathered, longest_in


class Token(Unit):
    """Each token alone (BERT, arXiv 1810.04805)."""

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        time_BL = pace.times(pace.draws("token", field.shape[1]))
        return Arrivals(time_BL, field.place_L.expand(field.shape), weight_BL=pace.weight_BL, alone=True)

    def longest(self, longest: Mapping[str, int]) -> int:
        return 1

    def describe(self) -> str:
        return "random"


class Marked(Unit):
    """The units that a column marks: words, collocations, entities, sentences ... all pieces of a unit or none. A unit
    has its first piece's weight."""

    def __init__(self, column: str | Column) -> None:
        self.column = column
        self.columns = (column,)

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        first_BL = field.first(field.starts(self.column))
        return gathered(pace.times(pace.draws(named(self.column), field.shape[1])), first_BL, pace)

    def longest(self, longest: Mapping[str, int]) -> int:
        return longest_in(longest, self.column)

    def describe(self) -> str:
        return f"{named(self.column)} units"


class Word(Marked):
    """Whole words (whole-word masking, arXiv 1906.08101)."""

    def __init__(self) -> None:
        super().__init__(WORD)

    def describe(self) -> str:
        return "whole words"


class Block(Unit):
    """Blocks of `size` neighbouring tokens, which end at special tokens and at the row's ends.

    whole: False: blocks are counted from the last special token, and the last one before an edge may be shorter. True:
    only blocks of the full size are ever masked, and where they begin is drawn for each row.
    """

    def __init__(self, size: int, whole: bool) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise RecipeError(f"masking.unit.size is {size}; a block has at least 1 token.")
        self.size, self.whole = size, whole

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        edge_BL = torch.where(field.maskable_BL, -1, field.place_L).cummax(1).values
        since_BL = field.place_L - edge_BL - 1
        if self.whole:
            since_BL = since_BL + (pace.draws("block.phase", 1) * self.size).long()
        starts_BL = ~field.maskable_BL | (field.place_L == edge_BL + 1) | (since_BL % self.size == 0)
        first_BL = field.first(starts_BL)
        arrivals = gathered(pace.times(pace.draws("block", field.shape[1])), first_BL, pace)
        if not self.whole:
            return arrivals
        cut_BL = field.last(starts_BL) - first_BL + 1 < self.size
        weight_BL = None if arrivals.weight_BL is None else arrivals.weight_BL * ~cut_BL
        return Arrivals(arrivals.time_BL.masked_fill(cut_BL, torch.inf), first_BL, weight_BL=weight_BL)

    def longest(self, longest: Mapping[str, int]) -> int:
        return self.size

    def describe(self) -> str:
        return f"{'whole ' if self.whole else ''}blocks of {self.size}"


class OneOf(Unit):
    """One token, chosen at random, of each unit of a column; the others stay visible (LEM, arXiv 2501.05700)."""

    def __init__(self, column: str | Column) -> None:
        self.column = column
        self.columns = (column,)

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        first_BL = field.first(field.starts(self.column))
        noise_BL = pace.draws("one", field.shape[1])
        least_BL = torch.full_like(noise_BL, torch.inf).scatter_reduce(1, first_BL, noise_BL, "amin")
        chosen_BL = noise_BL == least_BL.gather(1, first_BL)
        arrivals = gathered(pace.times(pace.draws(named(self.column), field.shape[1])), first_BL, pace)
        weight_BL = None if arrivals.weight_BL is None else arrivals.weight_BL * chosen_BL
        time_BL = arrivals.time_BL.masked_fill(~chosen_BL, torch.inf)
        return Arrivals(time_BL, field.place_L.expand(field.shape), weight_BL=weight_BL, alone=True)

    def longest(self, longest: Mapping[str, int]) -> int:
        return 1

    def describe(self) -> str:
        return f"one token of each {named(self.column)}"
