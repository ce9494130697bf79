"""Weights that lie in a column of scores: term importance, pointwise mutual information, a column of the user's.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Column, named
from maskwright.masking.field import Field
from maskwright.masking.weights.base import Weight, tempered

GIVEN = "given"  # the column that an objective gives inside the step


class Scores(Weight):
    """Weight max(score, floor)^temperature (retrieval-oriented masking, arXiv 2210.15133; PMI, arXiv 2305.13197).

    temperature 0 makes all positions alike; a floor above 0 keeps every position possible.
    """

    def __init__(self, column: Column, temperature: float, floor: float) -> None:
        if temperature < 0 or floor < 0:
            raise RecipeError(
                f"masking.weight.temperature={temperature}, floor={floor}: both are numbers from 0 up; a temperature "
                "below 0 would turn the order round."
            )
        self.column, self.columns = column, (column,)
        self.temperature, self.floor = float(temperature), float(floor)

    def __call__(self, field: Field) -> Tensor:
        return tempered(field.column(self.column), self.temperature, self.floor)

    def describe(self) -> str:
        return f"{named(self.column)}-weighted"


class Given(Weight):
    """Weights that an objective's network gives inside the step, as the column `given` [B, L] of scores.

    For teachers and scorers (AttMask, arXiv 2203.12719; Ask2Mask, arXiv 2202.12719); refused unless the objective gives
    them.
    """

    given = True

    def __init__(self, temperature: float, floor: float) -> None:
        if temperature < 0 or floor < 0:
            raise RecipeError(f"masking.weight.temperature={temperature}, floor={floor}: both are numbers from 0 up.")
        self.temperature, self.floor = float(temperature), float(floor)

    def __call__(self, field: Field) -> Tensor:
        return tempered(field.columns[GIVEN], self.temperature, self.floor)

    def describe(self) -> str:
        return "network-weighted"
