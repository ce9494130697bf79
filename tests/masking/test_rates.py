"""Rates that differ by position, and predicting another share than is corrupted."""

from __future__ import annotations

import pytest
import torch
from tests.masking.columns import Classes
from tests.masking.conftest import VOCABULARY

from maskwright.errors import RecipeError
from maskwright.masking import Masking, ViewRecipe, Views
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.corruptions import Replace
from maskwright.masking.lengths import Fixed
from maskwright.masking.rates import (
    ByClass,
    ByToken,
    Constant,
    Linear,
    Partly,
    Quadratic,
    Rate,
    Uniform,
    Valley,
    WarmupDecay,
)
from maskwright.masking.rates.positions import scaled
from maskwright.masking.units import Segments, Span, Stages, Token, Word

EXACT = Counted("token", "nearest", "cut", 0, None)
MEAN = Counted("token", "random", "cut", 0, None)
MASK = Replace(1.0, 0.0, 0.0, "token")
STRATA = Classes("stratum", "stop", "easy")


def strata(rows, number, length=32):
    data = rows(number, length)
    kind = torch.randint(0, 3, data["ids"].shape, generator=torch.Generator().manual_seed(9))
    data["stratum"] = kind.gather(1, torch.where(data["word"], torch.arange(length), 0).cummax(1).values)
    return data


def by_class(**rates):
    rate = ByClass(STRATA, rates, 0.25)
    rate.bind(None)
    return rate


def test_more_schedules_at_their_turning_points():
    expected = {
        Quadratic(0.30, 0.10): (0.30, 0.25, 0.10),
        WarmupDecay(0.0, 0.4, 0.1, 0.5): (0.0, 0.4, 0.1),
        Valley(0.32, 0.02): (0.32, 0.02, 0.32),
        Linear(0.02, 0.32): (0.02, 0.17, 0.32),
    }
    for rate, values in expected.items():
        assert [rate.at(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx(values)
        assert rate.highest == max(values)
    assert WarmupDecay(0.0, 0.4, 0.1, 0.5).at(0.25) == pytest.approx(0.2)


@pytest.mark.parametrize("unit", [Token(), Word()], ids=["token", "word"])
def test_every_stratum_has_its_own_rate(unit, rows, views):
    data = strata(rows, 8000)
    view = views(unit, by_class(stop=0.15, easy=0.20), Independent(0))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    for kind, rate in ((1, 0.15), (2, 0.20), (0, 0.25)):
        chosen = masked_BL[view.maskable_BL & (data["stratum"] == kind)].double()
        assert chosen.mean().item() == pytest.approx(rate, abs=4.5 * (rate * (1 - rate) * 2.5 / len(chosen)) ** 0.5)
    asked_B = torch.tensor([0.25, 0.15, 0.20], dtype=torch.float64)[data["stratum"]] * view.maskable_BL
    assert torch.allclose(view.rate_B, asked_B.sum(1) / view.maskable_BL.sum(1))


def test_rates_of_0_and_1_are_never_and_always(rows, views):
    data = strata(rows, 500)
    view = views(Token(), by_class(stop=0.0, easy=1.0), Independent(0))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    assert not masked_BL[data["stratum"] == 1].any()
    assert masked_BL[(data["stratum"] == 2) & view.maskable_BL].all()


def test_a_counting_budget_takes_the_mean_of_the_row(rows, views):
    data = strata(rows, 3000)
    view = views(Token(), by_class(stop=0.1, easy=0.5), EXACT)(data, 0.0)["main"]
    assert ((view.outcome_BL > 0).sum(1) - view.rate_B * view.maskable_BL.sum(1)).abs().max() < 0.5 + 1e-6


@pytest.mark.parametrize("of", ["unit", "token"])
def test_units_with_a_rate_of_1_stay_apart(of, rows, views):
    """They come first, in random order, and leave the count alone: others have what remains."""
    data, budget = strata(rows, 3000), Counted(of, "random", "random", 0, None)
    view = views(Word(), by_class(stop=1.0, easy=0.1), budget)(data, 0.0)["main"]
    masked_BL, kind = view.outcome_BL > 0, data["stratum"]
    first_BL = view.maskable_BL & (view.unit_BL == torch.arange(32))
    counted_BL = first_BL if of == "unit" else view.maskable_BL
    assert ((masked_BL & counted_BL).sum() / (view.rate_B * counted_BL.sum(1)).sum()).item() == pytest.approx(
        1, abs=0.02
    )
    share = [masked_BL[view.maskable_BL & (kind == number)].double().mean().item() for number in range(3)]
    assert share[1] > 0.9 and 0.05 < share[2] < 0.15 and 0.15 < share[0] < 0.3
    few = views(Word(), by_class(stop=1.0), Counted(of, "nearest", "cut", 0, 3))(data, 0.0)["main"]
    halves = [((few.outcome_BL > 0) & view.maskable_BL)[:, part].sum().item() for part in (slice(16), slice(16, 32))]
    number = [(view.maskable_BL & (kind == 1))[:, part].sum().item() for part in (slice(16), slice(16, 32))]
    assert halves[0] / number[0] == pytest.approx(halves[1] / number[1], rel=0.2)


def test_every_token_has_the_rate_of_the_table(rows, views):
    class Table:
        rate_V = torch.linspace(0, 0.9, 60, dtype=torch.float64)
        count_V = torch.ones(60)
        name = "informative"

    rate = ByToken(Table(), None)
    rate.bind(None)
    data = rows(12_000, 32)
    view = views(Token(), rate, Independent(0))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    for token in (5, 20, 40, 59):
        chosen = masked_BL[(view.clean_BL == token) & view.maskable_BL].double()
        share = Table.rate_V[token].item()
        assert chosen.mean().item() == pytest.approx(share, abs=4.5 * (share * (1 - share) / len(chosen)) ** 0.5)


def test_a_scaled_table_has_the_mean_asked_for():
    rate_V = torch.tensor([0.0, 0.018, 0.3, 1.0], dtype=torch.float64)
    count_V = torch.tensor([0.0, 500.0, 300.0, 200.0])
    for mean in (0.05, 0.15, 0.4, 0.9):
        found = scaled(rate_V, count_V, mean)
        assert (found * count_V).sum().item() / 1000 == pytest.approx(mean) and found.max() <= 1 and found[0] == 0
    with pytest.raises(RecipeError, match="more than the tokens of the table have"):
        scaled(rate_V, torch.tensor([500.0, 100.0, 0.0, 0.0]), 0.5)


def test_rates_by_position_do_not_go_with_segments_or_weights(rows, views, tmp_path):
    with pytest.raises(RecipeError, match="which do not steer T5 segments"):
        views(Segments(3.0), by_class(stop=0.1))
    with pytest.raises(RecipeError, match="which do not steer span .*, then random"):
        views(Stages([Span(Fixed(2), "token"), Token()], [0.5]), by_class(stop=0.1))


@pytest.fixture
def predicting():
    def make(rate, share, budget=MEAN, unit=None):
        rate = rate if isinstance(rate, Rate) else Constant(rate)
        recipe = ViewRecipe("main", Masking(unit or Token(), budget), rate, MASK, prediction=Constant(share))
        return Views([recipe], VOCABULARY, 0, 32, {"word": 4})

    return make


def test_fewer_predicted_than_corrupted(predicting, rows):
    data = rows(4000, 32)
    view = predicting(0.4, 0.2)(data, 0.0)["main"]
    selected = (view.outcome_BL > 0).sum(1).double()
    assert (selected / 27).mean().item() == pytest.approx(0.4, abs=0.002)
    assert (view.counts_BK.sum(1).double() / 27).mean().item() == pytest.approx(0.2, abs=0.002)
    assert ((view.counts_BK.sum(1) - selected / 2).abs() < 1).all()
    assert (view.ids_BM.gather(1, view.place_BK)[view.counts_BK] == 4).all()
    shares = torch.zeros(32).scatter_add(0, view.source_BK[view.counts_BK], torch.ones(int(view.counts_BK.sum())))
    shares = shares[view.maskable_BL[0]] if (view.maskable_BL == view.maskable_BL[0]).all() else None
    assert shares is None or (shares / 4000 - 0.2).abs().max() < 5 * (0.16 / 4000) ** 0.5


@pytest.mark.parametrize("budget", [EXACT, MEAN, Independent(0)], ids=["exact", "mean", "expected"])
def test_more_predicted_than_corrupted_by_copies_with_disjoint_masks(predicting, rows, budget):
    data = rows(3000, 32)
    made = predicting(0.2, 0.5, budget)(data, 0.0)
    assert list(made) == ["main", "main+1", "main+2"]
    masked = torch.stack([view.outcome_BL > 0 for view in made.values()])
    assert masked.sum(0).max() == 1  # disjoint
    corrupted = [((view.outcome_BL > 0).sum() / view.maskable_BL.sum()).item() for view in made.values()]
    assert corrupted == pytest.approx([0.2] * 3, abs=0.02)
    predicted = sum(view.counts_BK.sum().item() for view in made.values()) / made["main"].maskable_BL.sum().item()
    assert predicted == pytest.approx(0.5 * corrupted[0] / 0.2, abs=0.005)  # exact rounds 5.4 down to 5
    again = predicting(0.2, 0.5, budget)({name: value[100:200] for name, value in data.items()}, 0.0)
    for name, view in again.items():
        assert torch.equal(view.ids_BM, made[name].ids_BM[100:200])


@pytest.mark.parametrize("rate", [Linear(0.30, 0.15), Linear(0.1, 0.4), Uniform(0.1, 0.4)], ids=["down", "up", "drawn"])
@pytest.mark.parametrize("budget", [MEAN, Independent(0)], ids=["mean", "expected"])
def test_the_share_predicted_is_met_while_the_rate_moves(rate, budget, predicting, rows):
    make = predicting(rate, 0.2, budget)
    for progress in (0.0, 0.5, 1.0):
        made = make(rows(6000, 32), progress)
        predicted = sum(view.counts_BK.sum().item() for view in made.values()) / made["main"].maskable_BL.sum().item()
        assert predicted == pytest.approx(0.2, abs=0.005), progress


def test_a_share_that_some_rows_cannot_predict_is_refused(predicting):
    with pytest.raises(RecipeError, match=r"^prediction.value is 0.2, which no row meets whose rate is 0, and rate"):
        predicting(Partly(Constant(0.3), 0.5), 0.2)
    assert list(predicting(Partly(Constant(0.3), 1.0), 0.2).recipes) == ["main"]


def test_copies_of_a_count_of_starts_are_refused(predicting):
    with pytest.raises(
        RecipeError, match=r"disjoint takes the next slice of a race, and .*of=start counts spans from its beginning"
    ):
        predicting(0.1, 0.2, Counted("start", "nearest", "cut", 0, None), Span(Fixed(2), "token"))


def test_copies_keep_words_whole(predicting, rows):
    data = rows(500, 32)
    made = predicting(0.25, 0.75, Counted("token", "random", "random", 0, None), Word())(data, 0.0)
    for view in made.values():
        masked_BL = view.outcome_BL > 0
        inner = ~data["word"][:, 1:] & view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1]
        assert torch.equal(masked_BL[:, 1:][inner], masked_BL[:, :-1][inner])


def test_more_copies_than_a_row_has_are_refused(predicting):
    with pytest.raises(RecipeError, match="3 disjoint masks of 0.4 are more than a row"):
        predicting(0.4, 0.9)


def test_a_share_of_the_rows_is_left_whole(rows, views):
    from scipy import stats

    rate = Partly(Uniform(0.0, 1.0), 0.5)
    view = views(Token(), rate, Independent(0))(rows(8000, 32), 0.0)["main"]
    whole_B = view.rate_B == 0
    assert whole_B.double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(view.ids_BM[whole_B], view.clean_BL[whole_B])
    assert stats.kstest(view.rate_B[~whole_B].numpy(), stats.uniform().cdf).pvalue > 0.001
