"""The order in which rows are presented: a pure function of (rows, batch, seed, rank, step), with nothing to restore.

Position p of the endless stream of samples belongs to visit p // N, and within it to place p % N of that visit's own
permutation. A batch is B consecutive positions, so it may span two visits; batch size, ranks, workers and restarts only
choose who reads which positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from maskwright.data.rows import Rows
from maskwright.errors import RecipeError
from maskwright.masking.noise import stream_id, uniform


class Slice(NamedTuple):
    """The rows of one step: sample numbers and how often each was presented before, int64 [B]."""

    step: int
    sample: np.ndarray
    visit: np.ndarray


def permutation(samples: int, seed: int, visit: int) -> np.ndarray:
    """The order of all samples in one visit: int64 [N]."""
    noise_N = uniform((seed, stream_id("order"), visit), samples)[0]
    return np.argsort(noise_N.numpy(), kind="stable")


class SampleOrder(Sampler):
    """Slices for the steps `first_step`..`steps` - 1 of a training run.

    samples: rows in the corpus, N. rows: rows per step over all ranks, B. Rank r reads positions r, r + ranks, ... of
    each batch. The length is that of the whole run, whatever the first step.
    """

    def __init__(
        self, samples: int, rows: int, steps: int, seed: int, rank: int = 0, ranks: int = 1, first_step: int = 0
    ) -> None:
        if samples < 1:
            raise RecipeError("the corpus has no training rows; give more text or shorter rows (packing.length).")
        if rows < 1 or rows % ranks:
            raise RecipeError(f"a batch of {rows} rows cannot be shared by {ranks} devices; choose a multiple of them.")
        self.samples, self.rows, self.steps, self.seed = samples, rows, steps, seed
        self.rank, self.ranks, self.first_step = rank, ranks, first_step

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Slice]:
        orders: dict[int, np.ndarray] = {}
        for step in range(self.first_step, self.steps):
            position_B = step * self.rows + np.arange(self.rank, self.rows, self.ranks)
            visit_B, place_B = np.divmod(position_B, self.samples)
            visits = range(int(visit_B[0]), int(visit_B[-1]) + 1)
            orders = {v: orders[v] if v in orders else permutation(self.samples, self.seed, v) for v in visits}
            sample_B = np.empty_like(place_B)
            for visit in visits:
                here = visit_B == visit
                sample_B[here] = orders[visit][place_B[here]]
            yield Slice(step, sample_B, visit_B)


def chunks(rows: Rows, size: int, rank: int = 0, ranks: int = 1) -> list[Slice]:
    """All rows in their own order, `size` at a time over all ranks, as visit 0 (held-out and ruler rows)."""
    slices = []
    for step, first in enumerate(range(0, len(rows), size)):
        sample = np.arange(first, min(first + size, len(rows)), dtype=np.int64)[rank::ranks]
        slices.append(Slice(step, sample, np.zeros_like(sample)))
    return slices


class SliceDataset(Dataset):
    """Rows by slice, for `DataLoader(dataset, sampler=order, batch_size=None)`: one item is one batch.

    An item is `rows.take(sample)` with `visit` (int64 [B]) and `step` (int).
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __getitem__(self, part: Slice) -> dict[str, Any]:
        return {**self.rows.take(part.sample), "visit": torch.from_numpy(part.visit), "step": part.step}
