"""Rates that follow training: the share of maskable tokens as a function of progress.

progress runs from 0 at the first step towards 1 at the last one.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws
from maskwright.masking.rates.base import Rate, share_of


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
        self.highest = self.lowest = self.value = share_of("rate.value", value)

    def at(self, progress: float) -> float:
        return self.value

    def describe(self) -> str:
        return f"{100 * self.value:.3g}%"


class _Moving(Schedule):
    """A rate that goes from `start` to `end`."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = share_of("rate.start", start), share_of("rate.end", end)
        self.highest, self.lowest = max(self.start, self.end), min(self.start, self.end)

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


class Quadratic(_Moving):
    """From `start` to `end` with the square of progress: slowly first (a control of arXiv 2208.10806)."""

    def at(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress**2


class WarmupDecay(Schedule):
    """Up from `start` to `peak` while the share `warmup` of training passes, then down to `end`, in straight lines (a
    control of arXiv 2208.10806)."""

    def __init__(self, start: float, peak: float, end: float, warmup: float) -> None:
        self.start, self.peak, self.end = (
            share_of("rate.start", start),
            share_of("rate.peak", peak),
            share_of("rate.end", end),
        )
        if not 0 < warmup < 1:
            raise RecipeError(f"rate.warmup is {warmup}; it is a share of training between 0 and 1, both excluded.")
        self.warmup = warmup
        rates = (self.start, self.peak, self.end)
        self.highest, self.lowest = max(rates), min(rates)

    def at(self, progress: float) -> float:
        if progress < self.warmup:
            return self.start + (self.peak - self.start) * progress / self.warmup
        return self.peak + (self.end - self.peak) * (progress - self.warmup) / (1 - self.warmup)

    def describe(self) -> str:
        return f"{100 * self.start:.3g}% -> {100 * self.peak:.3g}% -> {100 * self.end:.3g}%"


class Valley(_Moving):
    """From `start` down to `end` at half time and up again, along a cosine (a control of arXiv 2208.10806)."""

    def at(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(2 * math.pi * progress)) / 2

    def describe(self) -> str:
        return f"{100 * self.start:.3g}% -> {100 * self.end:.3g}% -> {100 * self.start:.3g}%"
