"""Budgets: counts, roundings, and a brute-force greedy loop."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.draws import Draws
from maskwright.masking.lengths import Geometric
from maskwright.masking.units import Span, Token, Word

ROWS, LENGTH = 6000, 32


def counted(**changes):
    return Counted(**{**dict(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None), **changes})


def masked(views, data, *args, **kwargs):
    view = views(*args, **kwargs)(data, 0.0)["main"]
    return (view.outcome_BL > 0), view


@pytest.mark.parametrize("rounding", ["nearest", "down", "up", "random", "binomial"])
def test_each_rounding_has_its_expectation(rounding, rows, views):
    rate, (masked_BL, view) = 0.17, masked(views, rows(ROWS, LENGTH), rate=0.17, budget=counted(rounding=rounding))
    count_B, mean = masked_BL.sum(1).double(), rate * view.maskable_BL.sum(1)[0].item()
    assert mean % 1 not in (0, 0.5)
    exact = {"nearest": round(mean), "down": int(mean), "up": int(mean) + 1}
    if rounding in exact:
        assert (count_B == exact[rounding]).all()
        return
    assert abs(count_B.mean().item() - mean) < 4 * count_B.std().item() / ROWS**0.5
    variance = mean * (1 - rate) if rounding == "binomial" else mean % 1 * (1 - mean % 1)
    assert count_B.var().item() == pytest.approx(variance, rel=0.1)


def test_independent_counts_are_binomial_and_fit_the_capacity(rows, views):
    masked_BL, view = masked(views, rows(ROWS, LENGTH), rate=0.3, budget=Independent(0))
    number, count_B = view.maskable_BL.sum(1)[0].item(), masked_BL.sum(1).double()
    assert count_B.mean().item() == pytest.approx(0.3 * number, abs=0.12)
    assert count_B.var().item() == pytest.approx(0.21 * number, rel=0.1)
    assert Independent(0).capacity(0.15, 512, 1) < 180  # 77 in the mean; the whole row would be 512


def test_bounds_hold(rows, views):
    data = rows(200, LENGTH)
    assert (masked(views, data, rate=0.0, budget=counted(at_least=2))[0].sum(1) == 2).all()
    assert (masked(views, data, rate=0.9, budget=counted(at_most=5))[0].sum(1) == 5).all()
    assert (masked(views, data, rate=0.001, budget=Independent(1))[0].sum(1) >= 1).all()


@pytest.mark.parametrize(
    "budget",
    [
        Independent(3),
        counted(at_least=3, rounding="random", overshoot="random"),
        counted(at_least=3, overshoot="allow"),
    ],
    ids=["expected", "random", "allow"],
)
@pytest.mark.parametrize("rate", [0.0, 0.02])
def test_at_least_so_many_in_whole_words(budget, rate, rows, views):
    data = rows(1000, LENGTH)
    place = torch.arange(LENGTH)
    data["word"] = (data["ids"] < 5) | (place % 2 == 1) | (data["ids"].roll(1, 1) < 5)
    masked_BL, view = masked(views, data, Word(), rate, budget)
    assert (masked_BL.sum(1) >= 3).all() and (masked_BL.sum(1) <= 8).all()
    inner_BL = ~data["word"][:, 1:] & view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1]
    assert inner_BL.any() and torch.equal(masked_BL[:, 1:][inner_BL], masked_BL[:, :-1][inner_BL])


def test_a_rate_of_units_counts_units(rows, views):
    data = rows(500, LENGTH)
    masked_BL, view = masked(views, data, Word(), 0.5, counted(of="unit"))
    first_BL = view.maskable_BL & (view.unit_BL == torch.arange(LENGTH))
    taken_B = (masked_BL & first_BL).sum(1)
    assert torch.equal(taken_B, (first_BL.sum(1) * 0.5 + 0.5).floor().long())


def test_a_rate_of_starts_masks_what_they_cover(rows, views):
    """Against a loop over the same noise: the earliest starts and their reach, over edges and past the row's end."""
    data = rows(100, LENGTH)
    data["word"] = torch.ones_like(data["word"])
    masked_BL, view = masked(views, data, Span(Geometric(0.4, 3)), 3 / 27, counted(of="start"))
    draws = Draws(0, "main", data["visit"], data["sample"])
    start, reach = draws("span.start", LENGTH), Geometric(0.4, 3)(draws("span.length", LENGTH))
    for row in range(100):
        places = view.maskable_BL[row].nonzero()[:, 0].tolist()
        earliest = sorted(range(len(places)), key=lambda number: start[row, number].item())[:3]
        covered = {places[(first + k) % len(places)] for first in earliest for k in range(int(reach[row, first]))}
        assert set(masked_BL[row].nonzero()[:, 0].tolist()) == covered


@pytest.mark.parametrize("over", ["token", "word"])
@pytest.mark.parametrize(("rate", "length"), [(0.15, 32), (0.15, 128), (0.3, 64), (0.3, 32)])
def test_no_place_of_a_row_is_preferred_where_spans_are_cut_to_the_count(over, rate, length, views):
    """Chi-square over the places of one row layout: its ends, and both sides of a separator, as the middle."""
    number = 400_000 // length
    ids = torch.full((number, length), 9)
    place, middle = torch.arange(length), length // 3 | 1
    ids[:, 0], ids[:, middle], ids[:, -2:] = 2, 3, 3
    data = {
        "ids": ids,
        "word": ((place % 2 != place.gt(middle).long()) | (ids[0] < 5)).expand(number, -1),  # words of two tokens
        "document": torch.ones_like(ids),
        "sample": torch.arange(number),
        "visit": torch.zeros(number, dtype=torch.int64),
    }
    masked_BL, view = masked(views, data, Span(Geometric(0.2, 10), over), rate, length=length)
    hit_L = masked_BL[:, view.maskable_BL[0]].double().sum(0)
    count = masked_BL[0].sum().item()
    assert (masked_BL.sum(1) == count).all()
    share = count / len(hit_L)
    chi = ((hit_L - number * share) ** 2).sum().item() / (number * share * (1 - share))
    assert chi < stats.chi2.ppf(0.9995, len(hit_L) - 1)


@pytest.mark.parametrize("rate", [0.2, 0.55])
def test_a_cut_unit_keeps_each_of_its_tokens_with_the_same_chance(rate, views):
    """Words of four tokens, five or thirteen to hide: one word is cut in each row, no token of it before another."""
    number, length = 12_000, 26
    ids = torch.full((number, length), 9)
    ids[:, 0], ids[:, -1] = 2, 3
    place = torch.arange(length)
    data = {
        "ids": ids,
        "word": ((place % 4 == 1) | (ids[0] < 5)).expand(number, -1),
        "document": torch.ones_like(ids),
        "sample": torch.arange(number),
        "visit": torch.zeros(number, dtype=torch.int64),
    }
    masked_BL, _ = masked(views, data, Word(), rate, length=length)
    word_BWT = masked_BL[:, 1:-1].view(number, 6, 4)
    cut_N4 = word_BWT[(word_BWT.any(2) & ~word_BWT.all(2))]
    count = round(rate * 24)
    assert (masked_BL.sum(1) == count).all() and len(cut_N4) == number and (cut_N4.sum(1) == count % 4).all()
    share, hit_4 = count % 4 / 4, cut_N4.double().sum(0)
    assert (hit_4 - number * share).abs().max() < 4 * (number * share * (1 - share)) ** 0.5
    wider = views(Word(), rate, length=length)
    wider.most["main"] += 7  # the room for masked tokens is no part of the choice
    assert torch.equal(wider(data, 0.0)["main"].outcome_BL > 0, masked_BL)


@pytest.mark.parametrize("unit", [Word(), Span(Geometric(0.2, 10)), Span(Geometric(0.3, 4), "token")])
def test_a_higher_rate_masks_more_and_nothing_less(unit, rows, views):
    data, before = rows(500, LENGTH), None
    for rate in (0.1, 0.15, 0.2, 0.4, 0.7):
        now_BL = masked(views, data, unit, rate)[0]
        assert before is None or not (before & ~now_BL).any()
        before = now_BL


def test_skipping_is_the_greedy_loop_of_bert(rows, views):
    """Units in order of arrival; one that would exceed the count is passed over and later ones may fit."""
    data = rows(300, LENGTH)
    masked_BL, view = masked(views, data, Word(), 0.25, counted(overshoot="skip"))
    order = masked(views, data, Word(), 1.0)[1]  # all positions, the earliest arrival first
    for row in range(300):
        places = order.place_BK[row][order.counts_BK[row]].tolist()
        units: dict[int, list[int]] = {}
        for place in places:
            units.setdefault(int(order.unit_BL[row, place]), []).append(place)
        room, taken = int(view.maskable_BL[row].sum() * 0.25 + 0.5), set()
        for unit in units.values():
            if len(unit) <= room:
                taken |= set(unit)
                room -= len(unit)
        assert set(masked_BL[row].nonzero()[:, 0].tolist()) == taken


def test_whole_words_keep_the_mean_rate(rows, views):
    masked_BL, view = masked(views, rows(ROWS, LENGTH), Word(), 0.15, counted(rounding="random", overshoot="random"))
    share_B = masked_BL.sum(1) / view.maskable_BL.sum(1)
    assert share_B.mean().item() == pytest.approx(0.15, abs=4 * share_B.std().item() / ROWS**0.5)


def test_counts_are_exact_where_binary_fractions_are_not(rows, views):
    ids = torch.full((3, 100), 9)
    data = {
        "ids": ids,
        "document": torch.ones_like(ids),
        "sample": torch.arange(3),
        "visit": torch.zeros(3, dtype=torch.int64),
    }
    for rate, rounding, count in ((0.15, "down", 15), (0.29, "down", 29), (0.07, "up", 7)):
        assert (masked(views, data, Token(), rate, counted(rounding=rounding), length=100)[0].sum(1) == count).all()


def test_a_rate_of_span_units_counts_spans_beside_edges_and_parted_ones_once(rows, views):
    masked_BL, view = masked(views, rows(2000, LENGTH), Span(Geometric(0.2, 10)), 0.3, counted(of="unit"))
    for unit, selected, maskable in zip(view.unit_BL, masked_BL, view.maskable_BL):
        number = len(set(unit[maskable].tolist()))
        assert len(set(unit[selected].tolist())) == int(number * 0.3 + 0.5)
