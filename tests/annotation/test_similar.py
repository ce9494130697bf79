"""Similar words: as many tokens, in the form of the text, for three kinds of tokenizer; MacBERT's shares."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch

from maskwright.annotation.pieces import spelled
from maskwright.annotation.similar import SimilarWords, _like
from maskwright.errors import RecipeError
from maskwright.masking import Outcome
from maskwright.training.recipe import assemble

LEARNED = dict(table=None, vectors=None, candidates=3, least_cosine=0.2, vocabulary=2000, least_count=3, window=2,
               contexts=200, dimensions=20)  # fmt: skip
KINDS = ["wordpiece", "bpe", "unigram"]


def similar(**changes):
    return SimilarWords(**{**LEARNED, **changes})


def words_of(document):
    """Each word, its tokens, and whether a space stands before it."""
    first = np.flatnonzero(document.begins_T).tolist()
    for number, (begin, end) in enumerate(zip(first, [*first[1:], len(document)])):
        word = document.words[number]
        start = document.text.find(word, int(document.start_T[begin]))
        yield word, tuple(document.id_T[begin:end].tolist()), document.text[start - 1 : start] in (" ", "\n"), begin


@pytest.mark.parametrize("kind", KINDS)
def test_similar_words_stand_in_the_form_of_the_text(kind, source_of, addresses):
    """Every candidate has as many tokens as the word, is spelled behind a space or not as the word itself, and has
    capitals where the word has."""
    source = source_of(addresses[:12], kind=kind, vocabulary=700)
    column = similar()
    column.fit(source)
    rows = column._artefact.table("rows").to_pylist()
    ids_NCS, number_N, pieces_N = column.similar_NCS, column.number_N, column.pieces_N
    assert len(rows) == len(number_N) > 300
    assert ids_NCS.dtype == number_N.dtype == pieces_N.dtype == torch.int64
    spelling = {}
    for spaced in (True, False):
        texts = sorted({word for row in rows for word in (row["word"], *row["words"]) if row["spaced"] == spaced})
        spelling |= {(text, spaced): ids for text, ids in zip(texts, spelled(texts, spaced, source.tokenizer))}
    for row, ids_CS, number, pieces in zip(rows, ids_NCS.tolist(), number_N.tolist(), pieces_N.tolist()):
        own = spelling[row["word"], row["spaced"]]
        assert len(own) == pieces and list(own) == row["pieces"]
        assert 1 <= number == len(row["words"]) <= 3
        for other, ids in zip(row["words"], ids_CS):
            assert spelling[other, row["spaced"]] == tuple(ids[:pieces]) != own
            assert not any(ids[pieces:])
        assert not any(any(ids) for ids in ids_CS[number:])
        if row["word"][0].isupper():
            assert all(other[0].isupper() or not other[0].isalpha() for other in row["words"])
    found = Counter()
    near = set(column._artefact.table("words").column("word").to_pylist())
    for document in source.train:
        row_T = column.mark(document)
        assert row_T.dtype == np.int32
        for word, ids, spaced, begin in words_of(document):
            row = int(row_T[begin])
            if row >= 0:
                assert tuple(rows[row]["pieces"]) == ids
                assert kind == "wordpiece" or rows[row]["spaced"] == spaced or begin == 0
            found[word.lower() in near, row >= 0] += 1
    assert found[False, True] < 0.02 * found[True, True]  # words that only share their tokens with one that is near
    assert found[True, True] > 0.9 * (found[True, True] + found[True, False])


def test_neighbours_are_the_nearest_of_as_many_tokens(source):
    column = similar(least_cosine=-1, candidates=2)
    column.fit(source)
    table = column._artefact.table("words").to_pylist()
    usual = dict(zip([row["word"] for row in table], spelled([row["word"] for row in table], True, source.tokenizer)))
    for row in table[:50]:
        assert row["cosine"] == sorted(row["cosine"], reverse=True)
        assert {len(usual[other]) for other in row["similar"]} == {len(usual[row["word"]])}
        assert row["word"] not in row["similar"] and len(set(row["similar"])) == len(row["similar"])


def test_words_in_the_same_places_are_similar(source_of):
    """Colours and animals in the same frames: the nearest word of a colour is a colour."""
    chance = np.random.default_rng(0)
    colours, animals = ["red", "blue", "green", "white"], ["dog", "cat", "horse", "cow"]
    lines = [
        f"the {chance.choice(colours)} {chance.choice(animals)} {chance.choice(['ran', 'slept'])} in the barn ."
        for _ in range(3000)
    ]
    texts = [" ".join(lines[first : first + 300]) for first in range(0, 3000, 300)]
    column = similar(least_cosine=0.5, vocabulary=50, contexts=50, dimensions=5, candidates=3)
    column.fit(source_of(texts, vocabulary=70))
    near = {row["word"]: row["similar"] for row in column._artefact.table("words").to_pylist()}
    for group in (colours, animals):
        for word in group:
            assert set(near.get(word, ())) <= set(group)
    assert sum(word in near for word in colours + animals) >= 4  # the tokenizer parts some into more pieces


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("table") / "similar.jsonl"
    rows = [
        {"word": "Congress", "similar": ["Senate", "people", "zzz"]},
        {"word": "people", "similar": ["nation", "people"]},
        {"word": "war", "similar": []},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_the_users(kind, table, source_of, addresses):
    source = source_of(addresses, kind=kind, vocabulary=2000)
    column = similar(table=str(table), candidates=2)
    column.fit(source)
    rows = {(row["word"], row["spaced"]): row["words"] for row in column._artefact.table("rows").to_pylist()}
    words = {word.lower() for word, _ in rows}
    assert words <= {"congress", "people"}
    sizes = {
        word: len(ids) for word, ids in zip(["people", "nation"], spelled(["people", "nation"], True, source.tokenizer))
    }
    assert (sizes["people"] == sizes["nation"]) == (("people", True) in rows or ("People", True) in rows)
    assert "people" not in {other.lower() for (word, _), others in rows.items() if word == "people" for other in others}
    csv = table.with_suffix(".csv")
    csv.write_text("word,similar\nCongress,Senate people zzz\npeople,nation people\n")
    again = similar(table=str(csv), candidates=2)
    again.fit(source)
    assert torch.equal(again.similar_NCS, column.similar_NCS)
    assert again.settings() != column.settings()


def test_vectors_of_the_users(source, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("of 1 0 0\nin 1 0.1 0\nthe 0 1 0\na 0 1 0.1\nand 0 0 1\n")
    column = similar(vectors=str(file), least_cosine=0.9, candidates=1)
    column.fit(source)
    near = {row["word"]: row["similar"] for row in column._artefact.table("words").to_pylist()}
    assert near == {"of": ["in"], "in": ["of"], "the": ["a"], "a": ["the"]}


@pytest.mark.parametrize(
    ("written", "other", "expected"),
    [("war", "England", "England"), ("War", "peace", "Peace"), ("WAR", "England", "ENGLAND"), ("I", "we", "We"),
     ("1865", "1866", "1866"), ("McKinley", "grant", "Grant")],
)  # fmt: skip
def test_the_other_word_takes_the_capitals_of_the_written_one(written, other, expected):
    assert _like(written, other) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_macberts_corruption(kind, compose):
    """80 % similar (random where there is none), 10 % random, 10 % kept, drawn per word; never [MASK]; nothing replaces
    itself, and the length stays."""
    cfg, choices = compose(
        f"tokenizer={kind}", "tokenizer.vocabulary=500", "masking=whole_word", "rate.value=0.6",
        "corruption=similar_word", "corruption.stages.1.pool.least_count=2", "corruption.stages.0.table.least_count=2",
        "corruption.stages.0.table.least_cosine=0.3",
    )  # fmt: skip
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    views = recipe.bind(prepared, 1)
    visits = 20
    rows = prepared.train.take(np.tile(np.arange(len(prepared.train)), visits))
    rows["visit"] = torch.arange(visits).repeat_interleave(len(prepared.train))
    view = views(rows, 0.0)["main"]
    assert view.ids_BM.shape == rows["ids"].shape
    selected = view.outcome_BL > 0
    assert not ((view.ids_BM != rows["ids"]) & ~selected).any()
    assert not (view.ids_BM == prepared.tokenizer.mask_token_id).any()
    starts = rows["word"] & selected
    kept, similar_BL = (view.outcome_BL == outcome for outcome in (Outcome.KEPT, Outcome.SIMILAR))
    table = recipe.views[0].corruption.stages[0].table
    row_BL = rows["similar_word"]
    ends = torch.nn.functional.pad(rows["word"][:, 1:], (0, 1), value=True)
    place_L = torch.arange(rows["ids"].shape[1])
    last_BL = torch.where(ends, place_L, len(place_L)).flip(1).cummin(1).values.flip(1)
    whole = (row_BL >= 0) & (last_BL - place_L + 1 == table.pieces_N[row_BL.clamp(min=0)])
    number = int(starts.sum())
    share = lambda part, of: (part & of).sum().item() / of.sum().item()  # noqa: E731
    spread = 4.5 * 0.5 / number**0.5
    assert share(similar_BL, starts & whole) == pytest.approx(0.8, abs=spread * 3)
    assert not (similar_BL & starts & ~whole).any()
    exchanged = view.outcome_BL == Outcome.REPLACED
    assert share(kept, starts & whole) == pytest.approx(0.1, abs=0.02)  # now and then a pool holds no other word
    assert share(exchanged, starts & ~whole) > 0.8
    changed = similar_BL | exchanged
    for row, place in (changed & starts).nonzero()[:2000].tolist():
        last = int(last_BL[row, place])
        clean, shown = rows["ids"][row, place : last + 1].tolist(), view.ids_BM[row, place : last + 1].tolist()
        assert shown != clean
        if similar_BL[row, place]:
            line = int(row_BL[row, place])
            assert shown == table.similar_NCS[line, 0, : len(shown)].tolist()  # nearest=1


def test_what_is_wrong_is_said_with_the_cure(table, tmp_path, source_of, addresses):
    with pytest.raises(RecipeError, match="^similar words have both a table and vectors; set one of the two to null"):
        similar(table=str(table), vectors=str(table))
    with pytest.raises(RecipeError, match="^window of the similar words is 0; it is a whole number from 1 up"):
        similar(window=0)
    with pytest.raises(RecipeError, match="^least_cosine of the similar words is 2; a cosine lies between -1 and 1"):
        similar(least_cosine=2)
    with pytest.raises(RecipeError, match="^vectors of the similar words=none.txt cannot be read"):
        similar(vectors="none.txt")
    source = source_of(addresses[:3])
    with pytest.raises(RecipeError, match="fewer than two words occur least_count times; lower least_count"):
        similar(least_count=10**6).fit(source)
    with pytest.raises(
        RecipeError, match="no word of the corpus has a similar one of as many tokens; lower least_count"
    ):
        similar(least_cosine=1).fit(source)
