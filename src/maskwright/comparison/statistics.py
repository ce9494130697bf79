"""How sure a difference is: intervals, paired tests over shared seeds, Holm's correction, and what a sweep can detect.

Values come as a table [S, A]: one row for each seed, one column for each arm, NaN where there is no finished run.
docs/comparing.md says why these tests were chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import optimize, stats

from maskwright.evaluation.intervals import ANY, Bounds, within

SPREADS = ("own", "pooled")


@dataclass
class Mean:
    """The mean over seeds with its spread (sd) and t interval; None where one run cannot tell."""

    n: int
    mean: float | None
    sd: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass
class Pair:
    """One comparison over the n seeds that a and b share; difference = mean of b - a.

    sd: spread of the differences. low, high: their interval, for this comparison alone. p: two-sided; p_holm: corrected
    for all comparisons of the family. detectable: the smallest true difference found with the wanted power after the
    correction; seeds_needed: seeds that would find a difference as large as the one observed. reason: why nothing was
    tested, else empty.
    """

    a: str
    b: str
    n: int = 0
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    t: float | None = None
    df: float | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    seeds_needed: int | None = None
    reason: str = ""

    def sure(self, alpha: float) -> bool:
        """Whether the difference holds after the correction."""
        return self.p_holm is not None and self.p_holm <= alpha


def mean_of(values: Sequence[float], alpha: float = 0.05, bounds: Bounds = ANY) -> Mean:
    """Mean, sd and the 1 - alpha interval: Student's t, between the bounds of the figure (`intervals.within`)."""
    known = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    if len(known) < 2:
        return Mean(len(known), float(known[0]) if len(known) else None)
    mean, sd = float(known.mean()), float(known.std(ddof=1))
    low, high = (mean, mean)
    if not _flat(known):
        low, high = within(mean, sd / np.sqrt(len(known)), len(known) - 1, bounds, 1 - alpha)
    return Mean(len(known), mean, sd, float(low), float(high))


def compare(
    values_SA: pd.DataFrame,
    pairs: Sequence[tuple[str, str]] | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    spread: str = "own",
    bounds: Bounds = ANY,
) -> list[Pair]:
    """Compare arms pair by pair (None: all pairs) over the seeds that both have, corrected as one family.

    spread: `own` takes each pair's differences alone (paired t test); `pooled` takes one spread for all arms after
    seeds are accounted for (a randomised block design), which knows more from few seeds and needs equal spreads.
    """
    tested = measure(values_SA, pairs, alpha, spread, bounds)
    correct(tested, alpha, power)
    return tested


def measure(
    values_SA: pd.DataFrame,
    pairs: Sequence[tuple[str, str]] | None = None,
    alpha: float = 0.05,
    spread: str = "own",
    bounds: Bounds = ANY,
) -> list[Pair]:
    """Differences, intervals and p values, not yet corrected; bounds: what the figure itself lies between."""
    pairs = list(combinations(values_SA.columns, 2)) if pairs is None else pairs
    blocks = _Blocks(values_SA) if spread == "pooled" and pairs else None
    values = {str(name): values_SA[name].to_numpy(dtype=float) for name in values_SA}
    found = [_one(a, b, np.stack([values[a], values[b]], 1), alpha, blocks) for a, b in pairs]
    widest = bounds[1] - bounds[0]
    for pair in found:
        if pair.low is not None and pair.high is not None:  # no difference is larger than the figure's whole range
            pair.low, pair.high = max(-widest, pair.low), min(widest, pair.high)
    return found


def correct(pairs: Sequence[Pair], alpha: float, power: float) -> None:
    """Holm's correction over all that were tested, and what could have been detected under it; in place."""
    from statsmodels.stats.multitest import multipletests

    tested = [pair for pair in pairs if pair.p is not None]
    if not tested:
        return
    corrected = multipletests([pair.p for pair in tested], alpha=alpha, method="holm")[1]
    strictest = alpha / len(tested)
    for pair, p in zip(tested, corrected):
        pair.p_holm = float(p)
        assert pair.sd is not None and pair.df is not None and pair.difference is not None
        pair.detectable = detectable(pair.sd / np.sqrt(pair.n), pair.df, strictest, power)
        per_seed = pair.df / max(1, pair.n - 1)
        pair.seeds_needed = seeds_needed(pair.difference, pair.sd, strictest, power, per_seed)


def spreads_differ(values_SA: pd.DataFrame, alpha: float = 0.01) -> bool:
    """Whether the arms' spreads, seeds accounted for, differ more than chance explains: Bartlett's statistic against
    that of simulated sweeps of as many seeds and arms with one spread, of which a share of alpha would warn.

    Residuals from each seed's median depend on each other, so the statistic does not follow its own law: at its 0.002
    one of 16 sweeps of 3 arms and 10 seeds would warn, and one of 70 of others. Seeds that an arm lacks do not count.
    """
    values_SA = values_SA.loc[:, values_SA.notna().sum() > 1].dropna()
    values = values_SA.to_numpy(dtype=float)
    values = values[:, [not _flat(arm) for arm in values.T]] if len(values) else values
    if min(values.shape) < 2:
        return False
    simulated = np.random.default_rng(0).normal(size=(_SIMULATED, *values.shape))
    larger = (_unequal(simulated) >= _unequal(values[None]) - 1e-9).sum()
    return float(1 + larger) / (1 + _SIMULATED) < alpha


def _unequal(values_NSA: np.ndarray) -> np.ndarray:
    """For each of N sweeps, how unequal the arms' spreads are: Bartlett's statistic but for a factor."""
    centred = values_NSA - values_NSA.mean(1, keepdims=True)
    # the median: one unsteady arm must not lend its spread to the others
    variance_NA = (centred - np.median(centred, axis=2, keepdims=True)).var(1)
    with np.errstate(divide="ignore"):
        return np.log(variance_NA.mean(1)) - np.log(variance_NA).mean(1)


_SIMULATED = 2000


def power_of(effect: float, df: float, alpha: float) -> float:
    """Power of a two-sided t test; effect = true difference / its standard error."""
    # statsmodels' TTestPower loses the far tail (nan at n = 10, effect 3; 0.8 "reached" at 0.04 for n = 3)
    edge = stats.t.isf(alpha / 2, df)
    return float(stats.nct.sf(edge, df, effect) + stats.nct.sf(edge, df, -effect))


@lru_cache(maxsize=4096)
def _effect(df: float, alpha: float, power: float) -> float:
    high = 4.0
    while power_of(high, df, alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda effect: power_of(effect, df, alpha) - power, 0.0, high))


def detectable(error: float, df: float, alpha: float, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided t test with this standard error finds with the wanted power."""
    return float(error) * _effect(df, alpha, power)


def seeds_needed(
    difference: float, sd: float, alpha: float, power: float, per_seed: float = 1.0, most: int = 1000
) -> int | None:
    """The fewest seeds with which a true `difference` is found with the wanted power; None above `most`.

    per_seed: degrees of freedom that each seed after the first brings.
    """

    def enough(n: int) -> bool:
        return abs(difference) / sd * np.sqrt(n) >= _effect(per_seed * (n - 1), alpha, power)

    if not enough(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


class _Blocks:
    """value = arm + seed + noise, fitted to all finished runs by least squares; the noise has one spread."""

    def __init__(self, values_SA: pd.DataFrame) -> None:
        import statsmodels.api as sm

        arm_N, seed_N = (part.ravel() for part in np.indices(values_SA.shape)[::-1])
        value_N = values_SA.to_numpy(dtype=float).ravel()
        known = np.isfinite(value_N)
        design = np.hstack([np.eye(values_SA.shape[1])[arm_N], np.eye(len(values_SA))[seed_N][:, 1:]])[known]
        self.columns, self.width = list(values_SA.columns), design.shape[1]
        self.fit = sm.OLS(value_N[known], design).fit() if known.any() else None

    def test(self, a: str, b: str, alpha: float) -> tuple[float, float, float, float, float, float, float] | None:
        """Difference, standard error, low, high, t, df, p; None when nothing is left to estimate the noise from."""
        if self.fit is None or self.fit.df_resid < 1:
            return None
        contrast = np.zeros(self.width)
        contrast[self.columns.index(b)], contrast[self.columns.index(a)] = 1, -1
        said = self.fit.t_test(contrast)
        low, high = np.ravel(said.conf_int(alpha))
        found = (said.effect, said.sd, low, high, said.tvalue, said.df_denom, said.pvalue)
        return tuple(float(np.ravel(part)[0]) for part in found)  # type: ignore[return-value]


def _one(a: str, b: str, values_S2: np.ndarray, alpha: float, blocks: _Blocks | None) -> Pair:
    shared = values_S2[np.isfinite(values_S2).all(1)]
    pair = Pair(a, b, len(shared))
    if not len(shared):
        pair.reason = "no seed in common"
        return pair
    difference_S = shared[:, 1] - shared[:, 0]
    pair.mean_a, pair.mean_b = (float(mean) for mean in shared.mean(0))
    pair.difference = float(difference_S.mean())
    if blocks is not None:
        found = blocks.test(a, b, alpha)
        if found is None or not found[1] > 1e-12 * np.abs(shared).max():
            pair.reason = "too few runs to tell the spread" if found is None else "nothing varies from seed to seed"
            return pair
        pair.difference, error, pair.low, pair.high, pair.t, pair.df, pair.p = found
        pair.sd = error * float(np.sqrt(len(shared)))
        return pair
    if len(shared) < 2:
        pair.reason = "one seed in common; a test needs two"
        return pair
    pair.sd = float(difference_S.std(ddof=1))
    if _flat(difference_S, np.abs(shared).max()):
        pair.reason = "the difference is the same for every seed; nothing varies that could be tested"
        return pair
    said = stats.ttest_rel(shared[:, 1], shared[:, 0])
    interval = said.confidence_interval(1 - alpha)
    pair.low, pair.high = float(interval.low), float(interval.high)
    pair.t, pair.df, pair.p = float(said.statistic), float(said.df), float(said.pvalue)
    return pair


def _flat(values: np.ndarray, scale: float | None = None) -> bool:
    """Whether values are equal but for rounding."""
    return bool(np.ptp(values) <= 1e-12 * (np.abs(values).max() if scale is None else scale))
