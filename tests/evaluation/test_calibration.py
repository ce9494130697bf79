"""Calibration: laws of the expected calibration error, and every figure by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskwright.evaluation.calibration import calibration, confidence


def brute_force(confidences, credits, bins):
    """Sorted, cut into runs of equal size, gap by gap."""
    pairs = sorted(zip(confidences, credits), key=lambda pair: -pair[0])
    total, first = 0.0, 0
    for number in range(bins):
        size = len(pairs) // bins + (number < len(pairs) % bins)
        part, first = pairs[first : first + size], first + size
        if part:
            gap = sum(p for p, _ in part) / len(part) - sum(c for _, c in part) / len(part)
            total += len(part) / len(pairs) * abs(gap)
    return total


@pytest.mark.parametrize("count", [1, 7, 10, 123])
def test_figures_by_brute_force(count):
    random = np.random.default_rng(count)
    sure, credit = random.random(count), random.integers(0, 2, count).astype(float)
    found = calibration(sure, credit)
    assert found["ece"] == pytest.approx(brute_force(sure, credit, 10))
    assert found["ece_1bin"] == pytest.approx(abs(sure.mean() - credit.mean()))
    assert found["ece_1bin"] <= found["ece"] + 1e-12 and found["confidence"] == pytest.approx(sure.mean())
    ranked = [c for _, c in sorted(zip(sure, credit), reverse=True)]
    curve = [sum(ranked[:k]) / k for k in range(1, count + 1)]
    assert found["selective_accuracy"] == pytest.approx(sum(curve) / count)
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        assert found[f"by/coverage/{share:g}"] == pytest.approx(curve[max(1, round(share * count)) - 1])
    assert found["by/coverage/1"] == pytest.approx(credit.mean())


def test_labels_drawn_with_the_stated_confidence_are_calibrated():
    random = np.random.default_rng(0)
    sure = random.uniform(0.2, 1.0, 200_000)
    assert calibration(sure, (random.random(200_000) < sure).astype(float))["ece"] < 0.005
    boasting = calibration(np.sqrt(sure), (random.random(200_000) < sure).astype(float))["ece"]
    assert boasting == pytest.approx((np.sqrt(sure) - sure).mean(), abs=0.005)


def test_the_order_of_questions_changes_nothing():
    """Half of all questions share one confidence, so that any order among them would show."""
    random = np.random.default_rng(1)
    sure, credit = np.round(random.random(100), 1), random.integers(0, 2, 100).astype(float)
    order = random.permutation(100)
    assert calibration(sure[order], credit[order]) == pytest.approx(calibration(sure, credit))


def test_confidence_is_the_largest_softmax_and_finite():
    scores = [-3.0, -4.0, -4.5]
    assert confidence(scores) == pytest.approx(math.exp(-3) / sum(math.exp(score) for score in scores))
    assert confidence([-5000.0, -5000.0 - math.log(3)]) == pytest.approx(0.75)
    assert confidence([-1e6] * 4) == 0.25
