"""N-gram counts equal those of a plain loop over all windows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from maskwright.annotation import ngrams, passes
from maskwright.annotation.ngrams import ngram_counts


def brute(source, longest, fold=str.lower, punctuation=False):
    """Counts of all n-grams by order, and how many there are."""
    counts, totals = [Counter() for _ in range(longest)], [0] * longest
    for document in source.train:
        runs = [[]]
        for word in map(fold, document.words):
            if word and (punctuation or any(character.isalnum() for character in word)):
                runs[-1].append(word)
            elif not (punctuation and word):
                runs.append([])
        for run in runs:
            for length in range(1, longest + 1):
                found = [tuple(run[first : first + length]) for first in range(len(run) - length + 1)]
                counts[length - 1].update(found)
                totals[length - 1] += len(found)
    return counts, totals


def as_counter(counts, length):
    order = counts.orders[length - 1]
    numbers = counts.numbers(np.arange(len(order.count_N)), length)
    return {tuple(counts.words[n] for n in row): int(count) for row, count in zip(numbers, order.count_N)}


@pytest.mark.parametrize("options", [{}, {"lowercase": False}, {"punctuation": True}], ids=str)
def test_counts_equal_a_plain_loop(source, options):
    counts = ngram_counts(source, 5, 4, **options)
    fold = str.lower if options.get("lowercase", True) else str
    expected, totals = brute(source, 5, fold, options.get("punctuation", False))
    assert [order.total for order in counts.orders] == totals
    for length in range(1, 6):
        frequent = {ngram: count for ngram, count in expected[length - 1].items() if count >= 4}
        assert frequent
        assert as_counter(counts, length) == frequent


def test_parts_are_the_words_within(source):
    counts = ngram_counts(source, 5, 4)
    every = np.arange(len(counts.orders[4].count_N))
    numbers = counts.numbers(every, 5)
    for first in range(4):
        for number in range(1, 6 - first):
            part = counts.part(every, 5, first, number)
            assert (counts.numbers(part, number) == numbers[:, first : first + number]).all()


def test_portions_and_processes_change_nothing(source, source_of, addresses, monkeypatch):
    expected = ngram_counts(source, 3, 3)
    monkeypatch.setattr(passes, "_SMALL", 1)
    monkeypatch.setattr(passes, "_PORTION", 3000)
    monkeypatch.setattr(ngrams, "_PORTION", 1009)
    counts = ngram_counts(source_of(addresses, processes=2), 3, 3)
    for length in (1, 2, 3):
        assert as_counter(counts, length) == as_counter(expected, length)
        assert counts.orders[length - 1].total == expected.orders[length - 1].total


def test_an_order_without_frequent_ngrams_is_empty(source_of):
    letters = "abcdefghijklmnopqrst"
    source = source_of([f"{letter * 3} stands alone here {letter * 4}." for letter in letters], vocabulary=80)
    counts = ngram_counts(source, 5, 3)
    assert as_counter(counts, 3) == {("stands", "alone", "here"): len(source.train)}
    assert as_counter(counts, 4) == as_counter(counts, 5) == {}
    assert counts.orders[4].total == len(source.train)
