"""Jensen-Shannon divergences against scipy, and a score of change that is 0 where nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from maskwright.annotation import divergence
from maskwright.annotation.counts import word_counts
from maskwright.annotation.divergence import by_neighbours, jensen_shannon
from maskwright.annotation.neighbours import neighbour_counts


def test_divergences_equal_scipys(monkeypatch):
    monkeypatch.setattr(divergence, "_ROWS", 7)
    chance = np.random.default_rng(0)
    one, other = chance.poisson(1.0, (2, 30, 12)).astype(np.uint32)
    one[0], other[0] = [1, 1, *[0] * 10], [*[0] * 10, 2, 2]
    one[1] = other[1]
    found = jensen_shannon(one, other)
    assert found == pytest.approx([jensenshannon(p, q) ** 2 for p, q in zip(one, other)], abs=1e-9)
    assert found[0] == pytest.approx(np.log(2)) and found[1] == 0
    assert np.isnan(jensen_shannon(one[:1], 0 * one[:1]))[0]
    assert jensen_shannon(one[:0], other[:0]).shape == (0,)


def test_change_by_neighbours_equals_the_definition(source):
    frequent = word_counts(source).column("word").to_pylist()
    words = frequent[10:40]
    later_D = np.array([-1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1][: len(source.train)])
    across, score = by_neighbours(source, words, frequent, later_D, 3, 50)
    half_D = np.full(len(later_D), -1)
    for period in (0, 1):
        for rank, number in enumerate(np.flatnonzero(later_D == period)):
            half_D[number] = 2 * period + rank % 2
    counts = neighbour_counts(source, frequent[:50], 50, 3, half_D, 4)
    for row, word in enumerate(words):
        p = [counts[half, frequent.index(word)].ravel() for half in range(4)]
        js = {(a, b): jensenshannon(p[a], p[b]) ** 2 for a in range(4) for b in range(a + 1, 4)}
        expected = np.mean([js[0, 2], js[0, 3], js[1, 2], js[1, 3]])
        assert across[row] == pytest.approx(expected, abs=1e-9)
        assert score[row] == pytest.approx(expected - (js[0, 1] + js[2, 3]) / 2, abs=1e-9)


def test_no_change_scores_0_for_rare_and_frequent_words_alike(source_of):
    """Documents of one distribution: across the periods neighbours differ as much as within them."""
    chance = np.random.default_rng(3)
    words = np.array([f"w{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(120)])
    weight = 1 / np.arange(1, 121)
    texts = [" ".join(chance.choice(words, 1500, p=weight / weight.sum())) for _ in range(50)]
    source = source_of(texts, vocabulary=70)
    later_D = np.arange(len(source.train)) % 2
    across, score = by_neighbours(source, words.tolist(), words.tolist(), later_D, 2, 100)
    assert across[0] < 0.01 < 0.1 < across[-1]  # rare words have fewer neighbours to tell by
    for part in (slice(0, 20), slice(20, 60), slice(60, 120)):
        error = score[part].std() / len(score[part]) ** 0.5
        assert abs(score[part].mean()) < 4 * error + 1e-4
        assert error < 0.004
