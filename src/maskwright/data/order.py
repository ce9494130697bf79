"""The order in which rows are presented: a pure function of (rows, batch, seed, rank, step), with nothing to restore.

Position p of the endless stream of samples belongs to visit p // N, and within it to place p % N of that visit's own
permutation. A batch is B consecutive positions, so it may span two visits; batch size, ranks, workers and restarts only
choose who reads which positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from maskwright.data.rows import Rows
from maskwright.errors import RecipeError
from maskwright.masking.noise import mixed_seed, stream_id, uniform

_TOGETHER = 1 << 18  # samples whose noise is drawn at once


class Slice(NamedTuple):
    """The rows of one step: sample numbers and how often each was presented before, int64 [B]; and of which phase of
    training they are."""

    step: int
    sample: np.ndarray
    visit: np.ndarray
    phase: int = 0


def permutation(samples: int, seed: int, visit: int) -> np.ndarray:
    """The order of all samples in one visit: int64 [N]."""
    key, noise_N = (seed, stream_id("order"), visit), np.empty(samples)
    for first in range(0, samples, _TOGETHER):
        part = noise_N[first : first + _TOGETHER]
        part[:] = uniform(key, len(part), first)[0].numpy()
    return np.argsort(noise_N, kind="stable")


class Presentation(NamedTuple):
    """What one visit presents, in order: sample numbers and how often each was presented before, int64 [N]."""

    sample_N: np.ndarray
    visit_N: np.ndarray


Visits = Callable[[int], Presentation]


def plain_visits(samples: int, seed: int) -> Visits:
    """Every sample once a visit."""
    return lambda visit: Presentation(permutation(samples, seed, visit), np.broadcast_to(np.int64(visit), samples))


def balanced_visits(group_rows: Sequence[int], exponent: float, seed: int) -> Visits:
    """Groups of samples (group after group in the numbering) in proportion to (size / all)^exponent.

    A visit presents as many samples as there are. Each group has its own endless stream of permutations, from which
    visits take what is their share; the share is exact over visits, rounded by chance in each.
    """
    size_G = np.asarray(group_rows, dtype=np.int64)
    first_G = np.cumsum(size_G) - size_G
    total = int(size_G.sum())
    share_G = np.where(size_G > 0, (size_G / total) ** exponent, 0.0)
    edge_G = np.cumsum(share_G / share_G.sum()) * total

    def counts(until: int) -> np.ndarray:
        """Samples of each group in visits 0..until - 1: int64 [V, G]."""
        # One offset for all edges: the counts add up to the total, and the mean of each is its share.
        offset_V1 = uniform((seed, stream_id("balance"), torch.arange(until)), 1).numpy()
        ends_VG = np.floor(edge_G + offset_V1 + 1e-9).astype(np.int64)
        ends_VG[:, -1] = total
        return np.diff(ends_VG, prepend=0)

    def present(visit: int) -> Presentation:
        count_VG = counts(visit + 1)
        before_G, now_G = count_VG[:-1].sum(0), count_VG[-1]
        sample, visits = [], []
        for group, (number, begin) in enumerate(zip(now_G, before_G)):
            own, place = np.divmod(begin + np.arange(number), max(1, size_G[group]))
            for turn in np.unique(own):
                order = permutation(int(size_G[group]), mixed_seed(seed, group), int(turn))
                sample.append(first_G[group] + order[place[own == turn]])
            visits.append(own)
        shuffled = permutation(total, seed, visit)
        return Presentation(np.concatenate(sample)[shuffled], np.concatenate(visits)[shuffled])

    return present


class SampleOrder(Sampler):
    """Slices for the steps `first_step`..`steps` - 1 of a training run.

    samples: rows in the corpus, N. rows: rows per step over all ranks, B. Rank r reads positions r, r + ranks, ... of
    each batch. The length is that of the whole run, whatever the first step. visits: what each visit presents; None:
    every sample once. began, visit, phase: for a later phase of training the step at which it began, the first of its
    visits, and its number.
    """

    def __init__(
        self,
        samples: int,
        rows: int,
        steps: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        first_step: int = 0,
        visits: Visits | None = None,
        began: int = 0,
        visit: int = 0,
        phase: int = 0,
    ) -> None:
        if samples < 1:
            raise RecipeError("the corpus has no training rows; give more text or shorter rows (packing.length).")
        if rows < 1 or rows % ranks:
            raise RecipeError(f"a batch of {rows} rows cannot be shared by {ranks} devices; choose a multiple of them.")
        self.samples, self.rows, self.steps, self.seed = samples, rows, steps, seed
        self.rank, self.ranks, self.first_step = rank, ranks, first_step
        self.visits = visits or plain_visits(samples, seed)
        self.began, self.visit, self.phase = began, visit, phase

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Slice]:
        orders: dict[int, Presentation] = {}
        for step in range(max(self.first_step, self.began), self.steps):
            position_B = (step - self.began) * self.rows + np.arange(self.rank, self.rows, self.ranks)
            visit_B, place_B = np.divmod(position_B, self.samples)
            visit_B += self.visit
            visits = range(int(visit_B[0]), int(visit_B[-1]) + 1)
            orders = {v: orders[v] if v in orders else self.visits(v) for v in visits}
            sample_B, before_B = np.empty_like(place_B), np.empty_like(place_B)
            for visit in visits:
                here = visit_B == visit
                sample_B[here] = orders[visit].sample_N[place_B[here]]
                before_B[here] = orders[visit].visit_N[place_B[here]]
            yield Slice(step, sample_B, before_B, self.phase)


class PhasedOrder(Sampler):
    """The orders of the phases of training, one after the other. The length is that of the whole run."""

    def __init__(self, orders: Sequence[SampleOrder]) -> None:
        self.orders = list(orders)

    def __len__(self) -> int:
        return self.orders[-1].steps

    def __iter__(self) -> Iterator[Slice]:
        return chain.from_iterable(self.orders)


def chunks(rows: Rows, size: int, rank: int = 0, ranks: int = 1) -> list[Slice]:
    """All rows in their own order, `size` at a time over all ranks, as visit 0 (held-out and ruler rows)."""
    slices = []
    for step, first in enumerate(range(0, len(rows), size)):
        sample = np.arange(first, min(first + size, len(rows)), dtype=np.int64)[rank::ranks]
        slices.append(Slice(step, sample, np.zeros_like(sample)))
    return slices


class SliceDataset(Dataset):
    """Rows by slice, for `DataLoader(dataset, sampler=order, batch_size=None)`: one item is one batch.

    An item is `rows.take(sample)` with `visit` (int64 [B]) and `step` (int). rows: those of each phase of training.
    """

    def __init__(self, *rows: Rows) -> None:
        self.rows = rows

    def __getitem__(self, part: Slice) -> dict[str, Any]:
        return {**self.rows[part.phase].take(part.sample), "visit": torch.from_numpy(part.visit), "step": part.step}
