"""A lexicon holds the best n-grams of each order, and finds all of them in a text."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.annotation.lexicon import Lexicon
from maskwright.annotation.ngrams import ngram_counts
from maskwright.annotation.scorers import PMI, DiscountedPMI
from maskwright.errors import RecipeError


def lexicon(**changes):
    settings = dict(scorer=PMI(False), longest=5, minimum=4, entries=None, shares=None, keep=1.0)
    settings |= dict(lowercase=True, punctuation=False, table=None)
    return Lexicon(**{**settings, **changes})


def fitted(source, **changes):
    made = lexicon(**changes)
    made.fit(source)
    return made


def by_order(table):
    rows = {}
    for row in table.to_pylist():
        rows.setdefault(len(row["words"]), []).append((tuple(row["words"]), row["score"]))
    return rows


def test_entries_are_the_best_of_each_order(source):
    every, best = (
        by_order(fitted(source).table),
        by_order(fitted(source, entries=80, shares=[0.5, 0.25, 0.2, 0.05]).table),
    )
    assert {length: len(rows) for length, rows in best.items()} == {2: 40, 3: 20, 4: 16, 5: 4}
    for length, rows in best.items():
        scores = [score for _, score in rows]
        assert scores == sorted(scores, reverse=True)
        assert scores == sorted((score for _, score in every[length]), reverse=True)[: len(rows)]


def test_keep_bounds_each_order(source):
    every, half = by_order(fitted(source).table), by_order(fitted(source, keep=0.5).table)
    assert {length: len(rows) for length, rows in half.items()} == {
        length: round(len(rows) / 2) for length, rows in every.items()
    }
    short = by_order(fitted(source, entries=10**6, shares=[0.25] * 4).table)
    assert short == every  # an order that has fewer gives all


def test_what_a_scorer_refuses_does_not_enter(source):
    table = fitted(source, scorer=DiscountedPMI(90.0), minimum=2).table
    counts = ngram_counts(source, 5, 2)
    for length in range(2, 6):
        found = [row["count"] for row in table.to_pylist() if len(row["words"]) == length]
        least = np.percentile(counts.orders[length - 1].count_N, 90)
        assert len(found) == (counts.orders[length - 1].count_N > least).sum()
        assert not found or min(found) > least


@pytest.mark.parametrize("lowercase", [True, False])
def test_find_equals_a_plain_search(source, lowercase):
    made = fitted(source, entries=300, shares=[0.4, 0.3, 0.2, 0.1], lowercase=lowercase)
    entries = {tuple(words): row for row, words in enumerate(made.table["words"].to_pylist())}
    total = 0
    for document in source.train:
        words = [word.lower() if lowercase else word for word in document.words]
        expected = [
            (first, length, entries[tuple(words[first : first + length])])
            for first in range(len(words))
            for length in range(2, 6)
            if tuple(words[first : first + length]) in entries
        ]
        assert list(zip(*(column.tolist() for column in made.find(document)))) == expected
        total += len(expected)
    assert total > 500


def test_a_table_made_elsewhere_is_used(source, source_of, addresses, tmp_path):
    first = fitted(source, entries=80, shares=[0.5, 0.25, 0.2, 0.05])
    other = source_of(addresses[4:14])
    folders = [path for path in (source.cache / "artefacts").glob("lexicon-*") if path.is_dir()]
    for folder in folders:
        made = fitted(other, table=str(folder))
        if made.table.equals(first.table):
            break
    else:
        pytest.fail("no artefact holds the list that was made")
    assert made.settings() != lexicon().settings()
    entries = made.table["words"].to_pylist()
    seen = 0
    for document in other.train:
        words = [word.lower() for word in document.words]
        found = made.find(document)
        for start, length, entry in zip(*(column.tolist() for column in found)):
            assert words[start : start + length] == entries[entry]
            seen += 1
    assert seen > 20
    with pytest.raises(RecipeError, match="holds no table; name the folder of an artefact, or null"):
        fitted(other, table=str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"longest": 1}, "longest is 1; n-grams have 2 to 16 words"),
        ({"minimum": 0}, "minimum is 0; n-grams are counted from 1"),
        ({"entries": 0}, "entries is 0; give a number of n-grams from 1 up, or null"),
        (
            {"entries": 9, "shares": [0.5, 0.5]},
            "give each order from 2 to 5 words a share of the 9 entries",
        ),
        ({"shares": [0.25] * 4}, "shares divides the entries, and entries is null"),
        ({"keep": 0.0}, "keep is 0.0; it is a share between 0 and 1"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        lexicon(**changes)


def test_a_corpus_without_ngrams_is_refused(source):
    with pytest.raises(RecipeError, match="no n-gram of this corpus occurs 100000 times; lower minimum"):
        fitted(source, minimum=100_000)
