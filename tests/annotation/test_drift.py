"""Pivots: what changes its neighbours comes first, and hidden pivots keep the budget (LMLM, arXiv 2210.17127)."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from maskwright.annotation.drift import Pivots
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.errors import RecipeError
from maskwright.masking import Masking
from maskwright.masking.budgets import Counted
from maskwright.masking.rates import Constant
from maskwright.masking.units import Token, Word
from maskwright.masking.weights import First

SETTINGS = dict(column="year", split=1900, number=1, table=None, model=None, candidates=100, least_count=20,
                occurrences=30, window=2, contexts=60)  # fmt: skip
EXACT = Counted(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None)


def pivots(**changes):
    return Pivots(**{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences from a few frames; `bank` is by the river before 1900 and holds money after it."""
    chance = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("dated") / "texts.jsonl"
    with file.open("w") as lines:
        for number in range(60):
            year = 1850 + 2 * number
            sentences = []
            for _ in range(30):
                where = ("river", "muddy", "green") if year < 1900 else ("money", "loan", "rich")
                things, verbs = ("house", "tree", "road", "field"), ("saw", "liked", "left")
                sentences.append(
                    f"the {chance.choice(where)} bank {chance.choice(verbs)} the {chance.choice(things)} ."
                )
                sentences.append(f"a {chance.choice(things)} {chance.choice(verbs)} an old {chance.choice(things)} .")
            lines.write(json.dumps({"text": " ".join(sentences), "year": year if number else None}) + "\n")
    return TextFiles(str(file), heldout=0.2, columns=["year"])


@pytest.fixture(scope="module")
def prepared_with(corpus, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return lambda *columns, processes=1: prepare(
        corpus,
        TrainedTokenizer(vocabulary=90),
        Packing("document", 64),
        cache=cache,
        columns=columns,
        processes=processes,
    )


def test_the_word_that_changed_comes_first(prepared_with):
    column = pivots()
    source = prepared_with(column).source
    assert column.words == {"bank"}
    table = next((source.cache / "artefacts").glob("drift-*/words.parquet"))
    import pyarrow.parquet as pq

    rows = pq.read_table(table).to_pylist()
    assert list(rows[0]) == ["word", "count_before", "count_after", "clusters", "divergence", "score"]
    assert rows[0]["score"] > 0.15 > 5 * abs(rows[-1]["score"])
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    documents = [document for document in source.train if document.fields["year"] is not None]
    for row in rows:
        for name, before in (("count_before", True), ("count_after", False)):
            words = [word.lower() for d in documents if (d.fields["year"] < 1900) == before for word in d.words]
            assert row[name] == words.count(row["word"]) >= 20
        assert row["clusters"] is None and 0 <= row["divergence"] <= math.log(2)
    for document in source.train:
        marks = column.mark(document)
        assert marks.dtype == np.uint8
        expected = [int(document.words[word].lower() == "bank") for word in document.word_T]
        assert marks.tolist() == expected
    assert column.names == ("", "pivot")


def test_more_pivots_come_from_the_same_artefact(prepared_with):
    two = pivots(number=2)
    one = pivots()
    source = prepared_with(one).source
    prepared_with(two)
    assert len(two.words) == 2 and one.words < two.words
    assert len(list((source.cache / "artefacts").glob("drift-*/"))) == 1
    assert one.settings() != two.settings()


@pytest.mark.parametrize(("split", "early"), [(1900, 1899), ("1900-06", "1900-05-31"), ("1900-06-30", "1900-06-29")])
def test_periods_meet_at_the_split(split, early):
    column = pivots(split=split)
    assert column._is_later(early) == 0
    assert column._is_later("1900-06-30") == 1
    assert column._is_later(None) == column._is_later(" ") == -1


def test_a_list_of_the_users_needs_no_dates(document_of, tmp_path):
    file = tmp_path / "pivots.csv"
    file.write_text("word,score\nBank,3\nriver,2\nmoney,1\n")
    column = pivots(table=str(file), number=2)
    assert column.reads == () and pivots().reads == ("year",)
    column.fit(None)
    document = document_of("The BANK has money; a river bank has none.")
    marked = {document.words[word] for word, mark in zip(document.word_T, column.mark(document)) if mark}
    assert marked == {"BANK", "river", "bank"}


@pytest.mark.parametrize("unit", [Token, Word])
@pytest.mark.parametrize(("rate", "number"), [(0.3, 1), (0.15, 8)])
def test_the_budget_is_met_whether_there_are_fewer_or_more_pivots(unit, rate, number, prepared_with, masked):
    """c <= b: all pivots, and others up to the budget; c > b: each pivot with chance b/c, and nothing else. The mean
    count is the budget in both, and special tokens are never hidden."""
    column = pivots(number=number)
    prepared = prepared_with(column)
    visits = 40
    budget = (
        EXACT if unit is Token else Counted(of="token", rounding="random", overshoot="random", at_least=0, at_most=None)
    )
    batch, view = masked(prepared, Masking(unit(), budget, First(column, None, 1.0, "later")), Constant(rate), visits)
    hidden, pivot = view.outcome_BL > 0, (batch["pivot"] == 1) & view.maskable_BL
    assert not (hidden & ~view.maskable_BL).any()
    budget_B = rate * view.maskable_BL.sum(1)
    count_B, pivots_B, hidden_B = pivot.sum(1), (hidden & pivot).sum(1), hidden.sum(1)
    if unit is Token:
        assert ((hidden_B - budget_B).abs() <= 0.5 + 1e-6).all()
    else:
        spread = (hidden_B - budget_B).std().item() / len(hidden_B) ** 0.5
        assert abs((hidden_B - budget_B).mean().item()) < 4.5 * spread
    few, many = count_B <= budget_B - 4, count_B >= budget_B + 4  # apart from the word at the boundary
    assert few.any() == (number == 1) and many.any() == (not few.any())
    assert (pivots_B == count_B)[few].all()
    if many.any():
        assert (hidden & ~pivot).sum(1)[many].max() <= (0 if unit is Token else 3)
        share = (pivots_B[many].sum() / count_B[many].sum()).item()
        assert share == pytest.approx((budget_B[many].sum() / count_B[many].sum()).item(), rel=0.04)
        # each pivot alike: over visits, early and late ones in the row are hidden equally often
        row = int(many.nonzero()[0])
        rows = hidden.view(visits, -1, hidden.shape[1])[:, row % len(prepared.train)].double().mean(0)
        chance_P = rows[pivot[row]]
        assert chance_P.std(correction=0) < 2.5 * (share * (1 - share) / visits) ** 0.5
    assert torch.equal(hidden.sum(), hidden_B.sum())


def test_what_is_wrong_is_said_with_the_cure(prepared_with):
    with pytest.raises(RecipeError, match="^number of the pivots is 0; it is a whole number from 1 up"):
        pivots(number=0)
    with pytest.raises(RecipeError, match="^the column 'split' holds 'soon', which is no date"):
        pivots(split="soon")
    with pytest.raises(RecipeError, match="^fewer than 2 documents lie before split=1700 by their column 'year'"):
        prepared_with(pivots(split=1700))
    with pytest.raises(RecipeError, match="^no word occurs 99999 times both before and after 1900; lower least_count"):
        prepared_with(pivots(least_count=99_999))
