"""How sure a figure is: 95 % intervals that respect that items come in groups."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
Bounds = tuple[float, float]
ANY: Bounds = (-math.inf, math.inf)
SHARE: Bounds = (0.0, 1.0)
_SHARES = {
    "accuracy", "acc", "f1", "auc", "auroc", "ndcg", "mrr", "map", "recall", "precision", "match", "em", "hits", "ece",
    "coverage", "mfu", "share",
}  # fmt: skip
_CORRELATIONS = {"mcc", "matthews", "correlation", "spearman", "pearson"}
_COUNTS = {
    "loss",
    "nats",
    "perplexity",
    "ppl",
    "bits",
    "byte",
    "bpb",
    "mse",
    "rmse",
    "mae",
    "brier",
    "seconds",
    "flops",
}


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


def bounds_of(name: str, values: Sequence[float] | np.ndarray = ()) -> Bounds:
    """What a figure of that name lies between, from its last telling word; `ANY` where `values` say otherwise."""
    for word in reversed(re.split(r"[^a-z0-9]+", name.lower())):
        if word in _SHARES | _CORRELATIONS | _COUNTS:
            found = SHARE if word in _SHARES else (-1.0, 1.0) if word in _CORRELATIONS else (0.0, math.inf)
            return found if all(found[0] <= value <= found[1] for value in values) else ANY
    return ANY


def within(mean: float, error: float, df: float, bounds: Bounds, level: float = LEVEL) -> tuple[float, float]:
    """The interval of an estimated mean with its standard error: Student's t with `df` degrees of freedom, cut off at
    a single bound.

    Between two bounds it is Wilson's score interval (1927) of the share of the way from one to the other, for the
    number of yes-or-no items that would have this error (Kish's effective size) and with t in place of the normal
    quantile: never outside, and the t interval where the bounds are many errors away.
    """
    t = _students(df, level)
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        return max(low, float(mean - t * error)), min(high, float(mean + t * error))
    p = (mean - low) / (high - low)
    spread = (error / (high - low)) ** 2  # p (1 - p) / n of the effective size n
    inverse = t**2 * spread / (p * (1 - p)) if p * (1 - p) > 0 else math.inf
    if not math.isfinite(inverse):
        return low, high
    middle, half = p + inverse / 2, t * math.sqrt(spread + inverse**2 / (4 * t**2))
    ends = (middle - half) / (1 + inverse), (middle + half) / (1 + inverse)
    return low + (high - low) * max(0.0, float(ends[0])), low + (high - low) * min(1.0, float(ends[1]))


def over_items(values: Sequence[float] | np.ndarray, bounds: Bounds = ANY) -> Interval:
    """The mean of independent items, see `within`. Items that all agree are taken as yes-or-no items between two
    bounds, and else tell no interval."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else math.nan, math.nan, math.nan)
    if _agree(values):
        return _alike(float(values[0]), len(values), bounds)
    error = values.std(ddof=1) / math.sqrt(len(values))
    return Interval(float(values.mean()), *within(float(values.mean()), error, len(values) - 1, bounds))


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
    return over_items(share_G, SHARE)


def clustered(
    values_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[object] | np.ndarray,
    bounds: Bounds = SHARE,
) -> Interval:
    """The mean over all items where items of one cluster go together, see `ratio`.

    bounds: what the items lie between; those of a single cluster, and clusters that all agree, are taken as yes-or-no
    items between two bounds, and else tell no interval.
    """
    values_N = np.asarray(values_N, dtype=float)
    _, cluster_N = np.unique(np.asarray(cluster_N), return_inverse=True)
    groups = int(cluster_N.max(initial=-1)) + 1
    mean = float(values_N.mean()) if len(values_N) else math.nan
    if groups < 2:
        return _alike(mean, len(values_N), bounds)
    return ratio(values_N, np.ones(len(values_N)), cluster_N, bounds)


def ratio(
    total_N: Sequence[float] | np.ndarray,
    size_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[object] | np.ndarray,
    bounds: Bounds = (0.0, math.inf),
) -> Interval:
    """A sum over a sum, such as nats per token, where items of one cluster go together: the linearised cluster-robust
    standard error (Liang and Zeger 1986, with the factor G / (G - 1)) and G - 1 degrees of freedom, see `within`."""
    total_N, size_N = np.asarray(total_N, dtype=float), np.asarray(size_N, dtype=float)
    _, cluster_N = np.unique(np.asarray(cluster_N), return_inverse=True)
    groups, size = int(cluster_N.max(initial=-1)) + 1, size_N.sum()
    value = float(total_N.sum() / size) if size else math.nan
    if groups < 2:
        return Interval(value, math.nan, math.nan)
    sums_G = np.bincount(cluster_N, weights=total_N - value * size_N, minlength=groups)
    if np.abs(sums_G).max() <= 1e-12 * np.abs(total_N).sum():
        return _alike(value, groups, bounds)
    error = math.sqrt(groups / (groups - 1) * (sums_G**2).sum()) / size
    return Interval(value, *within(value, error, groups - 1, bounds))


def guessing(chance_N: Sequence[float] | np.ndarray) -> Interval:
    """What picking one option of each item at random gives: the expected share right and where 95 % of such guesses
    lie (items independent)."""
    chance_N = np.asarray(chance_N, dtype=float)
    if not len(chance_N):
        return Interval(math.nan, math.nan, math.nan)
    half = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt((chance_N * (1 - chance_N)).sum()) / len(chance_N)
    mean = float(chance_N.mean())
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def correlation(r: float, n: int, ranks: bool = True) -> Interval:
    """A correlation over n items by Fisher's z: of ranks (with the variance of Bonett and Wright 2000) or Pearson's."""
    if n < 4 or not math.isfinite(r) or abs(r) >= 1:
        return Interval(r, math.nan, math.nan)
    half = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt((1 + ranks * r**2 / 2) / (n - 3))
    return Interval(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))


@lru_cache(maxsize=1024)
def _students(df: float, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, df))


def _agree(values: np.ndarray) -> bool:
    """Whether values are equal but for rounding."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _alike(value: float, n: int, bounds: Bounds) -> Interval:
    """n items of one value: as yes-or-no items between two bounds; else nothing is known of how items differ."""
    low, high = bounds
    if not n or not (math.isfinite(low) and math.isfinite(high) and low < high):
        return Interval(value, math.nan, math.nan)
    share = proportion((value - low) / (high - low) * n, n)
    return Interval(value, low + (high - low) * share.low, low + (high - low) * share.high)
