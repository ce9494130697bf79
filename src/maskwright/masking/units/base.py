"""What a unit is: which positions are masked together, and when they arrive in the race.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from maskwright.masking.columns import Column, named
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.pace import Pace


class Unit(ABC):
    """A way of cutting a row into pieces that are masked as one.

    columns: annotations that it reads. planned: it must know beforehand how many positions will be masked.
    counts_starts: a budget may count the spans that it starts. covers: a position is masked by the earliest span over
    it, so that weights move where spans start. weighs: weights and rates by position may steer it. gaps: it may ask for
    insertions between positions (spans of length zero).
    """

    columns: tuple[str | Column, ...] = ()
    planned = False
    counts_starts = False
    covers = False
    weighs = True
    gaps = False

    @abstractmethod
    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        """Arrival times of all positions; `wanted_B` (int64) is the planned count, for units that are `planned`."""

    @abstractmethod
    def longest(self, longest: Mapping[str, int]) -> int:
        """Most tokens in one unit, given the longest piece in tokens of each annotation in the data."""

    def most_units(self, most: int) -> int:
        """Most units among `most` masked tokens."""
        return most

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it."""


def gathered(time_BL: Tensor, first_BL: Tensor, pace: Pace) -> Arrivals:
    """Arrivals of units that have the time and the weight of their first position."""
    weight_BL = None if pace.weight_BL is None else pace.weight_BL.gather(1, first_BL)
    return Arrivals(time_BL.gather(1, first_BL), first_BL, weight_BL=weight_BL)


def longest_in(longest: Mapping[str, int], column: str | Column) -> int:
    """Tokens of the longest unit of `column` in the data."""
    return longest[named(column)]
