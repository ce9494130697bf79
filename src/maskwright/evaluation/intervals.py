"""How sure a figure is: 95 % intervals that respect that items come in groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95


class Interval(NamedTuple):
    """A figure between `low` and `high`; NaN where there is too little to tell."""

    value: float
    low: float
    high: float

    def figures(self, name: str) -> dict[str, float]:
        """As entries of a result: name, name/low, name/high."""
        return {name: self.value, f"{name}/low": self.low, f"{name}/high": self.high}

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def over_items(values: Sequence[float] | np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """The mean of independent items with Student's t interval."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else math.nan, math.nan, math.nan)
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return _bounded(values.mean(), half, bounds)


def proportion(right: float, n: int) -> Interval:
    """A share of n independent yes-or-no items (Wilson's score interval; ties may make `right` a fraction)."""
    if not n:
        return Interval(math.nan, math.nan, math.nan)
    z, p = stats.norm.ppf((1 + LEVEL) / 2), right / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return Interval(p, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)))


def over_groups(share_G: Sequence[float] | np.ndarray, right: float, n: int) -> Interval:
    """The unweighted mean of groups' shares, the group being what varies; of one group, by its n items.

    Groups that all agree say nothing of how groups differ: the interval is then that of as many yes-or-no items.
    """
    if len(share_G) < 2:
        return proportion(right, n)
    share_G = np.asarray(share_G, dtype=float)
    if np.ptp(share_G) == 0:
        return proportion(share_G.sum(), len(share_G))
    return over_items(share_G, (0.0, 1.0))


def clustered(
    values_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[object] | np.ndarray,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """The mean over all items where items of one cluster go together, see `ratio`.

    bounds: what the items lie between; those of a single cluster, and items that all agree, are taken as yes-or-no
    items where that is 0 and 1, and else tell no interval.
    """
    values_N = np.asarray(values_N, dtype=float)
    _, cluster_N = np.unique(np.asarray(cluster_N), return_inverse=True)
    groups = int(cluster_N.max(initial=-1)) + 1
    mean = float(values_N.mean()) if len(values_N) else math.nan
    if groups < 2 or np.ptp(values_N) == 0:
        if bounds != (0.0, 1.0):
            return Interval(mean, math.nan, math.nan)
        return proportion(values_N.sum(), len(values_N)) if groups < 2 else proportion(mean * groups, groups)
    return ratio(values_N, np.ones(len(values_N)), cluster_N, bounds)


def ratio(
    total_N: Sequence[float] | np.ndarray,
    size_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[object] | np.ndarray,
    bounds: tuple[float, float] = (0.0, math.inf),
) -> Interval:
    """A sum over a sum, such as nats per token, where items of one cluster go together: the linearised cluster-robust
    standard error (Liang and Zeger 1986, with the factor G / (G - 1)) and Student's t with G - 1 degrees of freedom."""
    total_N, size_N = np.asarray(total_N, dtype=float), np.asarray(size_N, dtype=float)
    _, cluster_N = np.unique(np.asarray(cluster_N), return_inverse=True)
    groups, size = int(cluster_N.max(initial=-1)) + 1, size_N.sum()
    value = float(total_N.sum() / size) if size else math.nan
    if groups < 2:
        return Interval(value, math.nan, math.nan)
    sums_G = np.bincount(cluster_N, weights=total_N - value * size_N, minlength=groups)
    error = math.sqrt(groups / (groups - 1) * (sums_G**2).sum()) / size
    return _bounded(value, stats.t.ppf((1 + LEVEL) / 2, groups - 1) * error, bounds)


def guessing(chance_N: Sequence[float] | np.ndarray) -> Interval:
    """What picking one option of each item at random gives: the expected share right and where 95 % of such guesses
    lie (items independent)."""
    chance_N = np.asarray(chance_N, dtype=float)
    if not len(chance_N):
        return Interval(math.nan, math.nan, math.nan)
    half = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt((chance_N * (1 - chance_N)).sum()) / len(chance_N)
    return _bounded(chance_N.mean(), half, (0.0, 1.0))


def correlation(r: float, n: int, ranks: bool = True) -> Interval:
    """A correlation over n items by Fisher's z: of ranks (with the variance of Bonett and Wright 2000) or Pearson's."""
    if n < 4 or not math.isfinite(r) or abs(r) >= 1:
        return Interval(r, math.nan, math.nan)
    half = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt((1 + ranks * r**2 / 2) / (n - 3))
    return Interval(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))


def _bounded(mean: float, half: float, bounds: tuple[float, float]) -> Interval:
    return Interval(float(mean), max(bounds[0], float(mean - half)), min(bounds[1], float(mean + half)))
