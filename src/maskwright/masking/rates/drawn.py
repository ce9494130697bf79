"""Rates drawn for each sequence."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws
from maskwright.masking.rates.base import Rate, share_of


class Uniform(Rate):
    """A rate for each sequence, uniform between `low` and `high` (as masked diffusion draws its time)."""

    def __init__(self, low: float, high: float) -> None:
        self.lowest, self.highest = share_of("rate.low", low), share_of("rate.high", high)
        if low > high:
            raise RecipeError(f"rate.low is {low} and rate.high {high}; exchange them.")

    def __call__(self, progress: float, draws: Draws) -> Tensor:
        return self.lowest + (self.highest - self.lowest) * draws("rate", 1)[:, 0]

    def describe(self) -> str:
        return f"U({100 * self.lowest:.3g}%, {100 * self.highest:.3g}%)"


class Beta(Rate):
    """A rate for each sequence, Beta(alpha, beta) stretched to `low`..`high`; drawn by inverse CDF."""

    _GRID = 1 << 14

    def __init__(self, alpha: float, beta: float, low: float, high: float) -> None:
        from scipy.special import betaincinv

        self.lowest, self.highest = share_of("rate.low", low), share_of("rate.high", high)
        if low > high:
            raise RecipeError(f"rate.low is {low} and rate.high {high}; exchange them.")
        if alpha <= 0 or beta <= 0:
            raise RecipeError(f"rate.alpha is {alpha} and rate.beta {beta}; both must be above 0.")
        self.alpha, self.beta = alpha, beta
        self._quantiles = torch.from_numpy(betaincinv(alpha, beta, np.linspace(0, 1, self._GRID + 1)))

    def __call__(self, progress: float, draws: Draws) -> Tensor:
        at_B = draws("rate", 1)[:, 0] * self._GRID
        left_B = at_B.long().clamp(max=self._GRID - 1)
        quantiles = self._quantiles.to(at_B.device)
        share_B = torch.lerp(quantiles[left_B], quantiles[left_B + 1], at_B - left_B)
        return self.lowest + (self.highest - self.lowest) * share_B

    def describe(self) -> str:
        return f"Beta({self.alpha:g}, {self.beta:g}) in {100 * self.lowest:.3g}%..{100 * self.highest:.3g}%"


class Partly(Rate):
    """A share of the sequences has the rate `rate`, the others are left whole (arXiv 2310.07819: half of a batch)."""

    def __init__(self, rate: Rate, share: float) -> None:
        self.rate, self.share = rate, share_of("rate.share", share)
        if rate.by_position:
            raise RecipeError(
                f"rate.rate ({rate.describe()}) gives positions rates of their own; give one for whole rows."
            )
        self.highest, self.columns = rate.highest, rate.columns
        self.lowest = rate.lowest if self.share == 1 else 0.0

    def __call__(self, progress: float, draws: Draws) -> Tensor:
        there_B = draws("partly", 1)[:, 0] < self.share
        return torch.where(there_B, self.rate(progress, draws), 0.0)

    def describe(self) -> str:
        return f"{self.rate.describe()} on {100 * self.share:.3g}% of the rows"
