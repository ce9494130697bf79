"""The LightningDataModule: one batch is one optimizer step, masked on the training device.

Training rows come in the order of `SampleOrder`, a pure function of (seed, step), so a resumed loader starts at any
step with nothing to restore. Masks are a pure function of (seed, view, visit, sample) and progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import lightning as L
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from maskwright.data.batch import Batch
from maskwright.data.order import PhasedOrder, SampleOrder, Slice, SliceDataset, balanced_visits, permutation
from maskwright.data.phases import Phase, number_at
from maskwright.data.prepare import Prepared
from maskwright.data.rows import Rows
from maskwright.errors import Refused
from maskwright.masking import View, Views
from maskwright.masking.draws import Draws

_VALIDATION_PROGRESS = 0.5  # held-out rows are masked as half-way through training, at every validation alike


class DataModule(L.LightningDataModule):
    """Rows and their views, for training, the objective's own validation, and the ruler.

    views: those that the objective reads. rows, steps: per optimizer step over all ranks, and planned in all.
    padded: whether rows with padding are welcome; otherwise a last row that is not full is left out.
    heldout_rows, ruler_rows: most rows in one validation, the same ones every time. balance: how often groups of rows
    are presented, see `Corpus`. arrange: what the objective does to rows before views are made of them. later: the
    phases of training behind the first one, with the views for their rows; validation keeps to rows of the first.
    """

    def __init__(
        self,
        prepared: Prepared,
        views: Views,
        ruler: Views,
        *,
        rows: int,
        steps: int,
        padded: bool,
        order_seed: int,
        workers: int,
        heldout_rows: int,
        ruler_rows: int,
        balance: float = 1.0,
        arrange: Callable[[dict[str, Tensor], Draws], dict[str, Tensor]] | None = None,
        later: Mapping[Phase, Views] | None = None,
        worker_init: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self.prepared, self.masks, self.ruler = prepared, views, ruler
        self.rows, self.steps, self.padded, self.order_seed, self.workers = rows, steps, padded, order_seed, workers
        self.heldout_rows, self.ruler_rows, self.balance = heldout_rows, ruler_rows, balance
        self.arrange, self.worker_init = arrange, worker_init
        begun = min([steps, *(phase.first for phase in later or {})])
        self.phases = [Phase(0, begun, rows, prepared.train.length), *(later or {})]
        self.phase_masks = [views, *(later or {}).values()]

    def train_dataloader(self) -> DataLoader:
        order = PhasedOrder([self.order(number) for number in range(len(self.phases))])
        return self._loader([self.prepared.at[phase.length] for phase in self.phases], order, "train", self.workers)

    def order(self, number: int) -> SampleOrder:
        """The order of the rows in a phase, from the trainer's step on."""
        phase = self.phases[number]
        rows, visits = self.prepared.at[phase.length], None
        if self.balance != 1:
            visits = balanced_visits(rows.group_rows, self.balance, self.order_seed)
        # Visits are counted on, so that no order and no mask of an earlier phase comes again.
        before = sum(-(-part.steps * part.rows // self.there(part.length)) for part in self.phases[:number])
        return SampleOrder(
            self.there(phase.length),
            phase.rows,
            phase.first + phase.steps,
            self.order_seed,
            rank=self._rank,
            ranks=self._ranks,
            first_step=self.trainer.global_step if self.trainer else 0,
            visits=visits,
            began=phase.first,
            visit=before,
            phase=number,
        )

    def there(self, length: int) -> int:
        """How many training rows of a length are used."""
        return usable(self.prepared.at[length], self.padded)

    def val_dataloader(self) -> list[DataLoader]:
        """The held-out rows as the recipe packs them, then the ruler's rows."""
        loaders = []
        for rows, most, purpose in (
            (self.prepared.heldout, self.heldout_rows, "heldout"),
            (self.prepared.ruler, self.ruler_rows, "ruler"),
        ):
            there = usable(rows, self.padded or purpose == "ruler")
            chosen = np.sort(permutation(there, 0, 0)[:most])
            size = max(1, self.rows // self._ranks)
            mine = chosen[self._rank :: self._ranks]
            parts = [mine[first : first + size] for first in range(0, len(mine), size)]
            slices = [Slice(number, part, np.zeros_like(part)) for number, part in enumerate(parts)]
            loaders.append(self._loader([rows], slices, purpose, 0))
        return loaders

    def _loader(self, rows: list[Rows], order: Any, purpose: str, workers: int) -> DataLoader:
        return _StatelessLoader(
            SliceDataset(*rows),
            sampler=order,
            batch_size=None,
            collate_fn=partial(_batch, purpose=purpose, steps=self.steps, seed=self.masks.seed),
            num_workers=workers,
            worker_init_fn=self.worker_init,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        )

    def as_batch(self, item: dict[str, Any], purpose: str) -> Batch:
        """A batch from what the dataset gives for a slice."""
        return _batch(item, purpose, self.steps, self.masks.seed)

    def views(self, batch: Batch) -> dict[str, View]:
        """All views of a batch, on the device where its rows are; the rows are arranged for the objective first."""
        if batch.purpose == "ruler":
            return self.ruler(batch.rows, 0.0)
        if self.arrange is not None:
            batch.rows = self.arrange(batch.rows, batch.draws("rows"))
        masks = self.phase_masks[number_at(self.phases, batch.step)] if batch.purpose == "train" else self.masks
        return masks(batch.rows, batch.progress)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        began = time.perf_counter()
        batch.views = self.views(batch)
        batch.masking_seconds = time.perf_counter() - began
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {"fingerprints": self.prepared.fingerprints}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        refuse_other_data(state_dict["fingerprints"], self.prepared.fingerprints)

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _ranks(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def usable(rows: Rows, padded: bool) -> int:
    """How many rows, from the first on, may be used."""
    return len(rows) if padded else rows.tokens // rows.length


def refuse_other_data(recorded: dict[str, str], now: dict[str, str]) -> None:
    """Raises Refused when a run cannot go on because its data changed."""
    changed = [name for name in recorded if recorded[name] != now.get(name)]
    if changed:
        raise Refused(
            f"The run cannot go on: its {', '.join(changed)} changed since it began; put the old files back (they may "
            "lie elsewhere, under their own names), or start a new run with model.init_from=<run folder>."
        )


class _StatelessLoader(DataLoader):
    """Tells Lightning that there is nothing to restore: the order is a function of the step."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def _batch(item: dict[str, Any], purpose: str, steps: int, seed: int) -> Batch:
    step = item.pop("step")
    progress = step / steps if purpose == "train" else _VALIDATION_PROGRESS
    return Batch(rows=item, step=step, progress=progress, purpose=purpose, seed=seed)
