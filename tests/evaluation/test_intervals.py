"""Intervals against scipy, statsmodels and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from maskwright.evaluation.intervals import (
    ANY,
    SHARE,
    bounds_of,
    clustered,
    correlation,
    guessing,
    over_groups,
    over_items,
    proportion,
    ratio,
    within,
)


def test_a_mean_is_scipys_t_interval():
    values = np.random.default_rng(0).normal(2, 3, 17)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert over_items(values) == pytest.approx((values.mean(), expected.low, expected.high))
    assert np.isnan(over_items([1.0]).low)
    assert over_items([2.0, 2.0, 2.0])[1:] == pytest.approx((math.nan, math.nan), nan_ok=True)  # nothing tells a spread


@pytest.mark.parametrize("bounds", [SHARE, (-1.0, 1.0), (1.0, 5.0), (0.0, math.inf)])
@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_no_interval_leaves_the_range_of_its_figure(n, bounds):
    low, high = bounds[0], min(bounds[1], 10.0)
    random = np.random.default_rng(n)
    for shape in ((0.2, 0.2), (0.1, 3.0), (30.0, 0.3), (500.0, 1.0)):
        for share in random.beta(*shape, (40, n)):
            values = low + (high - low) * share
            by_hand = over_items(values, bounds), ratio(values, np.ones(n), range(n), bounds)
            for found in (*by_hand, clustered(values, np.arange(n) // 2, bounds)):
                assert math.isnan(found.low) or bounds[0] <= found.low <= found.value <= found.high <= bounds[1]
    for value in (low, high):
        same = over_items([value] * n, bounds)
        assert math.isnan(same.low) if math.isinf(bounds[1]) else low <= same.low < same.high <= high


def test_two_seeds_of_a_high_accuracy():
    """Student's t says 0.38 to 1.18."""
    found = over_items([0.75, 0.8125], SHARE)
    assert stats.ttest_1samp([0.75, 0.8125], 0).confidence_interval().high > 1.17
    assert 0.3 < found.low < 0.78125 < found.high < 0.99


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("shape", [(50, 10), (9, 1), (99, 1), (0.5, 0.5)], ids=str)
def test_means_of_few_shares_are_covered_as_promised(shape, n):
    """1,000 simulations of seeds' accuracies; Student's t, cut off at 1, covers as little as 0.87 near the edge."""
    truth, covered, cut = shape[0] / sum(shape), 0, 0
    for values in np.random.default_rng(7).beta(*shape, (1000, n)):
        low, high = over_items(values, SHARE)[1:]
        covered += low <= truth <= high
        low, high = over_items(values)[1:]
        cut += low <= truth <= high
    assert covered / 1000 >= max(0.905, cut / 1000 - 0.01)


def test_between_bounds_it_is_wilsons_interval_of_the_effective_size():
    """Of a share p with the error of n items, and the t interval where the bounds are far."""
    p, n = 0.3, 40
    expected = stats.binomtest(12, 40).proportion_ci(method="wilson")
    found = within(p, math.sqrt(p * (1 - p) / n), 1e9, SHARE)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-6)
    scaled = within(1 + 4 * p, 4 * math.sqrt(p * (1 - p) / n), 1e9, (1.0, 5.0))
    assert scaled == pytest.approx((1 + 4 * expected.low, 1 + 4 * expected.high), rel=1e-6)
    assert within(0.5, 1e-5, 4, SHARE) == pytest.approx(within(0.5, 1e-5, 4, ANY), rel=1e-6)


def test_a_figures_name_says_its_bounds():
    assert bounds_of("ruler/accuracy", [0.2, 1.0]) == bounds_of("test/span_f1") == bounds_of("ndcg@10") == SHARE
    assert bounds_of("test/mcc") == bounds_of("spearman") == (-1.0, 1.0)
    assert bounds_of("ruler/loss") == (0.0, math.inf)
    assert bounds_of("accuracy", [83.0]) == bounds_of("anything") == ANY  # percent are no shares


@pytest.mark.parametrize(("right", "n"), [(0, 9), (4, 9), (9, 9), (700, 1000)])
def test_a_share_is_scipys_wilson_interval(right, n):
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert proportion(right, n) == pytest.approx((right / n, expected.low, expected.high))


def test_clusters_as_statsmodels():
    statsmodels = pytest.importorskip("statsmodels.api")
    random = np.random.default_rng(1)
    cluster = random.integers(0, 12, 300)
    values = (random.random(300) < random.random(12)[cluster]).astype(float)
    fit = statsmodels.OLS(values, np.ones(300)).fit(
        cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False, "df_correction": True}, use_t=True
    )
    low, high = clustered(values, cluster)[1:]
    error = fit.bse[0] * np.sqrt(12 / 11)
    assert (low, high) == pytest.approx(within(values.mean(), error, 11, SHARE))
    half = stats.t.ppf(0.975, 11) * error
    assert ratio(values, np.ones(300), cluster, ANY)[1:] == pytest.approx((values.mean() - half, values.mean() + half))


def test_clustered_intervals_hold_what_they_promise():
    """In 95 % of simulations with strong clusters; by item they would be far too narrow."""
    random = np.random.default_rng(2)
    covered = naive = 0
    for _ in range(400):
        share = random.beta(2, 2, 20)
        values = (random.random((20, 25)) < share[:, None]).astype(float).ravel()
        interval, by_item = clustered(values, np.repeat(np.arange(20), 25)), proportion(values.sum(), len(values))
        covered += interval.low <= 0.5 <= interval.high
        naive += by_item.low <= 0.5 <= by_item.high
    assert 0.92 < covered / 400 < 0.98 and naive / 400 < 0.7


def test_clusters_of_any_numbers_have_any_bounds():
    """What is no share is not held between 0 and 1, and a single text says nothing of others."""
    values, cluster = np.array([3.0, 5.0, 9.0, 7.0]), [0, 0, 1, 1]
    mean, low, high = clustered(values, cluster, (0, math.inf))
    error = math.sqrt(2 * (4.0**2 + 4.0**2)) / 4  # sums of deviations by cluster: -4 and 4; the factor is 2 / 1
    assert (mean, low, high) == pytest.approx((6.0, 0.0, 6.0 + stats.t.ppf(0.975, 1) * error))
    alone = clustered(values, [0] * 4, (0, math.inf))
    assert alone.value == 6.0 and math.isnan(alone.low) and math.isnan(alone.high)


def test_groups_that_agree_and_single_groups():
    assert over_groups([0.5], 5, 10) == proportion(5, 10)
    assert over_groups([1.0, 1.0, 1.0], 30, 30) == proportion(3, 3)  # three groups say little, though all are right
    assert clustered([1.0] * 30, np.repeat([0, 1, 2], 10)) == proportion(3, 3)
    assert over_groups([0.2, 0.6], 8, 20) == over_items([0.2, 0.6], (0, 1))


def test_guessing_is_the_spread_of_random_answers():
    chance = [0.5] * 40 + [0.2] * 10
    random = np.random.default_rng(3)
    guesses = (random.random((20_000, 50)) < np.array(chance)).mean(1)
    interval = guessing(chance)
    assert interval.value == pytest.approx(0.44)
    assert np.mean((guesses >= interval.low) & (guesses <= interval.high)) == pytest.approx(0.95, abs=0.02)


def test_pearsons_interval_is_scipys():
    random = np.random.default_rng(5)
    x = random.normal(size=50)
    found = stats.pearsonr(x, x + random.normal(size=50))
    expected = found.confidence_interval()
    interval = correlation(float(found.statistic), 50, ranks=False)
    assert interval == pytest.approx((found.statistic, expected.low, expected.high))


def test_correlations():
    interval = correlation(0.6, 100)
    assert interval.low < 0.6 < interval.high and interval.high - 0.6 < 0.6 - interval.low
    random = np.random.default_rng(4)
    covered = 0
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's of a normal pair with correlation 0.6
    for _ in range(300):
        x = random.normal(size=80)
        y = 0.6 * x + 0.8 * random.normal(size=80)
        low, high = correlation(float(stats.spearmanr(x, y).statistic), 80)[1:]
        covered += low <= truth <= high
    assert 0.91 < covered / 300 < 0.99
