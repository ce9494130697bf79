"""Lengths of spans, in words or tokens: each is a law P(n), n = 0 .. longest, drawn from uniform noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from maskwright.errors import RecipeError

_MOST = 512


class Lengths(ABC):
    """A distribution of span lengths. longest: the largest one. chance: P(n) for n = 0 .. longest."""

    def __init__(self, chance: Sequence[float]) -> None:
        total = sum(chance)
        self.chance = [float(c) / total for c in chance]
        self.longest = len(chance) - 1
        if not 1 <= self.longest <= _MOST:
            raise RecipeError(f"masking.unit.lengths reaches {self.longest}; the longest span has 1 to {_MOST} pieces.")
        self._ends = torch.tensor(self.chance, dtype=torch.float64).cumsum(0)[:-1]

    def __call__(self, u: Tensor) -> Tensor:
        """Lengths int64 in the shape of the noise `u` in (0, 1), by inverse CDF."""
        self._ends = self._ends.to(u.device)
        return torch.searchsorted(self._ends, u, right=True)

    @property
    def survival(self) -> list[float]:
        """P(length > k) for k = 0 .. longest - 1."""
        return [sum(self.chance[k + 1 :]) for k in range(self.longest)]

    @property
    def mean(self) -> float:
        return sum(n * chance for n, chance in enumerate(self.chance))

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it; empty for SpanBERT's."""


def _chance(name: str, p: float) -> float:
    if not 0 < p < 1:
        raise RecipeError(f"masking.unit.lengths.{name} is {p}; it is a chance between 0 and 1.")
    return p


def _whole(name: str, value: int, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RecipeError(f"masking.unit.lengths.{name} is {value}; it is a whole number from {least} up.")
    return value


class Geometric(Lengths):
    """P(n) proportional to p (1 - p)^(n - 1) for n = 1 .. most (SpanBERT, arXiv 1907.10529: p 0.2, most 10)."""

    def __init__(self, p: float, most: int) -> None:
        self.p = _chance("p", p)
        super().__init__([0.0, *(p * (1 - p) ** n for n in range(_whole("most", most)))])

    def describe(self) -> str:
        return "" if (self.p, self.longest) == (0.2, 10) else f"~{self.mean:.2g}"


class GeometricModulo(Lengths):
    """Geometric lengths modulo `modulo`, zero included (LTG-BERT, arXiv 2303.09859: p 1/3, modulo 10, mean 2.74)."""

    def __init__(self, p: float, modulo: int) -> None:
        _chance("p", p)
        _whole("modulo", modulo, 2)
        chance = [p * (1 - p) ** (n - 1) for n in range(1, modulo)]
        super().__init__([p * (1 - p) ** (modulo - 1), *chance])  # n and n + modulo k add up to the same proportion

    def describe(self) -> str:
        return f"~{self.mean:.2g}"


class Poisson(Lengths):
    """Poisson lengths, zero included, cut off at `most` (BART, arXiv 1910.13461: mean 3).

    A span of length 0 hides nothing; a corruption that shows one [MASK] per span inserts one there.
    """

    def __init__(self, mean: float, most: int) -> None:
        if not mean > 0:
            raise RecipeError(f"masking.unit.lengths.mean is {mean}; it is a number above 0.")
        most = _whole("most", most)
        super().__init__([math.exp(-mean) * mean**n / math.factorial(n) for n in range(most + 1)])

    def describe(self) -> str:
        return f"Poisson({self.mean:.2g})"


class Fixed(Lengths):
    """Every span has `length` pieces."""

    def __init__(self, length: int) -> None:
        super().__init__([0.0] * _whole("length", length) + [1.0])

    def describe(self) -> str:
        return f"of {self.longest}"


class Listed(Lengths):
    """Lengths 1, 2, ... with the shares listed (MacBERT, arXiv 2004.13922: 0.4, 0.3, 0.2, 0.1; equal ones: uniform)."""

    def __init__(self, shares: Sequence[float]) -> None:
        shares = list(shares)
        if not shares or min(shares) < 0 or not sum(shares) > 0 or shares[-1] == 0:
            raise RecipeError(
                f"masking.unit.lengths.shares is {shares}; list the shares of lengths 1, 2, ..., the last above 0."
            )
        super().__init__([0.0, *shares])

    def describe(self) -> str:
        return f"1-{self.longest}"
