"""Corruptions: what selected positions become, against brute force."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.corruptions import (
    Corruption,
    Delete,
    Exchange,
    Infill,
    Insert,
    Keep,
    Mask,
    Permute,
    Pool,
    Random,
    RandomWithin,
    Sentinel,
    Similar,
    Swap,
)
from maskwright.masking.lengths import Fixed, Poisson
from maskwright.masking.units import Segments, Span, Token, Word
from maskwright.masking.view import Outcome

WHOLE = Counted("token", "random", "random", 0, None)
EXACT = Counted("token", "nearest", "cut", 0, None)


def one(stage, per="token"):
    corruption = Corruption([stage], per)
    corruption.bind(Sentinels())
    return corruption


class Sentinels:
    """<extra_id_n> is token 50 + n."""

    def convert_tokens_to_ids(self, tokens):
        return [50 + int(token[10:-1]) for token in tokens]


def read_back(view, row):
    """The tokens that the network reads, without padding."""
    return view.ids_BM[row][view.valid_BM[row]].tolist()


def test_shares_are_drawn_and_add_up(rows, views):
    corruption = Corruption([Mask(0.5), Random(0.2), Swap(0.2), Keep(0.1)], "token")
    view = views(Token(), 0.4, Independent(0), corruption)(rows(6000, 32), 0.0)["main"]
    chosen = view.outcome_BL[view.outcome_BL > 0]
    for outcome, share in ((Outcome.MASKED, 0.5), (Outcome.RANDOM, 0.2), (Outcome.MOVED, 0.2), (Outcome.KEPT, 0.1)):
        assert (chosen == outcome).double().mean().item() == pytest.approx(share, abs=0.01)


def test_swapped_tokens_are_the_rows_own_and_none_stays(rows, views):
    data = rows(400, 32)
    data["ids"] = torch.where(data["ids"] >= 5, 5 + torch.arange(32), data["ids"])  # all tokens of a row differ
    view = views(Token(), 0.3, EXACT, one(Swap(1.0)))(data, 0.0)["main"]
    moved_BL = view.outcome_BL == Outcome.MOVED
    assert torch.equal(view.ids_BM.sort(1).values, view.clean_BL.sort(1).values)
    assert (view.ids_BM != view.clean_BL)[moved_BL].all()
    assert torch.equal(view.ids_BM[~moved_BL], view.clean_BL[~moved_BL])


def test_a_single_swapped_token_stays(rows, views):
    view = views(Token(), 0.04, EXACT, one(Swap(1.0)))(rows(50, 32), 0.0)["main"]
    assert (view.outcome_BL > 0).sum(1).eq(1).all() and torch.equal(view.ids_BM, view.clean_BL)


def test_each_unit_is_permuted_and_every_order_is_as_likely(rows, views):
    data = rows(6000, 32)
    data["ids"] = torch.where(data["ids"] >= 5, 5 + torch.arange(32), data["ids"])
    view = views(Span(Fixed(3), "token"), 0.3, WHOLE, one(Permute(1.0), "unit"))(data, 0.0)["main"]
    orders: dict[tuple[int, ...], int] = {}
    for row in range(6000):
        units: dict[int, list[int]] = {}
        for place in (view.outcome_BL[row] > 0).nonzero()[:, 0].tolist():
            units.setdefault(int(view.unit_BL[row, place]), []).append(place)
        for places in units.values():
            clean = view.clean_BL[row, places].tolist()
            shown = view.ids_BM[row, places].tolist()
            assert sorted(clean) == sorted(shown)
            if len(places) == 3:
                order = tuple(clean.index(token) for token in shown)
                orders[order] = orders.get(order, 0) + 1
    wanted = sum(orders.values()) / 6
    assert len(orders) == 6 and sum((n - wanted) ** 2 / wanted for n in orders.values()) < 20.5  # 5 df, 0.1 %


def test_deleted_tokens_close_up(rows, views):
    view = views(Token(), 0.3, EXACT, one(Delete(1.0)))(rows(200, 32), 0.0)["main"]
    for row in range(200):
        kept = [t for t, o, d in zip(view.clean_BL[row].tolist(), view.outcome_BL[row].tolist(), range(30)) if not o]
        assert read_back(view, row) == kept
    assert not view.counts_BK.any()


def test_origin_leads_back_to_the_clean_row(rows, views):
    corruption = Corruption([Mask(0.4), Delete(0.3), Insert(0.3, "mask")], "token")
    view = views(Token(), 0.4, EXACT, corruption)(rows(300, 32), 0.0)["main"]
    there_BM = view.origin_BM >= 0
    assert torch.equal(there_BM.sum(1), (view.outcome_BL[:, :30] != Outcome.REMOVED).sum(1))
    clean_BM = view.clean_BL.gather(1, view.origin_BM.clamp(min=0))
    outcome_BM = view.outcome_BL.gather(1, view.origin_BM.clamp(min=0))
    same_BM = there_BM & (outcome_BM != Outcome.MASKED)
    assert torch.equal(view.ids_BM[same_BM], clean_BM[same_BM])
    assert (view.ids_BM[there_BM & (outcome_BM == Outcome.MASKED)] == 4).all()
    assert ((view.ids_BM == 4) & ~there_BM).sum() == (view.outcome_BL == Outcome.INSERTED).sum()
    rising = (view.origin_BM.clamp(min=0).diff(dim=1) >= 0) | ~there_BM[:, 1:] | ~there_BM[:, :-1]
    assert rising.all()
    # the predicted ones stand at their new places
    assert (view.ids_BM.gather(1, view.place_BK)[view.counts_BK] == 4).all()
    assert torch.equal(view.origin_BM.gather(1, view.place_BK)[view.counts_BK], view.source_BK[view.counts_BK])
    assert torch.equal(view.counts_BK.sum(1), (view.outcome_BL == Outcome.MASKED).sum(1))


@pytest.mark.parametrize("what", ["mask", "random"])
def test_an_inserted_token_stands_before_each_selected_one(what, rows, views):
    view = views(Token(), 0.3, EXACT, one(Insert(1.0, what)))(rows(200, 32), 0.0)["main"]
    assert view.ids_BM.shape[1] == 32 + view.place_BK.shape[1]
    for row in range(200):
        tokens = read_back(view, row)
        inserted = [place for place in range(len(tokens)) if view.origin_BM[row, place] < 0]
        assert [t for place, t in enumerate(tokens) if place not in inserted] == view.clean_BL[row, :30].tolist()
        followed = [int(view.origin_BM[row, place + 1]) for place in inserted]
        assert followed == (view.outcome_BL[row] > 0).nonzero()[:, 0].tolist()
        assert all(tokens[place] == 4 if what == "mask" else tokens[place] >= 5 for place in inserted)


def _runs(view, row):
    """Maximal runs of selected neighbours of one unit."""
    runs, before = [], None
    for place, outcome in enumerate(view.outcome_BL[row].tolist()):
        now = (place, int(view.unit_BL[row, place])) if outcome else None
        if now and before and before == (place - 1, now[1]):
            runs[-1].append(place)
        elif now:
            runs.append([place])
        before = now
    return runs


@pytest.mark.parametrize("sentinel", [False, True])
def test_one_token_stands_for_each_unit(sentinel, rows, views):
    stage = Sentinel(1.0, 20) if sentinel else Infill(1.0, False)
    view = views(Segments(3.0), 0.3, EXACT, one(stage, "unit"))(rows(200, 32), 0.0)["main"]
    for row in range(200):
        shown, clean = view.clean_BL[row, :30].tolist(), []
        runs = _runs(view, row)
        heads = {run[0]: number for number, run in enumerate(runs)}
        hidden = {place for run in runs for place in run}
        for place, token in enumerate(shown):
            if place in heads:
                clean.append(50 + heads[place] if sentinel else 4)
            elif place not in hidden:
                clean.append(token)
        assert read_back(view, row) == clean
    assert not view.counts_BK.any()


def test_neighbouring_units_can_share_a_mask(rows, views):
    view = views(Token(), 0.5, EXACT, one(Infill(1.0, True), "unit"))(rows(100, 32), 0.0)["main"]
    for row in range(100):
        tokens = read_back(view, row)
        assert not any(a == b == 4 for a, b in pairwise(tokens))


def test_units_of_length_zero_insert_masks_and_the_row_never_grows(rows, views):
    """Poisson lengths: the share of empty spans among those that start before the deadline is exp(-3)."""
    view = views(Span(Poisson(3.0, 15), "token"), 0.3, EXACT, one(Infill(1.0, False), "unit"), length=256)(
        rows(500, 256), 0.0
    )["main"]
    added_B = ((view.origin_BM < 0) & view.valid_BM).sum(1)
    assert (view.ids_BM[(view.origin_BM < 0) & view.valid_BM] == 4).all()
    assert (view.valid_BM.sum(1) <= 254).all() and added_B.sum() > 100
    # Per place the chance that an empty span starts before the deadline t is t x exp(-3); t from the rate itself:
    # 1 - prod_k (1 - t S(k)) = 0.3.
    survival = Poisson(3.0, 15).survival
    low, high = 0.0, 1.0
    for _ in range(60):
        t = (low + high) / 2
        missed = 1.0
        for chance in survival:
            missed *= 1 - t * chance
        low, high = (t, high) if 1 - missed < 0.3 else (low, t)
    expected = t * (1 - survival[0]) * view.maskable_BL.sum(1).double().mean().item()
    assert added_B.double().mean().item() == pytest.approx(expected, rel=0.1)


class Words:
    """A pool of words: tokens 5..9 are entries of one piece, pairs (10, 11), (12, 13), (14, 15) of two."""

    name, unit = "pool", "word"
    pool = Pool(
        piece_NS=torch.tensor([[5, 0], [6, 0], [7, 0], [8, 0], [9, 0], [10, 11], [12, 13], [14, 15]]),
        group_N=torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]),
        first_G=torch.tensor([0, 5]),
        size_G=torch.tensor([5, 3]),
        pieces_G=torch.tensor([1, 2]),
    )
    group_of_size = torch.tensor([-1, 0, 1])


def _pooled_rows(number):
    """Rows of words: [CLS] 5 | 10 11 | 6 | 20 21 22 | 12 13 | 30 | 14 with its second piece cut off by [SEP]."""
    ids = torch.tensor([[2, 5, 10, 11, 6, 20, 21, 22, 12, 13, 30, 14, 3]]).repeat(number, 1)
    word = torch.tensor([[1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1]]).bool().repeat(number, 1)
    own = torch.tensor([[-1, 0, 5, 5, 1, -1, -1, -1, 6, 6, -1, 7, -1]]).repeat(number, 1)
    sample = torch.arange(number)
    return {"ids": ids, "word": word, "pool": own, "document": torch.ones_like(ids), "sample": sample,
            "visit": torch.zeros_like(sample)}  # fmt: skip


def test_a_word_becomes_another_with_as_many_pieces(views):
    rows = 4000
    stage = Exchange(1.0, Words(), "word")
    corruption = Corruption([stage], "word")
    corruption.bind(None)
    view = views(Word(), 1.0, EXACT, corruption, length=13)(_pooled_rows(rows), 0.0)["main"]
    pairs = {(10, 11), (12, 13), (14, 15)}
    assert (view.outcome_BL[:, 5:8] == Outcome.KEPT).all()  # three pieces: there is no such entry
    for row in range(300):
        ids = view.ids_BM[row].tolist()
        assert ids[1] in (6, 7, 8, 9) and ids[4] in (5, 7, 8, 9)  # never itself
        assert (ids[2], ids[3]) in pairs - {(10, 11)} and (ids[8], ids[9]) in pairs - {(12, 13)}
        assert ids[5:8] == [20, 21, 22]
        assert ids[10] in range(5, 10) and ids[11] in range(5, 10)  # no entry, and an entry that was cut
    counts = torch.bincount(view.ids_BM[:, 10], minlength=10)[5:].double()
    assert ((counts - rows / 5) ** 2 / (rows / 5)).sum() < 18.5  # uniform, 4 df, 0.1 %
    counts = torch.bincount(view.ids_BM[:, 1], minlength=10)[6:].double()
    assert ((counts - rows / 4) ** 2 / (rows / 4)).sum() < 16.3


class Nearest:
    """Word 5 is like 8 and 9, the pair (10, 11) like (12, 13); 6 has a row without neighbours."""

    name, unit = "similar", "word"
    similar_NCS = torch.tensor([[[8, 0], [9, 0]], [[12, 13], [0, 0]], [[0, 0], [0, 0]]])
    number_N = torch.tensor([2, 1, 0])
    pieces_N = torch.tensor([1, 2, 1])


@pytest.mark.parametrize("nearest", [1, 2])
def test_a_word_becomes_its_neighbour_and_one_without_is_left_to_the_other_stage(nearest, views):
    rows = _pooled_rows(500)
    # the token 14 is what the end of the row left of a pair: no similar pair takes its place
    rows["similar"] = torch.tensor([[-1, 0, 1, 1, 2, -1, -1, -1, -1, -1, -1, 1, -1]]).repeat(500, 1)
    corruption = Corruption([Similar(1.0, Nearest(), nearest, Mask(1.0))], "word")
    corruption.bind(None)
    view = views(Word(), 1.0, EXACT, corruption, length=13)(rows, 0.0)["main"]
    assert set(view.ids_BM[:, 1].tolist()) == ({8} if nearest == 1 else {8, 9})
    assert (view.ids_BM[:, 2:4] == torch.tensor([12, 13])).all()
    assert (view.outcome_BL[:, 1:4] == Outcome.SIMILAR).all()
    assert (view.ids_BM[:, 4:12] == 4).all() and (view.outcome_BL[:, 4:12] == Outcome.MASKED).all()


@pytest.mark.parametrize(
    ("stage", "left", "changed"),
    [
        (Exchange(1.0, Words(), "word"), Outcome.KEPT, Outcome.REPLACED),
        (Similar(1.0, Nearest(), 1, Mask(1.0)), Outcome.MASKED, Outcome.SIMILAR),
    ],
    ids=["exchange", "similar"],
)
def test_a_word_of_which_a_part_is_selected_is_not_replaced_in_part(stage, left, changed, views):
    """Single tokens are drawn: the pair 10 11 changes where both are selected, and words of one piece always."""
    rows = _pooled_rows(4000)
    rows["similar"] = torch.tensor([[-1, 0, 1, 1, 2, -1, -1, -1, 1, 1, 0, -1, -1]]).repeat(4000, 1)
    rows["ids"][:, 8:10] = torch.tensor([10, 11])
    rows["pool"][:, 8:10] = 5
    corruption = Corruption([stage], "word")
    corruption.bind(None)
    view = views(Token(), 0.5, EXACT, corruption, length=13)(rows, 0.0)["main"]
    selected_BL = view.outcome_BL > 0
    for first in (2, 8):
        both_B = selected_BL[:, first] & selected_BL[:, first + 1]
        one_B = selected_BL[:, first] ^ selected_BL[:, first + 1]
        assert 500 < both_B.sum() < 1500 and one_B.sum() > 1500
        outcome = view.outcome_BL[:, first : first + 2]
        assert (outcome[both_B] == changed).all() and (
            outcome[one_B] == left * selected_BL[one_B][:, first : first + 2]
        ).all()
    assert (view.outcome_BL[:, 1][selected_BL[:, 1]] == changed).all()


def test_a_random_value_comes_from_its_own_class(rows, views):
    class Values:
        name, names = "field", ("", "year", "place")
        token_T, first_C, size_C = torch.tensor([20, 21, 22, 30]), torch.tensor([0, 0, 3]), torch.tensor([0, 3, 1])

    data = rows(3000, 32)
    data["field"] = torch.zeros_like(data["ids"])
    data["field"][:, 1:4], data["field"][:, 5] = 1, 2
    view = views(Token(), 1.0, EXACT, one(RandomWithin(1.0, Values())))(data, 0.0)["main"]
    assert set(view.ids_BM[:, 1:4].flatten().tolist()) == {20, 21, 22}
    assert set(view.ids_BM[:, 5].tolist()) == {30}
    assert len(set(view.ids_BM[:, 6].tolist())) == 55  # any ordinary token


def test_a_stage_that_needs_whole_words_says_so():
    with pytest.raises(RecipeError, match="corruption.per is token, but another word changes a whole word; set corru"):
        Corruption([Exchange(0.5, Words(), "word"), Mask(0.5)], "token")
    with pytest.raises(RecipeError, match="corruption.stages have shares that add up to 0.9"):
        Corruption([Mask(0.9)], "token")


def test_more_units_than_sentinels_are_refused(views):
    with pytest.raises(RecipeError, match="there are 5 sentinels, and a row may lose 10 units"):
        views(Token(), 0.3, EXACT, one(Sentinel(1.0, 5), "unit"))
