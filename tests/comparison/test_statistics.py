"""The statistics against hand formulas, and on synthetic sweeps whose truth is known."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maskwright.comparison import statistics
from maskwright.comparison.statistics import (
    compare,
    detectable,
    mean_of,
    measure,
    power_of,
    seeds_needed,
    spreads_differ,
)

SEED_SD, NOISE_SD = 2.0, 1.0  # what seeds have in common is larger than what tells runs of one seed apart


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """statsmodels' multipletests collects garbage at each call, which takes longer than the rest."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


def table(rng, seeds, means, noise=NOISE_SD):
    """A sweep: arm + seed + noise."""
    values = np.asarray(means) + SEED_SD * rng.normal(size=(seeds, 1)) + noise * rng.normal(size=(seeds, len(means)))
    return pd.DataFrame(values, columns=[chr(ord("a") + arm) for arm in range(len(means))])


def within(count, times, share, z=3.3):
    """Whether a count agrees with its binomial law (a false alarm in a thousand)."""
    return abs(count - times * share) <= z * np.sqrt(times * share * (1 - share))


def test_a_mean_with_its_interval_is_students():
    values = [1.0, 2.0, 4.0]
    mean = mean_of([*values, float("nan")], alpha=0.1)
    half = stats.t.ppf(0.95, 2) * np.std(values, ddof=1) / np.sqrt(3)
    assert (mean.n, mean.mean, mean.sd) == (3, pytest.approx(7 / 3), pytest.approx(np.std(values, ddof=1)))
    assert (mean.low, mean.high) == (pytest.approx(7 / 3 - half), pytest.approx(7 / 3 + half))
    assert mean_of([3.0]) == statistics.Mean(1, 3.0) and mean_of([]) == statistics.Mean(0, None)
    assert (mean_of([5.0, 5.0]).low, mean_of([5.0, 5.0]).sd) == (5.0, 0.0)
    share = mean_of([0.75, 0.8125], bounds=(0.0, 1.0))
    assert share.low > 0 and share.high < 1 and share.high < mean_of([0.75, 0.8125]).high


def test_a_difference_is_no_larger_than_the_figures_range():
    values = pd.DataFrame({"a": [0.1, 0.9], "b": [0.95, 0.2]})
    (free,), (held,) = compare(values), compare(values, bounds=(0.0, 1.0))
    assert free.low < -1 and free.high > 1 and (held.low, held.high, held.p) == (-1.0, 1.0, free.p)


def test_a_paired_test_is_the_one_sample_test_of_the_differences():
    values = table(np.random.default_rng(0), 5, [0, 0.5])
    (pair,) = compare(values)
    difference = (values["b"] - values["a"]).to_numpy()
    by_hand = stats.ttest_1samp(difference, 0)
    half = stats.t.ppf(0.975, 4) * difference.std(ddof=1) / np.sqrt(5)
    assert (pair.difference, pair.sd) == (pytest.approx(difference.mean()), pytest.approx(difference.std(ddof=1)))
    assert (pair.p, pair.t, pair.df) == (pytest.approx(by_hand.pvalue), pytest.approx(by_hand.statistic), 4)
    assert (pair.low, pair.high) == (pytest.approx(pair.difference - half), pytest.approx(pair.difference + half))
    assert pair.p_holm == pair.p


def test_only_seeds_that_both_have_count():
    values = table(np.random.default_rng(0), 6, [0, 0, 0])
    values.loc[[0, 1], "a"] = np.nan
    values.loc[[5], "b"] = np.nan
    values.loc[[0, 1, 2, 3, 4], "c"] = np.nan
    ab, ac, bc = compare(values)
    assert ab.n == 3 and ab.difference == pytest.approx((values["b"] - values["a"])[2:5].mean())
    assert (ac.n, ac.p, ac.reason) == (1, None, "one seed in common; a test needs two") and ac.difference is not None
    assert (bc.n, bc.difference, bc.reason) == (0, None, "no seed in common")
    assert ab.p_holm == ab.p  # what could not be tested does not count


def test_differences_that_do_not_vary_are_not_tested():
    same = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.5, 2.5, 3.5]})
    for spread in statistics.SPREADS:
        (pair,) = compare(same, spread=spread)
        assert pair.difference == pytest.approx(0.5) and pair.p is None and "varies" in pair.reason


def test_holms_correction_by_hand():
    values = table(np.random.default_rng(3), 4, [0, 1, 2, 4])
    pairs = sorted(compare(values), key=lambda pair: pair.p)
    reached = 0.0
    for place, pair in enumerate(pairs):
        reached = max(reached, min(1.0, pair.p * (len(pairs) - place)))
        assert pair.p_holm == pytest.approx(reached)


def test_pooled_is_the_randomised_block_design():
    values = table(np.random.default_rng(0), 4, [0, 1, 2])
    array = values.to_numpy()
    residual = array - array.mean(0) - array.mean(1, keepdims=True) + array.mean()
    df = 3 * 2
    error = np.sqrt((residual**2).sum() / df * 2 / 4)
    for pair in compare(values, spread="pooled"):
        difference = values[pair.b].mean() - values[pair.a].mean()
        assert (pair.difference, pair.df) == (pytest.approx(difference), df)
        assert pair.p == pytest.approx(2 * stats.t.sf(abs(difference) / error, df))
        assert pair.high - pair.difference == pytest.approx(stats.t.ppf(0.975, df) * error)


def test_pooled_uses_runs_whose_partner_is_missing():
    values = table(np.random.default_rng(1), 5, [0, 1, 2])
    values.loc[0, "a"] = np.nan
    full = {(pair.a, pair.b): pair for pair in compare(values, spread="pooled")}
    assert all(pair.p is not None for pair in full.values()) and full["b", "c"].df == (5 * 3 - 1) - (3 + 5 - 1)
    (alone,) = measure(pd.DataFrame({"a": [1.0], "b": [2.0]}), spread="pooled")
    assert alone.reason == "too few runs to tell the spread" and alone.difference == 1.0


@pytest.mark.parametrize(
    ("spread", "seeds", "arms", "times"), [("own", 3, 4, 1000), ("own", 5, 3, 1000), ("pooled", 3, 4, 700)]
)
def test_without_a_difference_few_sweeps_show_one(spread, seeds, arms, times):
    """False positives: 5 % of single tests, at most 5 % of corrected families; intervals cover 95 %."""
    rng = np.random.default_rng(0)
    alone = family = covered = 0
    for _ in range(times):
        pairs = compare(table(rng, seeds, [0.0] * arms), spread=spread)
        alone += pairs[0].p <= 0.05
        covered += pairs[-1].low <= 0 <= pairs[-1].high
        family += any(pair.sure(0.05) for pair in pairs)
    assert within(alone, times, 0.05), alone / times
    assert within(covered, times, 0.95), covered / times
    assert family <= times * 0.05 + 3.3 * np.sqrt(times * 0.05 * 0.95), family / times
    assert family >= times * 0.02, "the correction is far too strict"


def test_uncorrected_tests_would_show_many():
    """The same sweeps without a correction: the test above can fail."""
    rng = np.random.default_rng(0)
    family = sum(any(pair.p <= 0.05 for pair in measure(table(rng, 3, [0.0] * 4))) for _ in range(500))
    assert family > 500 * 0.12


def test_holm_keeps_the_rate_when_some_differences_are_real():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(800):
        pairs = {(pair.a, pair.b): pair for pair in compare(table(rng, 4, [0.0, 0.0, 9.0, 9.0]))}
        false += pairs["a", "b"].sure(0.05) or pairs["c", "d"].sure(0.05)
    assert false <= 800 * 0.05 + 3.3 * np.sqrt(800 * 0.05 * 0.95)


@pytest.mark.parametrize("effect", [0.5, 2.0, 4.0])
def test_power_is_as_predicted(effect):
    rng, times, seeds = np.random.default_rng(2), 1000, 4
    found = sum(measure(table(rng, seeds, [0.0, effect]))[0].p <= 0.05 for _ in range(times))
    predicted = power_of(effect / (NOISE_SD * np.sqrt(2) / np.sqrt(seeds)), seeds - 1, 0.05)
    assert within(found, times, predicted), (found / times, predicted)


@pytest.mark.parametrize("spread", statistics.SPREADS)
def test_the_detectable_difference_is_found_four_times_of_five(spread):
    """With the true spread put in, it is found with the power asked for at the strictest step of the correction."""
    rng, times, seeds, arms = np.random.default_rng(4), 600, 4, 3
    df = seeds - 1 if spread == "own" else (seeds - 1) * (arms - 1)
    size = detectable(NOISE_SD * np.sqrt(2 / seeds), df, 0.05 / 3, 0.8)
    found = 0
    for _ in range(times):
        pair = measure(table(rng, seeds, [0.0, size, 0.0]), [("a", "b")], spread=spread)[0]
        found += pair.p <= 0.05 / 3
    assert within(found, times, 0.8), found / times


def test_what_the_table_calls_detectable_is_that_of_its_own_spread():
    values = table(np.random.default_rng(5), 4, [0, 0, 0])
    for pair in compare(values, alpha=0.1, power=0.9):
        error = (values[pair.b] - values[pair.a]).std(ddof=1) / 2
        assert power_of(pair.detectable / error, 3, 0.1 / 3) == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("df", [1, 2, 3, 9, 50])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 276])
def test_power_by_integration(df, alpha):
    """Against the integral over the variance, where statsmodels' solver loses the tail."""
    from scipy.integrate import quad

    edge = stats.t.isf(alpha / 2, df)
    for effect in (0.3, 3.0, 12.0):

        def reject(s, effect=effect):
            """s: the spread found, in units of the true one."""
            cut = edge * s
            density = stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df)
            return (stats.norm.sf(cut - effect) + stats.norm.cdf(-cut - effect)) * density

        parts = sorted({0.0, *(effect / edge * k for k in (0.3, 1, 3)), 0.5, 1.0, 2.0, 12.0})
        exact = sum(quad(reject, a, b, limit=200)[0] for a, b in pairwise(parts))
        assert power_of(effect, df, alpha) == pytest.approx(exact, rel=1e-4)


def test_seeds_needed_is_the_first_number_with_the_power():
    for difference, sd in ((1.0, 1.0), (0.3, 1.0), (5.0, 1.0)):
        n = seeds_needed(difference, sd, 0.05, 0.8)
        assert power_of(difference / sd * np.sqrt(n), n - 1, 0.05) >= 0.8
        assert n == 2 or power_of(difference / sd * np.sqrt(n - 1), n - 2, 0.05) < 0.8
    assert seeds_needed(0.001, 1.0, 0.05, 0.8) is None and seeds_needed(0.0, 1.0, 0.05, 0.8) is None
    assert seeds_needed(1.0, 1.0, 0.05, 0.8, per_seed=5) < seeds_needed(1.0, 1.0, 0.05, 0.8)


def test_unequal_spreads_are_noticed_and_equal_ones_are_not():
    rng = np.random.default_rng(6)
    for seeds, means in ((5, [0.0] * 4), (10, [0.0, 30.0, 60.0]), (10, [0.0] * 3), (3, [0.0] * 12)):
        assert within(sum(spreads_differ(table(rng, seeds, means), 0.1) for _ in range(50)), 50, 0.1)
    assert not spreads_differ(table(rng, 2, [0.0, 1.0, 2.0]))  # two seeds cannot tell
    values = table(rng, 6, [0.0] * 4)
    values["a"] += 40 * rng.normal(size=6)
    assert spreads_differ(values)


def test_all_pairs_by_default_and_named_ones_otherwise():
    values = table(np.random.default_rng(0), 3, [0, 1, 2])
    assert [(pair.a, pair.b) for pair in compare(values)] == list(combinations("abc", 2))
    (pair,) = compare(values, [("c", "a")])
    assert pair.difference == pytest.approx(values["a"].mean() - values["c"].mean()) and pair.p_holm == pair.p
