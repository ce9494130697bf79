"""What a masking policy looks at, and the arrivals that it answers with.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from maskwright.masking.columns import Column, named


@dataclass(frozen=True)
class Field:
    """The positions of a batch that may be masked, with the annotations that units and weights read."""

    maskable_BL: Tensor  # bool: real tokens that are not special
    columns: Mapping[str, Tensor]  # annotations [B, L] by name, such as `word`: True at the first token of a word
    ids_BL: Tensor  # int64, the clean ids
    taken_BL: Tensor | None = None  # bool, positions that another view has taken
    passed_B: Tensor | None = None  # float64, the deadline of another view of the same race
    progress: float = 0.0  # of training, in 0..1
    base_B: Tensor | None = None  # int64, positions that rates are shares of, where more than the maskable ones

    @property
    def available_BL(self) -> Tensor:
        """Bool: what may still be selected. Counts are shares of all that is maskable."""
        return self.maskable_BL if self.taken_BL is None else self.maskable_BL & ~self.taken_BL

    @property
    def shape(self) -> torch.Size:
        return self.maskable_BL.shape

    @cached_property
    def place_L(self) -> Tensor:
        return torch.arange(self.shape[1], device=self.maskable_BL.device)

    @cached_property
    def maskable_B(self) -> Tensor:
        """Positions of each row that rates are shares of, int64: the maskable ones."""
        return self.maskable_BL.sum(1) if self.base_B is None else self.base_B

    def of_maskable(self, rate: Tensor) -> Tensor:
        """A rate [B] or [B, L] as a share of the maskable positions, at most 1, where it is one of more."""
        if self.base_B is None:
            return rate
        more_B = self.base_B / self.maskable_BL.sum(1).clamp(min=1)
        return (rate * more_B.view(-1, *[1] * (rate.ndim - 1))).clamp(max=1)

    def column(self, column: str | Column) -> Tensor:
        """The annotation [B, L]."""
        return self.columns[named(column)]

    def starts(self, column: str | Column) -> Tensor:
        """Bool [B, L]: where a unit of `column` begins. Every unmaskable position stands alone, and so ends a unit."""
        alone_BL = ~self.maskable_BL
        return self.column(column) | alone_BL | pad(alone_BL, (1, 0), value=True)[:, :-1]

    def first(self, starts_BL: Tensor) -> Tensor:
        """Int64 [B, L]: where each position's unit begins."""
        return torch.where(starts_BL, self.place_L, 0).cummax(1).values

    def last(self, starts_BL: Tensor) -> Tensor:
        """Int64 [B, L]: where each position's unit ends."""
        ends_BL = pad(starts_BL[:, 1:], (0, 1), value=True)
        return torch.where(ends_BL, self.place_L, self.shape[1]).flip(1).cummin(1).values.flip(1)


@dataclass(frozen=True)
class Arrivals:
    """When each position arrives, and which unit it belongs to."""

    time_BL: Tensor  # float64; infinity: never
    unit_BL: Tensor  # int64, the place where the position's unit begins; below 0 for a span from before an edge
    start_BS: Tensor | None = None  # float64, when each span starts, in any order, for budgets that count starts
    empty_BL: Tensor | None = None  # float64, when a span of length 0 starts before a position; infinity: none does
    weight_BL: Tensor | None = None  # float64, the weight of each position's unit, where a weight steers the race
    alone: bool = False  # every position is a unit by itself
