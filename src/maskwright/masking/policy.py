"""A masking policy: unit x weight x budget.

Shapes: B rows, L positions, K the most positions a row may lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.budgets import Budget
from maskwright.masking.columns import Column
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.pace import Pace
from maskwright.masking.rates import Rate
from maskwright.masking.units import Unit
from maskwright.masking.weights import Weight

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Selection(NamedTuple):
    """Which positions are masked: the K earliest, of which some count."""

    place_BK: Tensor  # int64
    counts_BK: Tensor  # bool
    unit_BL: Tensor  # int64
    empty_BL: Tensor | None  # float64: when a unit of length zero starts before a position
    deadline_B: Tensor | None  # float64: the arrival of the last one taken, where there are such units


class Masking:
    """Chooses positions: a unit, an optional weight, a budget."""

    def __init__(self, unit: Unit, budget: Budget, weight: Weight | None = None) -> None:
        if weight is not None and not unit.weighs:
            raise RecipeError(
                f"masking.weight does not steer {unit.describe()}; use masking=random or masking=whole_word with it."
            )
        if weight is not None and weight.counted_only and unit.covers:
            raise RecipeError(
                f"masking.weight ({weight.describe()}) is an order or a choice of units, and of {unit.describe()} it "
                "could only move the starts; use masking=random or masking=whole_word with it."
            )
        budget.check(unit, weight)
        self.unit, self.budget, self.weight = unit, budget, weight

    @property
    def columns(self) -> tuple[str | Column, ...]:
        """Annotations that the data must carry."""
        return (*self.unit.columns, *(self.weight.columns if self.weight else ()))

    def check_rate(self, rate: Rate) -> None:
        """Raises RecipeError where `rate` means nothing here."""
        if not rate.by_position:
            return
        if not self.unit.weighs or self.unit.covers:
            raise RecipeError(
                f"rate ({rate.describe()}) gives positions rates of their own, which do not steer "
                f"{self.unit.describe()}; use masking=random or masking=whole_word with it."
            )
        if self.weight is not None:
            raise RecipeError(
                f"rate ({rate.describe()}) gives positions rates of their own, which masking.weight would distort; "
                "use one of the two."
            )

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Let the weight learn the tokenizer's ids."""
        if self.weight is not None:
            self.weight.bind(tokenizer)

    def capacity(self, highest: float, length: int, longest: Mapping[str, int]) -> int:
        """The static K: most positions that a row of `length` can lose at the rate `highest`."""
        return self.budget.capacity(highest, length, self.unit.longest(longest))

    def select(self, field: Field, rate_B: Tensor, rate_BL: Tensor | None, draws: Draws, most: int) -> Selection:
        """The masked positions of each row, at most `most`. `rate_BL`: where positions have rates of their own."""
        wanted_B = self.budget.wanted(rate_B, field, draws) if self.unit.planned else field.maskable_B
        arrivals = self.unit.arrivals(field, Pace(field, draws, self.weight, rate_B, rate_BL), wanted_B)
        place_BK, counts_BK = self.budget.take(arrivals, field, rate_B, draws, most)
        deadline_B = None
        if arrivals.empty_BL is not None:
            taken_BK = arrivals.time_BL.gather(1, place_BK).masked_fill(~counts_BK, -torch.inf)
            deadline_B = taken_BK.amax(1)
        return Selection(place_BK, counts_BK, arrivals.unit_BL, arrivals.empty_BL, deadline_B)

    def describe(self) -> str:
        """How the recipe line says it."""
        return " ".join(part for part in (self.weight.describe() if self.weight else "", self.unit.describe()) if part)
