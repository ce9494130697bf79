"""Word counts equal those of a plain loop, at any size of the portions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from maskwright.annotation import passes
from maskwright.annotation import tally as tally_module
from maskwright.annotation.counts import word_counts
from maskwright.annotation.tally import Tally


def counted(source, fold):
    total, documents = Counter(), Counter()
    for document in source.train:
        words = [fold(word) for word in document.words if word]
        total.update(words)
        documents.update(set(words))
    return {word: (count, documents[word]) for word, count in total.items()}


@pytest.mark.parametrize(("lowercase", "fold"), [(True, str.lower), (False, str)])
def test_counts_equal_a_plain_loop(source, lowercase, fold):
    table = word_counts(source, lowercase)
    assert table.column_names == ["word", "count", "documents"]
    rows = {row["word"]: (row["count"], row["documents"]) for row in table.to_pylist()}
    assert rows == counted(source, fold)
    order = [(-count, word) for word, (count, _) in rows.items()]
    assert order == sorted(order)


def test_portions_and_processes_change_nothing(source, source_of, addresses, monkeypatch):
    expected = word_counts(source)
    monkeypatch.setattr(passes, "_SMALL", 1)
    monkeypatch.setattr(passes, "_PORTION", 2000)
    again = source_of(addresses, processes=2)
    assert word_counts(again).equals(expected)


def test_counts_are_kept(source, monkeypatch):
    word_counts(source)
    monkeypatch.setattr("maskwright.annotation.counts._counted", lambda *_, **__: pytest.fail("counted again"))
    assert word_counts(source).num_rows


def test_a_tally_adds_up(tmp_path):
    with Tally(tmp_path, "string", ("count", "documents")) as tally:
        tally.add(["b", "a"], [2, 1], [1, 1])
        tally.add(["b", "c"], [3, 4], [1, 2])
        assert tally.sums().to_pylist() == [
            {"key": "a", "count": 1, "documents": 1},
            {"key": "b", "count": 5, "documents": 2},
            {"key": "c", "count": 4, "documents": 2},
        ]
        assert tally.sums(5).column("key").to_pylist() == ["b"]
    assert not list(tmp_path.iterdir())


def test_a_tally_spills_what_memory_does_not_hold(tmp_path, monkeypatch):
    """1.6 million sums in 24 MB, which hold a third of them."""
    monkeypatch.setattr(tally_module, "_MEMORY", "24MB")
    keys = np.arange(800_000, dtype=np.uint64) * np.uint64(2_654_435_761)
    with Tally(tmp_path, numbers=("one", "two")) as tally:
        for part in np.array_split(np.tile(keys, 3), 12):
            tally.add(part, np.ones(len(part), np.int64), np.full(len(part), 5))
        table = tally.sums(3)
    assert (table["key"].to_numpy() == np.sort(keys)).all()
    assert (table["one"].to_numpy() == 3).all()
    assert (table["two"].to_numpy() == 15).all()
