"""Units: spans that treat edges like the middle, words that are never split, T5 segments that are uniform
compositions."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.masking import Corruption, Masking, ViewRecipe
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.corruptions import Permute
from maskwright.masking.lengths import Geometric, GeometricModulo, Poisson
from maskwright.masking.rates import Constant
from maskwright.masking.units import Block, Mixed, Segments, Span, Stages, Token, Word

ROWS, LENGTH = 20_000, 32
SPAN = Span(Geometric(0.2, 10))


def counted(**changes):
    return Counted(**{**dict(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None), **changes})


@pytest.mark.parametrize(
    "unit",
    [
        Token(),
        Word(),
        Span(Geometric(0.2, 10)),
        Span(Geometric(0.5, 3)),
        Span(Poisson(3.0, 15)),
        Span(GeometricModulo(1 / 3, 10), "token"),
    ],
    ids=["token", "word", "span", "short-span", "poisson", "geometric-modulo"],
)
@pytest.mark.parametrize("rate", [0.15, 0.5, 0.995])
def test_every_position_is_masked_with_the_rate_beside_edges_too(unit, rate, rows, views):
    """P(arrival <= t) = t at every maskable position: one row of text, many samples of it."""
    view = views(unit, rate, Independent(0))(rows(ROWS, LENGTH, alike=True), 0.0)["main"]
    share_L = (view.outcome_BL > 0).double().mean(0)
    maskable_L = view.maskable_BL[0]
    assert (share_L[~maskable_L] == 0).all()
    tolerance = 4.5 * (rate * (1 - rate) / ROWS) ** 0.5
    assert (share_L[maskable_L] - rate).abs().max() < tolerance


def test_no_span_crosses_an_edge_and_lengths_are_in_words(rows, views):
    data = rows(4000, LENGTH)
    view = views(Span(Geometric(0.2, 10)), 0.2, Independent(0))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    same_BL = masked_BL[:, 1:] & masked_BL[:, :-1] & (view.unit_BL[:, 1:] == view.unit_BL[:, :-1])
    assert not (same_BL & ~(view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1])).any()
    # whole words: a token that continues a word shares its fate
    continues_BL = ~data["word"][:, 1:] & view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1]
    assert (masked_BL[:, 1:] == masked_BL[:, :-1])[continues_BL].all()


@pytest.mark.parametrize("overshoot", ["skip", "allow", "random"])
def test_words_are_never_split_unless_asked(overshoot, rows, views):
    data = rows(3000, LENGTH)
    view = views(Word(), 0.3, counted(overshoot=overshoot))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    continues_BL = ~data["word"][:, 1:] & view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1]
    assert (masked_BL[:, 1:] == masked_BL[:, :-1])[continues_BL].all()
    planned_B = (0.3 * view.maskable_BL.sum(1) + 0.5 + 1e-9).floor()
    over_B = masked_BL.sum(1) - planned_B
    if overshoot == "skip":
        assert over_B.max() <= 0
    if overshoot == "allow":
        assert over_B.min() >= 0
    if overshoot == "random":
        assert abs(over_B.mean().item()) < 4 * over_B.std().item() / 3000**0.5


def test_segments_are_uniform_over_compositions(views):
    """12 maskable tokens, 4 masked in 2 pieces: every pair of compositions is equally likely."""
    rows = 30_000
    ids = torch.full((rows, 12), 9)
    data = {
        "ids": ids,
        "document": torch.ones_like(ids),
        "sample": torch.arange(rows),
        "visit": torch.zeros(rows, dtype=torch.int64),
    }
    view = views(Segments(2.0), 4 / 12, length=12)(data, 0.0)["main"]
    seen = Counter(tuple(row) for row in (view.outcome_BL > 0).int().tolist())
    possible = set()
    for (first,), (start,) in product(combinations(range(1, 4), 1), combinations(range(1, 8), 1)):
        possible.add((0,) * start + (1,) * first + (0,) * (8 - start) + (1,) * (4 - first))
    assert set(seen) == possible and len(possible) == 21
    wanted = rows / 21
    assert sum((count - wanted) ** 2 / wanted for count in seen.values()) < 45.3  # chi-square, 20 df, 0.1 %


def test_segments_of_t5s_own_numbers(views):
    """568 tokens: 85 masked in 28 pieces, the first token visible and the last one masked (arXiv 1910.10683)."""
    ids = torch.full((64, 568), 9)
    data = {
        "ids": ids,
        "document": torch.ones_like(ids),
        "sample": torch.arange(64),
        "visit": torch.zeros(64, dtype=torch.int64),
    }
    masked_BL = views(Segments(3.0), 0.15, length=568)(data, 0.0)["main"].outcome_BL > 0
    starts_B = (masked_BL[:, 1:] & ~masked_BL[:, :-1]).sum(1)
    assert (masked_BL.sum(1) == 85).all() and (starts_B == 28).all()
    assert not masked_BL[:, 0].any() and masked_BL[:, -1].all()


def test_t5_masks_the_last_token_always_and_rolled_every_token_alike(views):
    ids = torch.full((ROWS, 20), 9)
    data = {
        "ids": ids,
        "document": torch.ones_like(ids),
        "sample": torch.arange(ROWS),
        "visit": torch.zeros(ROWS, dtype=torch.int64),
    }
    share_L = (views(Segments(3.0), 0.3, length=20)(data, 0.0)["main"].outcome_BL > 0).double().mean(0)
    assert share_L[0] == 0 and share_L[-1] == 1
    rolled_BL = views(Segments(3.0, roll=True), 0.3, length=20)(data, 0.0)["main"].outcome_BL > 0
    assert (rolled_BL.sum(1) == 6).all()
    assert (rolled_BL.double().mean(0) - 0.3).abs().max() < 4 * (0.21 / ROWS) ** 0.5


@pytest.mark.parametrize("tokens", [1, 2, 5])
@pytest.mark.parametrize("lengths", [Geometric(0.2, 10), Poisson(3.0, 15)], ids=["geometric", "poisson"])
def test_rows_shorter_than_the_longest_span_are_masked_with_the_rate(tokens, lengths, views):
    ids = torch.full((ROWS, tokens + 2), 9)
    ids[:, 0], ids[:, -1] = 2, 3
    data = {
        "ids": ids,
        "document": torch.ones_like(ids),
        "sample": torch.arange(ROWS),
        "visit": torch.zeros(ROWS, dtype=torch.int64),
    }
    view = views(Span(lengths, "token"), 0.3, Independent(0), length=tokens + 2)(data, 0.0)["main"]
    share_L = (view.outcome_BL > 0).double().mean(0)[1:-1]
    assert (share_L - 0.3).abs().max() < 4.5 * (0.21 / ROWS) ** 0.5


@pytest.mark.parametrize("unit", [Token(), Word(), SPAN, Segments(3.0)], ids=["token", "word", "span", "t5"])
def test_rate_0_masks_nothing_and_rate_1_everything(unit, rows, views):
    data = rows(50, LENGTH)
    assert not (views(unit, 0.0)(data, 0.0)["main"].outcome_BL > 0).any()
    view = views(unit, 1.0)(data, 0.0)["main"]
    assert torch.equal(view.outcome_BL > 0, view.maskable_BL)


@pytest.mark.parametrize("unit", [Token(), Word(), SPAN, Segments(3.0)], ids=["token", "word", "span", "t5"])
def test_rows_without_anything_to_mask_are_left_alone(unit, rows, views):
    data = rows(4, LENGTH)
    data["ids"] = torch.full_like(data["ids"], 2)
    view = views(unit, 0.5)(data, 0.0)["main"]
    assert not view.counts_BK.any() and torch.equal(view.ids_BM, data["ids"])


def test_blocks_are_whole_and_never_cross_an_edge(rows, views):
    data = rows(2000, LENGTH)
    view = views(Block(4, False), 0.3, counted(rounding="random", overshoot="random"))(data, 0.0)["main"]
    masked_BL, maskable = view.outcome_BL > 0, view.maskable_BL[0].tolist()
    assert all((view.maskable_BL == view.maskable_BL[0]).flatten().tolist())
    blocks, since = [], 0
    for place in range(LENGTH):
        if not maskable[place]:
            since = 0
            continue
        blocks.append((place - since % 4, place))
        since += 1
    for first, place in blocks:
        assert torch.equal(masked_BL[:, place], masked_BL[:, first])
    assert masked_BL.sum().item() / view.maskable_BL.sum().item() == pytest.approx(0.3, abs=0.01)


def test_kinds_of_unit_follow_each_other_over_training(rows, views):
    data = rows(300, LENGTH)
    stages = views(Stages([Token(), Word(), Block(4, False)], [0.25, 0.5]), 0.3, counted(overshoot="allow"))
    alone = [views(unit, 0.3, counted(overshoot="allow")) for unit in (Token(), Word(), Block(4, False))]
    for progress, kind in ((0.0, 0), (0.24, 0), (0.25, 1), (0.49, 1), (0.5, 2), (1.0, 2)):
        assert torch.equal(stages(data, progress)["main"].outcome_BL, alone[kind](data, progress)["main"].outcome_BL)
    with pytest.raises(RecipeError, match="one rising share of training"):
        Stages([Token(), Word()], [1.0])


def test_a_kind_of_unit_is_drawn_for_each_row(rows, views):
    data = rows(8000, LENGTH)
    budget = counted(rounding="random", overshoot="random")
    mixed = views(Mixed([Word(), Token()], [0.7, 0.3]), 0.3, budget)(data, 0.0)["main"]
    words = views(Word(), 0.3, budget)(data, 0.0)["main"]
    alike_B = (mixed.outcome_BL == words.outcome_BL).all(1)
    assert alike_B.double().mean().item() == pytest.approx(0.7, abs=0.02)
    assert ((mixed.outcome_BL > 0).sum() / mixed.maskable_BL.sum()).item() == pytest.approx(0.3, abs=0.01)


def test_kinds_that_must_know_the_count_are_not_mixed():
    with pytest.raises(RecipeError, match="which stand alone"):
        Mixed([Token(), Segments(3.0)], [0.5, 0.5])


def test_whole_blocks_have_their_size_everywhere(rows, views):
    data = rows(6000, LENGTH, alike=True)
    view = views(Block(3, True), 0.3, counted(rounding="random", overshoot="random"))(data, 0.0)["main"]
    masked_BL = view.outcome_BL > 0
    size = torch.zeros(6000, LENGTH).scatter_add(1, view.unit_BL, masked_BL.float())
    assert set(size.unique().tolist()) == {0.0, 3.0}
    assert (masked_BL.sum() / view.maskable_BL.sum()).item() == pytest.approx(0.3, abs=0.01)
    share_L = masked_BL.double().mean(0)[view.maskable_BL[0]]
    assert (share_L > 0.08).all()  # every place can be in a block, those beside an edge in fewer


def test_trigrams_over_another_view_are_whole(rows, views):
    more = (ViewRecipe("order", Masking(Block(3, True), counted(overshoot="allow")), Constant(0.1),
                       Corruption([Permute(1.0)], "unit"), "over", "main"),)  # fmt: skip
    made = views(Token(), 0.15, counted(), more=more, length=128)(rows(1000, 128), 0.0)
    moved_BL = made["order"].outcome_BL > 0
    size = torch.zeros(1000, 128).scatter_add(1, made["order"].unit_BL, moved_BL.float())
    assert set(size.unique().tolist()) == {0.0, 3.0} and not (moved_BL & (made["main"].outcome_BL > 0)).any()
