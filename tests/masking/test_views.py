"""Views: purity, relations to each other, corruption shares, weights, rates over training."""

from __future__ import annotations

import json

import pytest
import torch
from tests.masking.columns import Classes

from maskwright.errors import RecipeError
from maskwright.masking import Masking, ViewRecipe
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.corruptions import Corruption, Permute, Replace
from maskwright.masking.draws import Draws
from maskwright.masking.lengths import Fixed, Geometric
from maskwright.masking.rates import Beta, ByClass, Constant, Cosine, Linear, Step, Uniform
from maskwright.masking.units import Segments, Span, Token, Word
from maskwright.masking.weights import TokenTable

UNITS = {"token": Token(), "word": Word(), "span": Span(Geometric(0.2, 10)), "t5": Segments(3.0)}
MASK = Replace(1.0, 0.0, 0.0, "token")


def counted(**changes):
    return Counted(**{**dict(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None), **changes})


def part(data, chosen):
    return {name: value[chosen] for name, value in data.items()}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "budget",
    [counted(), counted(rounding="random", overshoot="random"), Independent(0)],
    ids=["exact", "whole", "expected"],
)
def test_masks_are_a_pure_function(unit, budget, rows, views):
    if UNITS[unit].planned and isinstance(budget, Independent):
        return
    data = rows(64, 32)
    make = views(UNITS[unit], 0.3, budget, Replace(0.8, 0.1, 0.1, "token"))
    whole = make(data, 0.5)["main"]
    for size in (1, 7):
        for first in range(0, 64, size):
            few = make(part(data, slice(first, first + size)), 0.5)["main"]
            assert torch.equal(few.ids_BM, whole.ids_BM[first : first + size])
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(make(part(data, shuffled), 0.5)["main"].ids_BM, whole.ids_BM[shuffled])
    others = [
        make({**data, "visit": data["visit"] + 1}, 0.5),
        make({**data, "sample": data["sample"] + 64}, 0.5),
        views(UNITS[unit], 0.3, budget, Replace(0.8, 0.1, 0.1, "token"), seed=1)(data, 0.5),
    ]
    for other in others:
        assert not torch.equal(other["main"].outcome_BL, whole.outcome_BL)


@pytest.mark.parametrize("per", ["token", "word", "unit"])
def test_outcomes_have_their_shares_and_are_drawn_per_unit_asked_for(per, rows, views):
    data = rows(4000, 32)
    view = views(Span(Geometric(0.2, 10)), 0.4, Independent(0), Replace(0.8, 0.1, 0.1, per))(data, 0.0)["main"]
    chosen = view.outcome_BL[view.outcome_BL > 0]
    for outcome, share in ((1, 0.8), (2, 0.1), (3, 0.1)):
        assert (chosen == outcome).double().mean().item() == pytest.approx(share, abs=0.02)
    assert torch.equal(view.ids_BM[view.outcome_BL == 3], view.clean_BL[view.outcome_BL == 3])
    assert (view.ids_BM[view.outcome_BL == 1] == 4).all()
    assert view.ids_BM[view.outcome_BL == 2].min() >= 5  # no special token is ever drawn
    counts = torch.bincount(view.ids_BM[view.outcome_BL == 2], minlength=60)[5:].double()
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 91.9  # uniform: chi-square, 54 df, 0.1 %
    left_BL, right_BL = view.outcome_BL[:, :-1], view.outcome_BL[:, 1:]
    both_BL = (left_BL > 0) & (right_BL > 0)
    in_word_BL = both_BL & ~data["word"][:, 1:]
    in_unit_BL = both_BL & (view.unit_BL[:, :-1] == view.unit_BL[:, 1:])
    agree = {"word": (left_BL == right_BL)[in_word_BL], "unit": (left_BL == right_BL)[in_unit_BL]}
    if per == "token":
        assert agree["word"].double().mean().item() == pytest.approx(0.66, abs=0.03)
    else:
        assert agree["word"].all() and (per == "word" or agree["unit"].all())
        assert per == "unit" or not agree["unit"].all()


def test_relations(rows, views):
    def view(name, rate, relation):
        return ViewRecipe(name, Masking(Word(), counted(overshoot="allow")), Constant(rate), MASK, relation, "main")

    more = (
        view("same", 0.9, "same"),
        view("nested", 0.5, "nested"),
        view("disjoint", 0.3, "disjoint"),
        view("independent", 0.3, "independent"),
    )
    made = views(Word(), 0.3, counted(overshoot="allow"), more=more)(rows(500, 32), 0.0)
    masked = {name: one.outcome_BL > 0 for name, one in made.items()}
    assert torch.equal(masked["same"], masked["main"])
    assert (masked["nested"] | ~masked["main"]).all() and masked["nested"].sum() > 1.4 * masked["main"].sum()
    assert not (masked["disjoint"] & masked["main"]).any()
    assert masked["disjoint"].sum().item() == pytest.approx(masked["main"].sum().item(), rel=0.05)
    overlap = (masked["independent"] & masked["main"]).sum() / masked["main"].sum()
    assert overlap.item() == pytest.approx(
        masked["main"].sum().item() / made["main"].maskable_BL.sum().item(), abs=0.03
    )


def test_disjoint_views_of_independent_units_take_the_next_slice(rows, views):
    more = (ViewRecipe("next", Masking(Token(), Independent(0)), Constant(0.3), MASK, "disjoint", "main"),)
    made = views(Token(), 0.2, Independent(0), more=more)(rows(3000, 32), 0.0)
    share = {name: ((one.outcome_BL > 0).sum() / one.maskable_BL.sum()).item() for name, one in made.items()}
    assert share["main"] == pytest.approx(0.2, abs=0.01) and share["next"] == pytest.approx(0.3, abs=0.01)


def test_segments_cannot_be_nested(views):
    more = (ViewRecipe("next", Masking(Segments(3.0), counted()), Constant(0.5), MASK, "nested", "main"),)
    with pytest.raises(RecipeError, match="drawn anew for each count"):
        views(Segments(3.0), more=more)


def test_a_weight_of_zero_is_never_masked_and_a_double_one_twice_as_soon(rows, views, tmp_path):
    class Tokenizer:
        def get_vocab(self):
            return {f"t{i}": i for i in range(60)}

    file = tmp_path / "weights.json"
    file.write_text(json.dumps({"t5": 0, "t6": 2.0}))
    weight = TokenTable(str(file), 1.0)
    weight.bind(Tokenizer())
    view = views(Token(), 0.2, Independent(0), weight=weight)(rows(8000, 32), 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    share = {token: masked_BL[view.clean_BL == token].double().mean().item() for token in (5, 6, 7)}
    assert share[5] == 0
    assert share[6] == pytest.approx(1 - 0.8**2, abs=0.03) and share[7] == pytest.approx(0.2, abs=0.03)


def test_schedules_at_their_ends_and_in_the_middle():
    expected = {
        Linear(0.30, 0.15): (0.30, 0.225, 0.15),
        Cosine(0.32, 0.02): (0.32, 0.17, 0.02),
        Step(0.30, 0.15, 0.5): (0.30, 0.15, 0.15),
        Constant(0.4): (0.4, 0.4, 0.4),
    }
    for rate, values in expected.items():
        assert [rate.at(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx(values)
        assert rate.highest == max(values)


def test_rates_by_sequence_follow_their_laws():
    scipy_stats = pytest.importorskip("scipy.stats")
    draws = Draws(0, "main", torch.zeros(20_000, dtype=torch.int64), torch.arange(20_000))
    laws = {
        Uniform(0.1, 0.6): scipy_stats.uniform(0.1, 0.5),
        Beta(2.0, 5.0, 0.0, 1.0): scipy_stats.beta(2, 5),
        Beta(0.5, 0.5, 0.2, 0.8): scipy_stats.beta(0.5, 0.5, loc=0.2, scale=0.6),
    }
    for rate, law in laws.items():
        assert scipy_stats.kstest(rate(0.3, draws).numpy(), law.cdf).pvalue > 0.001


def test_a_moving_rate_reaches_the_masks(rows, views):
    make = views(Token(), Linear(0.6, 0.2), counted(rounding="random"))
    for progress, rate in ((0.0, 0.6), (0.5, 0.4), (1.0, 0.2)):
        view = make(rows(2000, 32), progress)["main"]
        assert ((view.outcome_BL > 0).sum() / view.maskable_BL.sum()).item() == pytest.approx(rate, abs=0.01)


def test_a_view_over_another_corrupts_what_is_left(rows, views):
    """Trigrams among the unmasked tokens: disjoint from them, whole, and a share of all tokens."""
    trigrams = ViewRecipe(
        "order",
        Masking(Span(Fixed(3), "token"), counted(rounding="random", overshoot="random")),
        Constant(0.1),
        Corruption([Permute(1.0)], "unit"),
        "over",
        "main",
    )
    made = views(Token(), 0.15, counted(), more=(trigrams,), length=128)(rows(4000, 128), 0.0)
    main, order = made["main"], made["order"]
    masked_BL, moved_BL = main.outcome_BL > 0, order.outcome_BL > 0
    assert not (masked_BL & moved_BL).any()
    assert torch.equal(order.ids_BM[~moved_BL], main.ids_BM[~moved_BL])
    assert (moved_BL.sum() / order.maskable_BL.sum()).item() == pytest.approx(0.1, abs=0.003)
    for row in range(100):
        units = {}
        for place in moved_BL[row].nonzero()[:, 0].tolist():
            units.setdefault(int(order.unit_BL[row, place]), []).append(place)
        for places in units.values():
            assert places == list(range(places[0], places[0] + len(places)))
            assert sorted(order.ids_BM[row, places].tolist()) == sorted(order.clean_BL[row, places].tolist())
    assert torch.equal(order.target_BK, order.clean_BL.gather(1, order.source_BK))


@pytest.mark.parametrize(
    ("unit", "budget", "rate"),
    [
        (Token(), Independent(0), Constant(0.2)),
        (Word(), Independent(0), Constant(0.2)),
        (Span(Fixed(3), "token"), Independent(0), Constant(0.2)),
        (Segments(3.0), counted(rounding="random"), Constant(0.2)),
        (Word(), counted(of="unit", rounding="random"), Constant(0.2)),
        (Word(), counted(rounding="random", overshoot="random"), Uniform(0.1, 0.3)),
    ],
    ids=["expected", "expected-words", "expected-spans", "t5", "units", "drawn"],
)
def test_a_rate_over_another_view_is_a_share_of_the_whole_row(unit, budget, rate, rows, views):
    over = ViewRecipe("over", Masking(unit, budget), rate, MASK, "over", "main")
    made = views(Token(), 0.5, counted(rounding="random"), more=(over,), length=64)(rows(4000, 64), 0.0)["over"]
    share = ((made.outcome_BL > 0).sum() / made.maskable_BL.sum()).item()
    assert share == pytest.approx(0.2, abs=0.006)


def test_rates_by_position_over_another_view_are_shares_of_the_whole_row(rows, views):
    kinds = Classes("kind", "often")
    rate = ByClass(kinds, {"often": 0.4}, 0.1)
    rate.bind(None)
    over = ViewRecipe("over", Masking(Token(), Independent(0)), rate, MASK, "over", "main")
    data = rows(6000, 64)
    data["kind"] = (torch.arange(64) % 2).expand(6000, 64)
    made = views(Token(), 0.5, counted(rounding="random"), more=(over,), length=64)(data, 0.0)["over"]
    for kind, asked in ((0, 0.1), (1, 0.4)):
        share = (made.outcome_BL > 0)[made.maskable_BL & (data["kind"] == kind)].double().mean().item()
        assert share == pytest.approx(asked, abs=0.006)
