"""Pools: groups of entries that may stand for each other, and the words of a corpus in them."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch

from maskwright.annotation.pool import WordPool, pool_of
from maskwright.errors import RecipeError
from maskwright.masking import Outcome
from maskwright.training.recipe import assemble


def test_a_pool_groups_by_class_and_size():
    chance = random.Random(0)
    entries = [
        (tuple(chance.choices(range(1, 9), k=chance.choice((1, 2, 2, 4)))), chance.choice("ab")) for _ in range(300)
    ]
    pool, row_E, groups = pool_of(entries)
    assert len(pool.piece_NS) == len(set(entries)) == int(pool.size_G.sum())
    assert len(row_E) == len(entries)
    for (pieces, kind), row in zip(entries, row_E):
        group = int(pool.group_N[row])
        assert groups[kind, len(pieces)] == group
        assert int(pool.pieces_G[group]) == len(pieces)
        assert pool.piece_NS[row].tolist() == [*pieces, *[0] * (4 - len(pieces))]
        assert pool.first_G[group] <= row < pool.first_G[group] + pool.size_G[group]
    again = pool_of(entries)
    assert torch.equal(again.pool.piece_NS, pool.piece_NS) and (again.row_E == row_E).all()


def test_an_empty_pool_has_no_groups():
    pool, row_E, groups = pool_of([])
    assert len(pool.piece_NS) == len(row_E) == len(groups) == 0


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_the_words_of_the_corpus(kind, prepared_of, addresses):
    column = WordPool(3, 50_000)
    source = prepared_of(addresses[:8], kind=kind, vocabulary=700, columns=[column]).source
    counts = Counter(word for document in source.train for word in document.words)
    often = {word for word, count in counts.items() if count >= 3 and any(map(str.isalnum, word))}
    texts = {source.tokenizer.decode(pieces).strip() for pieces, _ in column._entries}
    assert texts == {word.lower() for word in often}
    seen = Counter()
    for document in source.train:
        row_T = column.mark(document)
        assert row_T.dtype == np.int32
        first = np.flatnonzero(document.begins_T).tolist()
        for word, begin, end in zip(document.words, first, [*first[1:], len(document)]):
            assert len(set(row_T[begin:end].tolist())) == 1
            row = int(row_T[begin])
            if row >= 0:
                ids = document.id_T[begin:end].tolist()
                assert column.pool.piece_NS[row].tolist()[: len(ids)] == ids
                assert column.pool.pieces_G[column.pool.group_N[row]] == len(ids)
            seen[word in often, row >= 0] += 1
    # a frequent word is found in nearly every place; behind other marks some tokens differ
    assert seen[True, True] > 0.98 * (seen[True, True] + seen[True, False])
    spaced = [spaced for _, spaced in column._entries]
    assert all(spaced) == (kind == "wordpiece")
    for (apart, _), group in column._pooled.groups.items():  # words behind a space never share a group with others
        rows = {int(row) for row in column._pooled.row_E[[s == apart for s in spaced]]}
        assert {int(column.pool.group_N[row]) for row in rows} >= {group}
        assert all(spaced[list(column._pooled.row_E).index(row)] == apart for row in list(rows)[:20])


def test_units_that_are_no_entry_take_words_behind_a_space(prepared_of, addresses):
    column = WordPool(3, 50_000)
    prepared_of(addresses[:8], kind="bpe", vocabulary=700, columns=[column])
    groups = column._pooled.groups
    for size, group in enumerate(column.group_of_size.tolist()):
        expected = groups.get((True, size), groups.get((False, size), -1))
        assert group == expected
    assert column.group_of_size[0] == -1


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_random_word_has_as_many_tokens_and_is_another(kind, compose):
    cfg, choices = compose(
        f"tokenizer={kind}", "tokenizer.vocabulary=500", "masking=whole_word", "rate.value=0.5",
        "corruption=random_word", "corruption.stages.0.pool.least_count=2",
    )  # fmt: skip
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    views = recipe.bind(prepared, 1)
    rows = prepared.train.take(np.arange(len(prepared.train)))
    rows["visit"] = torch.zeros_like(rows["sample"])
    view = views(rows, 0.0)["main"]
    assert view.ids_BM.shape == rows["ids"].shape
    selected, changed = view.outcome_BL > 0, view.ids_BM != rows["ids"]
    assert not (changed & ~selected).any()
    assert not (view.ids_BM == prepared.tokenizer.mask_token_id).any()
    replaced = view.outcome_BL == Outcome.REPLACED
    assert set(view.outcome_BL[selected].tolist()) <= {int(Outcome.REPLACED), int(Outcome.KEPT)}
    assert (replaced.sum() / selected.sum()) > 0.9
    column = recipe.views[0].corruption.stages[0].column
    entries = {pieces for pieces, _ in column._entries}
    starts = rows["word"]
    number = 0
    for row, place in (replaced & starts).nonzero().tolist():
        end = place + 1
        while end < starts.shape[1] and not starts[row, end]:
            end += 1
        shown, clean = tuple(view.ids_BM[row, place:end].tolist()), tuple(rows["ids"][row, place:end].tolist())
        assert shown in entries  # a word of the corpus, of as many tokens
        assert shown != clean
        number += 1
    assert number > 300


def test_numbers_are_refused_with_the_cure():
    with pytest.raises(RecipeError, match="^least_count of the word pool is 0; it is a number of words from 1 up"):
        WordPool(0, 10)
    with pytest.raises(RecipeError, match="^most of the word pool is 1; two words at least stand for each other"):
        WordPool(1, 1)


def test_a_corpus_without_frequent_words_is_refused(prepared_of, addresses):
    with pytest.raises(RecipeError, match="no word of the corpus occurs 100000 times; lower least_count"):
        prepared_of(addresses[:3], columns=[WordPool(100_000, 10)])
