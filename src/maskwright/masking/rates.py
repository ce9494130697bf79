"""Masking rates: the share of maskable tokens to mask, from training progress or from a draw per sequence.

A rate states the `highest` value that it can take, from which the static capacity of a step is derived.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise RecipeError(f"{name} is {value}; a masking rate lies between 0 and 1.")
    return float(value)


class Rate(ABC):
    """A masking rate. `highest` bounds it over the whole run."""

    highest: float

    @abstractmethod
    def __call__(self, progress: float, draws: Draws) -> Tensor:
        """Rates float64 [B] at `progress` (0 at the first step, towards 1 at the last), which may differ by
        sequence."""

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it, as in `30% -> 15%`."""


class Schedule(Rate):
    """A rate that depends on training progress alone."""

    def __call__(self, progress: float, draws: Draws) -> Tensor:
        return torch.full_like(draws.sample_B, self.at(progress), dtype=torch.float64)

    @abstractmethod
    def at(self, progress: float) -> float:
        """The rate at `progress` in 0..1."""


class Constant(Schedule):
    """The same rate throughout (BERT's 0.15, arXiv 1810.04805; 0.40 in arXiv 2202.08005)."""

    def __init__(self, value: float) -> None:
        self.highest = self.value = _share("rate.value", value)

    def at(self, progress: float) -> float:
        return self.value

    def describe(self) -> str:
        return f"{100 * self.value:.3g}%"


class _Moving(Schedule):
    """A rate that goes from `start` to `end`."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = _share("rate.start", start), _share("rate.end", end)
        self.highest = max(self.start, self.end)

    def describe(self) -> str:
        return f"{100 * self.start:.3g}% -> {100 * self.end:.3g}%"


class Linear(_Moving):
    """A straight line from `start` to `end` (arXiv 2305.15096: 0.30 to 0.15 beats a fixed 0.15)."""

    def at(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress


class Cosine(_Moving):
    """Half a cosine from `start` to `end` (masking-ratio decay, arXiv 2208.10806)."""

    def at(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2


class Step(_Moving):
    """`start` until the share `when` of training is done, then `end` (arXiv 2305.15096)."""

    def __init__(self, start: float, end: float, when: float) -> None:
        super().__init__(start, end)
        if not 0 <= when <= 1:
            raise RecipeError(f"rate.when is {when}; it is a share of training between 0 and 1.")
        self.when = when

    def at(self, progress: float) -> float:
        return self.start if progress < self.when else self.end


class Uniform(Rate):
    """A rate for each sequence, uniform between `low` and `high` (as masked diffusion draws its time)."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.highest = _share("rate.low", low), _share("rate.high", high)
        if low > high:
            raise RecipeError(f"rate.low is {low} and rate.high {high}; exchange them.")

    def __call__(self, progress: float, draws: Draws) -> Tensor:
        return self.low + (self.highest - self.low) * draws("rate", 1)[:, 0]

    def describe(self) -> str:
        return f"U({100 * self.low:.3g}%, {100 * self.highest:.3g}%)"


class Beta(Rate):
    """A rate for each sequence, Beta(alpha, beta) stretched to `low`..`high`; drawn by inverse CDF."""

    _GRID = 1 << 14

    def __init__(self, alpha: float, beta: float, low: float, high: float) -> None:
        from scipy.special import betaincinv

        self.low, self.highest = _share("rate.low", low), _share("rate.high", high)
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
        return self.low + (self.highest - self.low) * share_B

    def describe(self) -> str:
        return f"Beta({self.alpha:g}, {self.beta:g}) in {100 * self.low:.3g}%..{100 * self.highest:.3g}%"
