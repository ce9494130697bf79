"""Scores equal those by hand and those of a loop over all cuts."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from maskwright.annotation.ngrams import NgramCounts, Order, ngram_counts
from maskwright.annotation.scorers import PMI, DiscountedPMI, TTest
from maskwright.errors import RecipeError


def toy():
    """`new york city` 4 times, `new york` 8 times among 100 words: `york` hardly ever stands without `new`."""
    nothing = np.full(3, -1)
    ones = Order(nothing, nothing, np.arange(3), np.array([9, 8, 20]), 100)  # new, york, city
    twos = Order(np.array([0, 1]), np.array([1, 2]), np.array([1, 2]), np.array([8, 4]), 90)  # new york, york city
    threes = Order(np.array([0]), np.array([1]), np.array([2]), np.array([4]), 80)
    return NgramCounts(["new", "york", "city"], [ones, twos, threes])


def test_the_least_cut_is_two_segments():
    score = PMI(square=False)(toy(), 3)[0]
    cuts = {
        "new york | city": math.log((4 / 80) / (8 / 90 * 20 / 100)),
        "new | york city": math.log((4 / 80) / (9 / 100 * 4 / 90)),
        "new | york | city": math.log((4 / 80) / (9 / 100 * 8 / 100 * 20 / 100)),
    }
    assert min(cuts, key=cuts.get) == "new york | city"
    assert score == pytest.approx(cuts["new york | city"], abs=1e-12)
    assert PMI(square=True)(toy(), 3)[0] == pytest.approx(score + math.log(4 / 80), abs=1e-12)
    pairs = [math.log((8 / 90) / (9 / 100 * 8 / 100)), math.log((4 / 90) / (8 / 100 * 20 / 100))]
    assert PMI(square=False)(toy(), 2) == pytest.approx(pairs, abs=1e-12)


def test_t_by_hand():
    share, alone = 4 / 80, 9 / 100 * 8 / 100 * 20 / 100
    assert TTest()(toy(), 3)[0] == pytest.approx((share - alone) / math.sqrt(share * (1 - share) / 80), abs=1e-9)


@pytest.fixture(scope="module")
def real(source):
    return ngram_counts(source, 6, 3)


def shares(counts, length):
    order = counts.orders[length - 1]
    rows = counts.numbers(np.arange(len(order.count_N)), length)
    return {tuple(row): count / order.total for row, count in zip(rows.tolist(), order.count_N)}


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("square", [False, True])
def test_pmi_equals_a_loop_over_all_cuts(real, length, square):
    p = {ngram: share for size in range(1, length + 1) for ngram, share in shares(real, size).items()}
    expected = []
    for ngram in shares(real, length):
        cuts = [cut for number in range(1, length) for cut in combinations(range(1, length), number)]
        parts = [[ngram[a:b] for a, b in zip((0, *cut), (*cut, length))] for cut in cuts]
        power = 2 if square else 1
        expected.append(min(math.log(p[ngram] ** power / math.prod(p[part] for part in cut)) for cut in parts))
    assert len(expected) > 10
    assert PMI(square)(real, length) == pytest.approx(expected, abs=1e-9)


def test_the_discount_and_the_percentile(real):
    count = real.orders[1].count_N
    least = np.percentile(count, 80)
    score = DiscountedPMI(80.0)(real, 2)
    chosen = count > least
    assert np.isneginf(score[~chosen]).all()
    assert 0 < chosen.mean() < 0.25
    plain, log = PMI(False)(real, 2)[chosen], np.log(count[chosen])
    assert score[chosen] == pytest.approx(plain * log / (math.log(least) + log), abs=1e-9)


def test_an_impossible_percentile_is_refused():
    with pytest.raises(RecipeError, match="percentile is 100; it lies between 0 and 100"):
        DiscountedPMI(100)
