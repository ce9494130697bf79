"""Ranked choice: among texts that differ in one thing, does the model give the right one the best score?

The rule for ties, stated once: the scores of a question's best options are tied when they lie within `scorer.TIE` of
the best one; a question whose right option is among n tied best earns 1/n.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskwright.evaluation.calibration import confidence
from maskwright.evaluation.scorer import TIE, Scores
from maskwright.evaluation.texts import Request

REDUCTIONS = ("sum", "mean")


@dataclass(frozen=True)
class Question:
    """Options to score; `right` is the place of the right one. group, facts: for reports."""

    id: Hashable
    options: Sequence[Request]
    right: int
    group: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """Question by question, for those of which every option was scored: Q of them."""

    questions: list[Question]
    credit: dict[str, np.ndarray]  # by reduction, float [Q]: 1, 0, or a share when tied
    rank: np.ndarray  # float [Q]: of the right option by the chosen reduction, from 1; tied options share the mean rank
    confidence: np.ndarray  # float [Q]: the best option's share of the softmax, by the chosen reduction
    tied: np.ndarray  # bool [Q]: the best score is shared, by the chosen reduction
    chance: np.ndarray  # float [Q]: 1 / options
    counts_differ: bool  # whether options of one question differ in their number of scored tokens
    skipped: dict[str, int]  # questions left out, by reason


def answer(questions: Sequence[Question], scores: Scores, reduction: str) -> Answers:
    """Judge every question by keyed scores; the order of questions and options plays no part."""
    kept: list[Question] = []
    skipped: dict[str, int] = {}
    credit: dict[str, list[float]] = {name: [] for name in REDUCTIONS}
    rank, tied, sure, differ = [], [], [], False
    for question in questions:
        reason = next((scores.skipped[o.id] for o in question.options if o.id in scores.skipped), None)
        if reason is not None:
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        kept.append(question)
        found = [scores[option.id] for option in question.options]
        differ = differ or len({score.n for score in found}) > 1
        for name in REDUCTIONS:
            credit[name].append(credit_of([score.by(name) for score in found], question.right))
        by = np.array([score.by(reduction) for score in found])
        own = by[question.right]
        rank.append(1 + (by > own + TIE).sum() + ((np.abs(by - own) <= TIE).sum() - 1) / 2)
        sure.append(confidence(by))
        tied.append((by >= by.max() - TIE).sum() > 1)
    return Answers(
        kept,
        {name: np.array(values) for name, values in credit.items()},
        np.array(rank, dtype=float),
        np.array(sure, dtype=float),
        np.array(tied, dtype=bool),
        np.array([1 / len(question.options) for question in kept]),
        differ,
        skipped,
    )


def credit_of(scores: Sequence[float], right: int) -> float:
    """What one question earns."""
    best = max(scores)
    tied = [score >= best - TIE for score in scores]
    return tied[right] / sum(tied)
