"""Phases of training: from some step on, rows of another length and batches of another size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """Steps first..first + steps - 1: `rows` rows of `length` tokens each, over all ranks. restart: the learning rate
    begins anew, warm-up included, and runs until the next restart or the end."""

    first: int
    steps: int
    rows: int
    length: int
    restart: bool = False


def number_at(phases: Sequence[Phase], step: int) -> int:
    """The number of the phase that a step belongs to."""
    return max(number for number, phase in enumerate(phases) if phase.first <= step or not number)


def stretches(phases: Sequence[Phase]) -> list[tuple[int, int]]:
    """The runs of steps over which the learning rate follows its schedule once: first step and number of steps."""
    firsts = [phase.first for number, phase in enumerate(phases) if phase.restart or not number]
    ends = [*firsts[1:], phases[-1].first + phases[-1].steps]
    return [(first, end - first) for first, end in zip(firsts, ends, strict=True)]
