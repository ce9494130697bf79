"""Pairs and their mutual information equal those of plain loops."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from maskwright.annotation import cooccurrence, passes
from maskwright.annotation.cooccurrence import Information, check_pairs, pairs
from maskwright.errors import RecipeError

WINDOW = 4


def brute(source):
    """Unordered pairs of places, and how often each token is one of a pair."""
    counts, places = Counter(), Counter()
    for document in source.train:
        ids = document.id_T.tolist()
        for place, one in enumerate(ids):
            for other in ids[place + 1 : place + 1 + WINDOW]:
                counts[min(one, other), max(one, other)] += 1
                places[one] += 1
                places[other] += 1
    return counts, places


def as_counter(found):
    columns = (found.first_P.tolist(), found.second_P.tolist(), found.count_P.tolist())
    return {(first, second): count for first, second, count in zip(*columns)}


def test_counts_equal_a_plain_loop(source):
    counts, places = brute(source)
    found = pairs(source, WINDOW, 5)
    assert as_counter(found) == {pair: count for pair, count in counts.items() if count >= 5}
    assert {number: count for number, count in enumerate(found.places_V.tolist()) if count} == places


def test_portions_and_processes_change_nothing(source_of, addresses, monkeypatch):
    again = source_of(addresses, processes=2)  # a tokenizer of its own: training one again gives other ids
    monkeypatch.setattr(passes, "_SMALL", 1)
    monkeypatch.setattr(passes, "_PORTION", 997)
    counts, places = brute(again)
    found = pairs(again, WINDOW, 5)
    assert as_counter(found) == {pair: count for pair, count in counts.items() if count >= 5}
    assert {number: count for number, count in enumerate(found.places_V.tolist()) if count} == places


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dense", [True, False])
def test_information_equals_the_formula(source, smoothing, positive, dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(cooccurrence, "_DENSE", 0)
    counts, _ = brute(source)
    seen = {number for pair in counts for number in pair}
    joint = Counter()
    for (one, other), count in counts.items():
        joint[one, other] += count
        joint[other, one] += count
    single = Counter()
    for one in seen:
        for other in seen:
            single[one] += joint.get((one, other), 0) + smoothing
    total = sum(single.values())
    information = Information(pairs(source, WINDOW, 5), smoothing, positive)
    id_T = np.asarray(source.train.ids[:400]).astype(np.int64)
    checked = 0
    for reads in (1, 10**9):
        number_T, table = information.near(id_T, reads)
        for place, one in enumerate(id_T.tolist()):
            for apart in (1, 7):
                other = id_T[place - apart].item()
                expected = 0.0
                if counts[min(one, other), max(one, other)] >= 5:
                    ratio = (joint[one, other] + smoothing) * total / (single[one] * single[other])
                    expected = max(math.log(ratio), 0.0) if positive else math.log(ratio)
                    checked += 1
                assert table[number_T[place], number_T[place - apart]] == pytest.approx(expected, abs=1e-5)
    assert checked > 500


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 0.0), "window is 0; tokens stand 1 place or more apart"),
        ((1, 0, 0.0), "minimum is 0; pairs are counted from 1 occurrence up"),
        ((1, 1, -1.0), "smoothing is -1.0; it is a count from 0 up"),
    ],
)
def test_impossible_values_are_refused(values, message):
    with pytest.raises(RecipeError, match=f"masking.weight: {message}"):
        check_pairs(*values, "masking.weight")
