"""Calibration: does a model that chooses among options know when it is right? (HELM, arXiv 2211.09110)

A question's confidence is the largest share of the softmax over its options' scores. Questions of equal confidence
share their mean credit, so that the order of questions plays no part. Shapes: Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 10
COVERAGE = (0.1, 0.25, 0.5, 0.75, 1.0)


def confidence(scores: Sequence[float] | np.ndarray) -> float:
    """The largest probability, when the options' probabilities are in the ratio of exp(score)."""
    scores = np.asarray(scores, dtype=float)
    return float(1 / np.exp(scores - scores.max()).sum())


def calibration(confidence_Q: np.ndarray, credit_Q: np.ndarray) -> dict[str, Any]:
    """ece: the mean gap between confidence and accuracy over 10 bins with as many questions each, sorted by confidence;
    below some 300 questions mostly noise, which makes it too large. ece_1bin: the same over all at once, never larger.
    selective_accuracy: the mean accuracy of the k surest questions, over all k. by/coverage/<share>: accuracy
    of that share of the questions, the surest ones."""
    order = np.argsort(-confidence_Q, kind="stable")
    sure_Q, credit_Q = confidence_Q[order], _shared(confidence_Q, credit_Q)[order]
    accuracy_Q = np.cumsum(credit_Q) / np.arange(1, len(credit_Q) + 1)  # of the k surest
    found = {f"ece{name}": ece(sure_Q, credit_Q, bins) for name, bins in (("", BINS), ("_1bin", 1))}
    found |= {"confidence": float(sure_Q.mean()), "selective_accuracy": float(accuracy_Q.mean())}
    at = {share: max(1, round(share * len(credit_Q))) for share in COVERAGE}
    return found | {f"by/coverage/{share:g}": float(accuracy_Q[count - 1]) for share, count in at.items()}


def ece(confidence_Q: np.ndarray, credit_Q: np.ndarray, bins: int) -> float:
    """Expected calibration error of questions sorted by confidence, over bins of equal size."""
    gaps = [abs(part.sum()) for part in np.array_split(confidence_Q - credit_Q, bins) if len(part)]
    return float(sum(gaps) / len(credit_Q))


def _shared(confidence_Q: np.ndarray, credit_Q: np.ndarray) -> np.ndarray:
    _, alike_Q = np.unique(confidence_Q, return_inverse=True)
    return (np.bincount(alike_Q, weights=credit_Q) / np.bincount(alike_Q))[alike_Q]
