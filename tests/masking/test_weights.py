"""Weights: exact weighted sampling, rates kept, orders, acceptance, live state."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from scipy import optimize
from tests.masking.columns import Classes

from maskwright.errors import RecipeError
from maskwright.masking import Masking
from maskwright.masking.budgets import Counted, Independent, levelled
from maskwright.masking.lengths import Fixed
from maskwright.masking.units import Marked, Mixed, OneOf, Span, Token, Word
from maskwright.masking.weights import ByClass, First, Given, LiveLoss, Scores

EXACT = Counted("token", "nearest", "cut", 0, None)
WHOLE = Counted("token", "random", "random", 0, None)
TAGS = Classes("tag", "noun", "verb", "other")


class Score:
    name = "score"


def tagged(rows, number, length=32, seed=3):
    data = rows(number, length)
    data["tag"] = torch.randint(0, 4, data["ids"].shape, generator=torch.Generator().manual_seed(seed))
    first = torch.where(data["word"], torch.arange(length), 0).cummax(1).values
    data["tag"] = data["tag"].gather(1, first)  # one tag a word
    return data


def bound(weight):
    weight.bind(None)
    return weight


def test_words_are_sampled_without_replacement_in_proportion_to_their_weights(views):
    """Frequencies of every ordered pair of words against successive sampling, enumerated."""
    number, weights = 60_000, [1.0, 2.0, 0.5, 4.0]
    ids = torch.arange(5, 11).repeat(number, 1)
    word = torch.tensor([[1, 0, 1, 1, 0, 1]]).bool().repeat(number, 1)
    score = torch.tensor([[1.0, 9.0, 2.0, 0.5, 9.0, 4.0]]).repeat(number, 1)  # later pieces do not count
    data = {"ids": ids, "word": word, "score": score, "document": torch.ones_like(ids),
            "sample": torch.arange(number), "visit": torch.zeros(number, dtype=torch.int64)}  # fmt: skip
    budget = Counted("unit", "nearest", "cut", 0, None)
    view = views(Word(), 0.5, budget, weight=Scores(Score(), 1.0, 0.0), length=6)(data, 0.0)["main"]
    unit_BK = view.unit_BL.gather(1, view.source_BK)
    word_of = {0: 0, 2: 1, 3: 2, 5: 3}
    counts = torch.zeros(4, 4)
    for row in range(number):
        order = list(dict.fromkeys(unit_BK[row][view.counts_BK[row]].tolist()))
        counts[word_of[order[0]], word_of[order[1]]] += 1
    total, chi_square = sum(weights), 0.0
    for i, j in permutations(range(4), 2):
        wanted = number * weights[i] / total * weights[j] / (total - weights[i])
        chi_square += (counts[i, j].item() - wanted) ** 2 / wanted
    assert chi_square < 31.3  # 11 degrees of freedom, 0.1 %


@pytest.mark.parametrize("unit", [Token(), Word()], ids=["token", "word"])
@pytest.mark.parametrize("budget", [EXACT, WHOLE, Independent(0)], ids=["exact", "whole", "expected"])
def test_weights_keep_the_rate(unit, budget, rows, views):
    data = tagged(rows, 4000)
    weight = bound(ByClass(TAGS, {"noun": 5.0, "verb": 0.5}, 1.0))
    view = views(unit, 0.3, budget, weight=weight)(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    share_B = masked_BL.sum(1) / view.maskable_BL.sum(1)
    assert share_B.mean().item() == pytest.approx(0.3, abs=4 * share_B.std().item() / 4000**0.5 + 0.5 / 27)
    by_tag = [masked_BL[view.maskable_BL & (data["tag"] == tag)].double().mean().item() for tag in range(4)]
    assert by_tag[1] > 2 * by_tag[0] > 2.5 * by_tag[2] and by_tag[0] == pytest.approx(by_tag[3], abs=0.03)


def test_deadlines_are_the_roots_of_the_expected_count():
    weight_BL = torch.rand(50, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3 * 100 + 0.05
    weight_BL[:, ::5] = 0
    wanted_B = torch.linspace(0.1, 28.0, 50, dtype=torch.float64)
    found = levelled(wanted_B, weight_BL)
    for row in range(50):
        count = lambda t, row=row: (1 - (1 - t) ** weight_BL[row].numpy()).sum() - wanted_B[row].item()  # noqa: E731
        assert found[row].item() == pytest.approx(optimize.brentq(count, 0, 1 - 1e-16, xtol=1e-15), rel=1e-6, abs=1e-12)
    assert (levelled(torch.full((50,), 33.0, dtype=torch.float64), weight_BL) == 1).all()


def test_scaling_all_weights_changes_nothing_and_temperature_0_is_uniform(rows, views):
    data = rows(200, 32)
    data["score"] = torch.rand(200, 32, generator=torch.Generator().manual_seed(5))
    scaled = {**data, "score": 10 * data["score"]}
    make = views(Word(), 0.3, WHOLE, weight=Scores(Score(), 1.0, 0.0))
    assert torch.equal(make(data, 0.0)["main"].outcome_BL, make(scaled, 0.0)["main"].outcome_BL)
    plain, flat = views(Word(), 0.3, WHOLE), views(Word(), 0.3, WHOLE, weight=Scores(Score(), 0.0, 1e-3))
    assert torch.equal(plain(data, 0.0)["main"].outcome_BL, flat(data, 0.0)["main"].outcome_BL)


@pytest.mark.parametrize("budget", [EXACT, Independent(0)], ids=["exact", "expected"])
def test_tiny_weights_keep_rate_and_fairness(budget, rows, views):
    """Equal weights of 1e-4, as shares of a corpus are: the rate is met, and a row's begin is hidden no more often."""
    data = rows(4000, 32)
    data["score"] = torch.full((4000, 32), 1e-4)
    view = views(Token(), 0.3, budget, weight=Scores(Score(), 1.0, 0.0))(data, 0.0)["main"]
    hidden = (view.outcome_BL > 0) & view.maskable_BL
    half = torch.arange(32) < 16
    for part in (half, ~half):
        number = view.maskable_BL[:, part].sum().item()
        share = hidden[:, part].sum().item() / number
        assert share == pytest.approx(0.3, abs=4 * (0.21 / number) ** 0.5 + 0.5 / 27)


def test_what_the_network_gives_is_a_weight(rows, views):
    data = {**rows(300, 32), "given": torch.zeros(300, 32)}
    data["given"][:, 5:9] = 1.0
    view = views(Token(), 0.1, EXACT, weight=Given(1.0, 0.0))(data, 0.0)["main"]
    assert not (view.outcome_BL[:, [*range(5), *range(9, 32)]] > 0).any() and (view.outcome_BL > 0).any()


@pytest.mark.parametrize("pivots", [3, 20])
def test_marked_positions_come_first_and_the_count_is_kept(pivots, rows, views):
    """b = 8 positions: with 3 pivots all of them and 5 others, with 20 pivots 8 of the 20, each as likely."""
    data = rows(6000, 32, alike=True)
    maskable = (data["ids"][0] >= 5).nonzero()[:, 0]
    chosen = maskable[torch.randperm(len(maskable), generator=torch.Generator().manual_seed(1))[:pivots]]
    data["tag"] = torch.zeros_like(data["ids"])
    data["tag"][:, chosen] = 1
    view = views(Token(), 8 / 27, EXACT, weight=bound(First(TAGS, None, 1.0, "later")))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    assert (masked_BL.sum(1) == 8).all()
    share = masked_BL[:, chosen].double().mean(0)
    assert torch.allclose(share, torch.full_like(share, min(1.0, 8 / pivots)), atol=0.03)
    others = [place for place in maskable.tolist() if place not in chosen.tolist()]
    share = masked_BL[:, others].double().mean(0)
    assert torch.allclose(share, torch.full_like(share, max(0, 8 - pivots) / len(others)), atol=0.03)


def test_marked_units_that_are_not_chosen_can_be_left_out(rows, views):
    data = tagged(rows, 5000)
    weight = bound(First(TAGS, ["noun"], 0.3, "never"))
    view = views(Word(), 0.5, WHOLE, weight=weight)(data, 0.0)["main"]
    masked_BL, noun_BL = view.outcome_BL > 0, view.maskable_BL & (data["tag"] == 1)
    assert masked_BL[noun_BL].double().mean().item() == pytest.approx(0.3, abs=0.02)


def test_one_token_of_each_unit(rows, views):
    data = tagged(rows, 3000)
    weight = bound(ByClass(TAGS, {"noun": 1.0, "verb": 1.0}, 0.0))
    view = views(OneOf("word"), 0.9, EXACT, weight=weight)(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    assert (data["tag"][masked_BL] > 0).all() and (data["tag"][masked_BL] < 3).all()
    alone = ~view.maskable_BL
    begins = data["word"] | alone | torch.nn.functional.pad(alone, (1, 0), value=True)[:, :-1]
    first = torch.where(begins, torch.arange(32), 0).cummax(1).values
    per_word = torch.zeros(3000, 32).scatter_add(1, first, masked_BL.double().float())
    assert per_word.max() == 1  # no two selected tokens share a word
    wanted = ((data["tag"] == 1) | (data["tag"] == 2)) & view.maskable_BL
    words = torch.zeros(3000, 32).scatter_add(1, first, wanted.float()) > 0
    assert torch.equal(per_word > 0, words)  # 0.9 is more than there are: one of each, and then stop
    sizes = torch.zeros(3000, 32).scatter_add(1, first, view.maskable_BL.float()).gather(1, first)
    place_in_word = torch.arange(32) - first
    three = masked_BL & (sizes == 3)
    counts = torch.bincount(place_in_word[three], minlength=3).double()
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 13.9  # any of three pieces: 2 df, 0.1 %


def test_a_weight_moves_where_spans_start(rows, views):
    data = tagged(rows, 4000)
    weight = bound(ByClass(TAGS, {"noun": 8.0}, 1.0))
    view = views(Span(Fixed(2), "token"), 0.2, EXACT, weight=weight)(data, 0.0)["main"]
    begins = (view.outcome_BL > 0) & (view.unit_BL == torch.arange(32))
    share = [begins[view.maskable_BL & (data["tag"] == tag)].double().mean().item() for tag in (1, 2)]
    assert share[0] > 3 * share[1]
    with pytest.raises(RecipeError, match="moves where span of 2 over tokens units start"):
        Masking(Span(Fixed(2), "token"), Independent(0), weight)


def live_loss(scores=(0.0, 0.0, 0.0)):
    weight = bound(LiveLoss(TAGS, 0.999))
    weight.live.average_C[1:] = torch.tensor(scores, dtype=torch.float64)
    return weight


def test_equal_losses_choose_words_uniformly(rows, views):
    data = rows(20_000, 32, alike=True)
    data["tag"] = tagged(rows, 1)["tag"].repeat(20_000, 1)
    weighted, plain = (
        (views(Word(), 0.15, WHOLE, weight=weight)(data, 0.0)["main"].outcome_BL > 0).double().mean(0)
        for weight in (live_loss(), None)
    )
    assert (weighted - plain).abs().max() < 5 * (2 * 0.15 * 0.85 / 20_000) ** 0.5


def test_a_higher_loss_raises_the_share_of_its_class_alone(rows, views):
    data = tagged(rows, 8000)
    plain = views(Word(), 0.1, WHOLE, weight=live_loss())(data, 0.0)["main"]
    raised = views(Word(), 0.1, WHOLE, weight=live_loss((2.0, 0.0, 0.0)))(data, 0.0)["main"]
    shares = [
        [(view.outcome_BL > 0)[view.maskable_BL & (data["tag"] == tag)].double().mean().item() for tag in (1, 2, 3)]
        for view in (plain, raised)
    ]
    assert shares[1][0] > 1.3 * shares[0][0] and shares[1][1] < shares[0][1] and shares[1][2] < shares[0][2]
    weights = live_loss((2.0, 0.0, 0.0)).weights_C()
    spread = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    expected = torch.sigmoid(2 * (spread - spread.mean()) / spread.std(correction=1))
    assert torch.allclose(weights[1:], expected) and weights[0] == 0.5


def test_running_losses_follow_the_places_and_only_classes_that_were_seen(rows, views):
    data = tagged(rows, 64)
    weight = live_loss((1.0, 2.0, 3.0))
    view = views(Word(), 0.3, WHOLE, weight=weight)(data, 0.0)["main"]
    loss_BK = torch.rand(view.place_BK.shape, generator=torch.Generator().manual_seed(2))
    sums = weight.live.measure(view, data["tag"], loss_BK)
    tags = data["tag"].gather(1, view.source_BK)
    for tag in range(4):
        chosen = view.counts_BK & (tags == tag)
        assert sums[0, tag].item() == pytest.approx(loss_BK[chosen].sum().item(), rel=1e-5)
        assert sums[1, tag].item() == chosen.sum().item()
    # the sums of micro-batches add up to those of the whole batch
    parts = [
        weight.live.measure(view.rows(part), data["tag"][part], loss_BK[part]) for part in (slice(20), slice(20, 64))
    ]
    assert torch.allclose(sum(parts), sums)
    sums[:, 2] = 0
    weight.live.observe(sums)
    assert weight.live.average_C[2] == 2.0
    mean = (sums[0, 1] / sums[1, 1]).item()
    assert weight.live.average_C[1].item() == pytest.approx(0.999 * 1.0 + 0.001 * mean)


@pytest.mark.parametrize("weight", [live_loss(), bound(First(TAGS, None, 1.0, "later"))])
def test_orders_and_choices_need_a_budget_that_counts(weight):
    with pytest.raises(RecipeError, match="is an order or a choice, which no deadline turns into a rate"):
        Masking(Marked("word"), Independent(0), weight)


@pytest.mark.parametrize("unit", [Span(Fixed(2), "token"), Mixed([Span(Fixed(2), "token"), Token()], [0.5, 0.5])])
@pytest.mark.parametrize("weight", [live_loss(), bound(First(TAGS, None, 1.0, "later"))])
def test_orders_and_choices_of_units_do_not_go_with_spans(weight, unit):
    with pytest.raises(RecipeError, match="is an order or a choice of units, and of .* only move the starts; use"):
        Masking(unit, EXACT, weight)


def test_unknown_classes_are_named():
    with pytest.raises(
        RecipeError, match="names 'adverb', which the column tag does not have; its classes are noun, verb"
    ):
        bound(ByClass(TAGS, {"adverb": 1.0}, 1.0))
