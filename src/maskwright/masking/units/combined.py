"""Units made of other units: one kind after the other over training, or a kind drawn for each row.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Column
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.pace import Pace
from maskwright.masking.units.base import Unit


class _Several(Unit):
    """Several units; it claims only what all of them can, and asks what one of them needs."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = list(units)
        if len(self.units) < 2:
            raise RecipeError("masking.unit.units names fewer than two units; list at least two.")
        planned = next((unit for unit in self.units if unit.planned), None)
        if planned is not None:
            raise RecipeError(f"masking.unit.units has {planned.describe()}, which stand alone; use masking=t5.")
        columns: list[str | Column] = []
        for unit in self.units:
            columns += [column for column in unit.columns if column not in columns]
        self.columns = tuple(columns)
        self.weighs = all(unit.weighs for unit in self.units)
        self.covers = any(unit.covers for unit in self.units)

    def longest(self, longest: Mapping[str, int]) -> int:
        return max(unit.longest(longest) for unit in self.units)


class Stages(_Several):
    """One kind of unit after the other (ERNIE, arXiv 1904.09223: tokens, then phrases, then entities).

    until: up to which share of training each unit but the last is used, as [0.33, 0.67] for three units.
    """

    def __init__(self, units: Sequence[Unit], until: Sequence[float]) -> None:
        super().__init__(units)
        self.until = [float(share) for share in until]
        if len(self.until) != len(self.units) - 1 or sorted({0.0, 1.0, *self.until}) != [0.0, *self.until, 1.0]:
            raise RecipeError(
                f"masking.unit.until is {list(until)}; give one rising share of training between 0 and 1 for each of "
                f"the {len(self.units)} units but the last."
            )

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        stage = sum(field.progress >= share for share in self.until)
        return self.units[stage].arrivals(field, pace, wanted_B)

    def describe(self) -> str:
        return ", then ".join(unit.describe() for unit in self.units)


class Mixed(_Several):
    """A kind of unit drawn for each row (ERNIE's `mask_word_prob`). shares: chance of each, adding up to 1."""

    def __init__(self, units: Sequence[Unit], shares: Sequence[float]) -> None:
        super().__init__(units)
        self.shares = [float(share) for share in shares]
        if len(self.shares) != len(self.units) or min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise RecipeError(
                f"masking.unit.shares is {list(shares)}; "
                f"give each of the {len(self.units)} units a share, adding up to 1."
            )

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        kind_B1 = pace.draws("mixed", 1)
        made = [unit.arrivals(field, pace, wanted_B) for unit in self.units]
        time_BL, unit_BL, weight_BL = made[0].time_BL, made[0].unit_BL, made[0].weight_BL
        passed = 0.0
        for number, share in enumerate(self.shares[:-1], 1):
            passed += share
            later_B1, other = kind_B1 >= passed, made[number]
            time_BL = torch.where(later_B1, other.time_BL, time_BL)
            unit_BL = torch.where(later_B1, other.unit_BL, unit_BL)
            if weight_BL is not None and other.weight_BL is not None:
                weight_BL = torch.where(later_B1, other.weight_BL, weight_BL)
        return Arrivals(time_BL, unit_BL, weight_BL=weight_BL, alone=all(one.alone for one in made))

    def describe(self) -> str:
        parts = (f"{100 * share:.3g}% {unit.describe()}" for share, unit in zip(self.shares, self.units))
        return " or ".join(parts)
