"""What steers a masking, made visible: the weight of each position, or the rate that it has of its own.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maskwright.masking import View, ViewRecipe
from maskwright.masking.field import Field
from maskwright.masking.pace import Pace
from maskwright.masking.weights import Weight
from maskwright.seeing.look import Look


@dataclass
class Steering:
    """kind: `weight` or `rate`. says: the recipe's word for it. full: the value that is shaded most, as all above it;
    most: the largest."""

    kind: str
    says: str
    value_BL: Tensor  # float64; a unit has one value
    full: float
    most: float

    def shown(self, value: float) -> str:
        """A value in words."""
        return f"{100 * value:.3g}%" if self.kind == "rate" else f"{value:.3g}"


def steering(look: Look, name: str, view: View) -> Steering | None:
    """Of a view; None where all positions are alike."""
    recipe, field = look.views.recipes[name], look.field(view)
    weight = recipe.masking.weight
    if recipe.rate.by_position:
        kind, says, value_BL = "rate", recipe.rate.describe(), recipe.rate.at_positions(field)
    elif weight is not None:
        kind, says, value_BL = "weight", weight.describe(), weight(field)
    else:
        return None
    value_BL = _by_unit(look, recipe, view, field, value_BL.double())
    values = value_BL[view.maskable_BL & value_BL.isfinite()]
    # Of a skewed weight the top hundredth is shaded alike, or all others would look like nothing.
    full = values.kthvalue(max(1, round(0.99 * len(values)))).values.item() if len(values) else 0.0
    most = values.max().item() if len(values) else 0.0
    return Steering(kind, says, value_BL, full or most or 1.0, most)


def _by_unit(look: Look, recipe: ViewRecipe, view: View, field: Field, value_BL: Tensor) -> Tensor:
    """The value that counts for each position's unit, by the unit's own rule; spans, which it steers where they start,
    keep each position's own."""
    if recipe.relation == "same":  # no race of its own
        return value_BL
    pace = Pace(field, look.draws(recipe.name), _Known(value_BL), view.rate_B, None)
    spread_BL = recipe.masking.unit.arrivals(field, pace, field.maskable_B).weight_BL
    return value_BL if spread_BL is None else spread_BL


class _Known(Weight):
    """Values that are there already."""

    def __init__(self, value_BL: Tensor) -> None:
        self.value_BL = value_BL

    def __call__(self, field: Field) -> Tensor:
        return self.value_BL

    def describe(self) -> str:
        return ""
