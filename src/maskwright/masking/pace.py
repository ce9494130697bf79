"""How readily each position arrives: at the weight's pace, or so that each position has a rate of its own.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.masking import race
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field

if TYPE_CHECKING:
    from maskwright.masking.weights import Weight


@dataclass(frozen=True)
class Pace:
    """Turns noise into arrival times for one view of one batch."""

    field: Field
    draws: Draws
    weight: Weight | None
    rate_B: Tensor  # float64
    rate_BL: Tensor | None  # float64, where positions have rates of their own

    def times(self, u_BL: Tensor) -> Tensor:
        """Arrival times [B, L] of positions from their noise. With rates of their own, P(arrival <= rate_B) is each
        position's rate."""
        if self.rate_BL is not None:
            soon_BL = u_BL * _SOON  # a rate of 1 is a weight of infinity: such units come first, in random order
            return torch.where(self._own_BL.isinf(), soon_BL, race.weighted(u_BL, self._own_BL))
        return u_BL if self.weight is None else self.weight.arrivals(u_BL, self.field, self.draws)

    @cached_property
    def weight_BL(self) -> Tensor | None:
        """The weights [B, L] whose mean the deadline must make up for; None where the rate is met as it is."""
        return None if self.weight is None else self.weight(self.field)

    @cached_property
    def _own_BL(self) -> Tensor:
        assert self.rate_BL is not None
        mean_B1 = self.field.of_maskable(self.rate_B).clamp(max=1 - 1e-12)[:, None]
        own_BL = torch.log1p(-self.field.of_maskable(self.rate_BL)) / torch.log1p(-mean_B1)
        return torch.where(self.rate_BL > 0, own_BL, 0.0)


_SOON = 2.0**-40  # times below it belong to units with a rate of 1
