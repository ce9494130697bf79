"""Counts of neighbours equal a plain loop, whatever the portions, groups and processes."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.annotation import neighbours, passes
from maskwright.annotation.counts import word_counts
from maskwright.annotation.neighbours import counts_by_group, neighbour_counts


def by_a_loop(documents, words, contexts, window, group_D, groups):
    counts = np.zeros((groups, len(words), 2, contexts), np.int64)
    number = {word: row for row, word in enumerate(words)}
    for document, group in zip(documents, group_D):
        line = [number[word.lower()] for word in document.words if word.lower() in number]
        for place, word in enumerate(line):
            for other in range(max(place - window, 0), min(place + window + 1, len(line))):
                if other != place and line[other] < contexts and group >= 0:
                    counts[group, word, int(other > place), line[other]] += 1
    return counts


@pytest.mark.parametrize("window", [1, 3])
def test_counts_equal_a_plain_loop(window, source_of, addresses, monkeypatch):
    source = source_of([text[:3000] for text in addresses[:8]], processes=2)
    words = word_counts(source).column("word").to_pylist()[:60]
    documents = list(source.train)
    group_D = np.arange(len(documents)) % 3 - 1
    for part, groups in ((None, 1), (group_D, 2)):
        found = neighbour_counts(source, words, 25, window, part, groups)
        group = np.zeros(len(documents), np.int64) if part is None else part
        expected = by_a_loop(documents, words, 25, window, group, groups)
        assert found.dtype == np.uint32 and found.sum() > 1000
        assert (found == expected).all()
    monkeypatch.setattr(passes, "_SMALL", 1)
    monkeypatch.setattr(passes, "_PORTION", 500)
    monkeypatch.setattr(neighbours, "_PORTION", 71)
    assert (neighbour_counts(source, words, 25, window, group_D, 2) == expected).all()
    occurrences = counts_by_group(source, words, group_D, 2)
    for group in (0, 1):
        line = [word.lower() for d, g in zip(documents, group_D) if g == group for word in d.words]
        assert occurrences[group].tolist() == [line.count(word) for word in words]


def test_what_stands_before_is_what_the_other_has_behind(source):
    words = word_counts(source).column("word").to_pylist()[:40]
    counts_V2C = neighbour_counts(source, words, 40, 4)[0]
    assert (counts_V2C[:, 0] == counts_V2C[:, 1].T).all()
