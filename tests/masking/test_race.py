"""The race against enumeration and closed forms."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from maskwright.masking import race
from maskwright.masking.noise import uniform


def test_the_earliest_are_weighted_sampling_without_replacement():
    """Frequencies of every pair against successive sampling, enumerated."""
    weights, rows = [1.0, 2.0, 0.5, 4.0, 0.0], 60_000
    u = uniform((0, 0, torch.arange(rows)), 5)
    arrival = race.weighted(u, torch.tensor(weights).double().expand(rows, 5))
    ranking = race.rank(arrival, torch.ones(rows, 5, dtype=torch.bool), 2)
    assert ranking.arrives_BK.all()
    counts = torch.zeros(5, 5).index_put_(tuple(ranking.place_BK.T), torch.ones(rows), accumulate=True)
    expected, total = torch.zeros(5, 5), sum(weights)
    for i, j in permutations(range(5), 2):
        expected[i, j] = rows * weights[i] / total * weights[j] / (total - weights[i])
    assert counts[expected == 0].sum() == 0
    seen, wanted = counts[expected > 0], expected[expected > 0]
    assert ((seen - wanted) ** 2 / wanted).sum() < 31.3  # chi-square, 11 degrees of freedom, 0.1 %


def test_arrival_follows_the_power_law_of_the_weight():
    u = uniform((0, 0, torch.arange(1)), 100_000)[0]
    for weight in (0.5, 1.0, 3.0):
        arrival = race.weighted(u, torch.full_like(u, weight))
        for t in (0.1, 0.5, 0.9):
            assert (arrival <= t).double().mean().item() == pytest.approx(1 - (1 - t) ** weight, abs=0.006)


def test_the_choice_does_not_depend_on_the_capacity():
    u = uniform((0, 2, torch.arange(50)), 40)
    maskable = u > 0.2
    few, many = race.rank(u, maskable, 9), race.rank(u, maskable, 40)
    assert torch.equal(few.place_BK, many.place_BK[:, :9])
    assert not many.arrives_BK.gather(1, many.place_BK.argsort(1))[~maskable].any()


@pytest.mark.parametrize("factor", [1e-7, 1e-6, 1e-3, 1e-2, 1e2, 1e6])
def test_only_ratios_of_weights_matter(factor):
    """All weights times a factor: the same positions in the same order, and nobody is left out."""
    u = uniform((0, 4, torch.arange(300)), 64)
    weight = 0.1 + uniform((0, 5, torch.arange(300)), 64)
    weight[:, 3] = 0.0
    everywhere = torch.ones(300, 64, dtype=torch.bool)
    ranking = race.rank(race.weighted(u, weight), everywhere, 64)
    scaled = race.rank(race.weighted(u, weight * factor), everywhere, 64)
    assert (scaled.arrives_BK.sum(1) == 63).all()
    assert (scaled.place_BK[:, -1] == 3).all()
    assert (scaled.place_BK == ranking.place_BK).double().mean() > 0.999


def test_the_clock_rises_to_one():
    waited = torch.cat(
        [torch.linspace(0, 40, 4001, dtype=torch.float64), torch.logspace(2, 14, 500, dtype=torch.float64)]
    )
    time = race.on_clock(waited)
    assert (time.diff() > 0).all()
    assert time[0] == 0 and time[-1] < 1 == race.on_clock(torch.tensor(torch.inf, dtype=torch.float64))
    assert (time - -torch.expm1(-waited)).abs().max() < 2e-8


def test_positions_that_arrive_together_stay_together():
    unit = torch.tensor([[0, 0, 0, 3, 3, 5, 6, 6, 6, 6]])
    arrival = uniform((0, 3, torch.arange(200)), 10).gather(1, unit.expand(200, -1))
    ranking = race.rank(arrival, torch.ones(200, 10, dtype=torch.bool), 10)
    units = unit.expand(200, -1).gather(1, ranking.place_BK)
    assert ((units[:, 1:] != units[:, :-1]).sum(1) == 3).all()
