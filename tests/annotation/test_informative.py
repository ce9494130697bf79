"""The winning masks equal enumeration; rates are shares among winners; masks made with them have these rates."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import chi2

from maskwright.annotation import informative, passes
from maskwright.annotation.cooccurrence import Information, pairs
from maskwright.annotation.informative import Informative, drawn, random_masks, told
from maskwright.errors import RecipeError
from maskwright.masking import Masking
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.rates import ByToken, Constant
from maskwright.masking.units import Token
from maskwright.masking.weights import Scores


def table(**changes):
    settings = dict(window=5, minimum=3, smoothing=0.0, texts=40, length=32, candidates=8, share=0.2, table=None)
    return Informative(**{**settings, **changes})


def fitted(source, **changes):
    made = table(**changes)
    made.fit(source)
    return made


def test_the_winner_is_that_of_an_enumeration(source):
    """With so many candidates that every mask is among them, the winner is the best of all."""
    information = Information(pairs(source, 5, 3), 0.0, positive=False)
    for begin in range(0, 4000, 400):
        id_L = np.asarray(source.train.ids[begin : begin + 8]).astype(np.int64)
        number_L, whole = information.near(id_L, 10**9)
        value = whole[np.ix_(number_L, number_L)]
        masks = random_masks(begin, np.ones(8, bool), 2, 600)
        every = list(combinations(range(8), 2))
        assert {tuple(np.flatnonzero(mask)) for mask in masks} == set(every)
        sums = {mask: sum(float(value[i, j]) for i in mask for j in range(8) if j not in mask) for mask in every}
        won = masks[told(masks, value).argmax()]
        assert sums[tuple(np.flatnonzero(won))] == pytest.approx(max(sums.values()), abs=1e-4)


def test_candidates_are_uniform_and_frozen():
    free = np.array([True] * 6 + [False] * 2)
    masks = random_masks(7, free, 2, 30_000)
    assert (masks.sum(1) == 2).all() and not masks[:, 6:].any()
    count = np.array(list(Counter(map(bytes, masks)).values()))
    assert len(count) == 15
    assert chi2.sf(((count - 2000) ** 2 / 2000).sum(), 14) > 1e-4
    assert (random_masks(7, free, 2, 10) == masks[:10]).all()
    assert (random_masks(8, free, 2, 10) != masks[:10]).any()


def test_texts_are_drawn_evenly_and_never_cross_a_document(source):
    side = source.train
    every, lengths = drawn(side, 10**9, 32)
    stretches = [
        (int(first) + begin, min(32, int(length) - begin))
        for first, length in zip(side.first_D, side.length_D)
        for begin in range(0, int(length), 32)
    ]
    assert list(zip(every.tolist(), lengths.tolist())) == stretches
    few, few_lengths = drawn(side, 40, 32)
    assert set(zip(few.tolist(), few_lengths.tolist())) < set(stretches)
    place = np.searchsorted(every, few)
    assert (place * 40 // len(every) == np.arange(40)).mean() > 0.9  # one of each fortieth


def test_the_table_equals_a_slow_loop(source):
    made = fitted(source, candidates=5)
    information = Information(pairs(source, 5, 3), 0.0, positive=False)
    hidden, seen = Counter(), Counter()
    special = set(source.tokenizer.all_special_ids)
    for begin, length in zip(*(part.tolist() for part in drawn(source.train, 40, 32))):
        ids = source.train.ids[begin : begin + length].astype(np.int64)
        free = np.array([number not in special for number in ids.tolist()])
        number_L, whole = information.near(ids, 10**9)
        best = None
        for mask in random_masks(begin, free, round(0.2 * int(free.sum())), 5):
            there, rest = np.flatnonzero(mask), np.flatnonzero(~mask)
            value = sum(float(whole[number_L[i], number_L[j]]) for i in there for j in rest)
            if best is None or value > best[0]:
                best = (value, there)
        seen.update(ids[free].tolist())
        hidden.update(ids[best[1]].tolist())
    everywhere = Counter(source.train.ids.tolist())
    rows = made.table.to_pylist()
    assert [row["id"] for row in rows] == sorted(set(everywhere) - special)
    for row in rows:
        assert row["token"] == source.tokenizer.convert_ids_to_tokens(row["id"])
        assert row["count"] == everywhere[row["id"]] == made.count_V[row["id"]]
        assert row["seen"] == seen[row["id"]]
        assert row["rate"] == made.rate_V[row["id"]] == hidden[row["id"]] / max(seen[row["id"]], 1)
    assert sum(hidden.values()) > 200


def test_portions_and_processes_change_nothing(source, monkeypatch):
    expected = fitted(source, texts=37).table
    monkeypatch.setattr(passes, "_SMALL", 1)
    monkeypatch.setattr(informative, "_TEXTS", 3)
    (folder,) = [path for path in (source.cache / "artefacts").glob("informative-*") if _rows(path).equals(expected)]
    folder.rename(folder.with_name("moved"))
    assert fitted(source, texts=37).table.equals(expected)


def _rows(folder):
    return pq.read_table(folder / "tokens.parquet") if folder.is_dir() else pa.table({})


def test_what_shares_much_with_its_text_is_hidden_more(source_of):
    """Two topics with words of their own, and words of neither: those of a topic tell of each other."""
    generator = np.random.default_rng(0)
    letters = "abcdefghijklmnopqrstuvwx"
    words = [letter * 3 for letter in letters]
    texts = []
    for number in range(40):
        topic = words[:4] if number % 2 else words[4:8]
        texts.append(" ".join(generator.choice(topic if generator.random() < 0.3 else words[8:]) for _ in range(600)))
    source = source_of(texts, vocabulary=100)
    made = fitted(source, window=10, texts=10**6, candidates=30, share=0.15)
    rate = {}
    for letter in letters:  # over the pieces of its word
        own = [row for row in made.table.to_pylist() if letter in row["token"]]
        rate[letter] = sum(row["rate"] * row["seen"] for row in own) / sum(row["seen"] for row in own)
    assert min(rate[letter] for letter in letters[:8]) > 1.3 * max(rate[letter] for letter in letters[8:])


@pytest.fixture(scope="module")
def rows(prepared_of, addresses):
    column = table(texts=30)
    return column, prepared_of(addresses[:6], columns=[column])


def test_each_token_is_masked_at_its_rate(rows, masked):
    """Over more than 100,000 places, by chi-square; no token outside the table is ever masked."""
    column, prepared = rows
    batch, view = masked(prepared, Masking(Token(), Independent(0)), ByToken(column, None), visits=20)
    maskable = view.maskable_BL
    assert maskable.sum() > 100_000
    ids, hidden = batch["ids"][maskable], (view.outcome_BL > 0)[maskable]
    size = len(column.rate_V)
    number_V = torch.bincount(ids, minlength=size).double()
    hidden_V = torch.bincount(ids, hidden.double(), minlength=size)
    rate_V = column.rate_V
    assert (rate_V == 0).logical_and(number_V > 0).sum() > 5
    assert hidden_V[rate_V == 0].sum() == 0
    certain = rate_V == 1
    assert (hidden_V[certain] == number_V[certain]).all()
    tested = (rate_V > 0) & ~certain & (number_V * rate_V * (1 - rate_V) > 10)
    z = (hidden_V - number_V * rate_V)[tested] / (number_V * rate_V * (1 - rate_V))[tested].sqrt()
    assert tested.sum() > 80
    assert 1e-4 < chi2.sf(float((z**2).sum()), int(tested.sum())) < 1 - 1e-4


@pytest.mark.parametrize("value", [0.1, 0.3, 0.5])
def test_scaled_rates_reach_the_rate_asked_for(rows, masked, value):
    column, prepared = rows
    _, view = masked(prepared, Masking(Token(), Independent(0)), ByToken(column, value), visits=4)
    share = (view.outcome_BL > 0).sum() / view.maskable_BL.sum()
    assert share == pytest.approx(value, abs=4 * (value / int(view.maskable_BL.sum())) ** 0.5)


def test_the_column_is_the_rate_of_each_token_and_weighs_counting_budgets(rows, masked):
    column, prepared = rows
    weight = Scores(column, temperature=1.0, floor=0.0)
    budget = Counted(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None)
    batch, view = masked(prepared, Masking(Token(), budget, weight), Constant(0.15), visits=20)
    maskable, hidden = view.maskable_BL, view.outcome_BL > 0
    score = batch["informative"]
    assert (score[maskable] == column.rate_V[batch["ids"][maskable]].float()).all()
    assert (score[~maskable] == 0).all()
    assert not hidden[score == 0].any()
    possible = (score > 0).sum(1)
    planned = torch.minimum((0.15 * maskable.sum(1) + 0.5 + 1e-9).floor(), possible)
    assert (hidden.sum(1) == planned).all()
    high = score > score[maskable & (score > 0)].median()
    assert hidden[high].double().mean() > 1.5 * hidden[maskable & (score > 0) & ~high].double().mean()


def test_a_table_made_elsewhere_is_used_by_names(source, tmp_path):
    first = fitted(source)
    folder = tmp_path / "given"
    made = [path for path in (source.cache / "artefacts").glob("informative-*") if _rows(path).equals(first.table)]
    made[0].rename(folder)
    changed = first.table.set_column(1, "id", pa.array(np.zeros(first.table.num_rows, np.int64)))
    pq.write_table(changed, folder / "tokens.parquet")
    given = fitted(source, table=str(folder))
    assert torch.equal(given.rate_V, first.rate_V)
    assert torch.equal(given.count_V, first.count_V)
    assert given.settings() != first.settings()
    pq.write_table(changed.set_column(0, "token", pa.array(["?!"] * changed.num_rows)), folder / "tokens.parquet")
    with pytest.raises(RecipeError, match="names no token of this tokenizer; make the table with it"):
        fitted(source, table=str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": 0.0}, "share is 0.0; a mask hides a share between 0 and 1"),
        ({"texts": 0}, "texts is 0; give a whole number from 1 up"),
        ({"length": 1}, "length is 1; give a whole number from 2 up"),
        ({"candidates": 0}, "candidates is 0; give a whole number from 1 up"),
        ({"window": 0}, "window is 0; tokens stand 1 place or more apart"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(RecipeError, match=f"informative: {message}"):
        table(**changes)
