"""What happens beside the optimizer steps: a validation's numbers and examples, exports on the way."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from maskwright.errors import RecipeError
from maskwright.models.export import export
from maskwright.tracking import fill_ins
from maskwright.tracking.run import Record
from maskwright.training.ema import WeightAverage

EXAMPLES = 8  # held-out rows whose fill-ins are logged at each validation


class Validated(Callback):
    """After each validation logs its numbers and a table of masked examples with the network's fill-ins."""

    def __init__(self, record: Record, tokenizer: Any) -> None:
        self.record, self.tokenizer = record, tokenizer
        self._example: Any = None

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch.purpose == "ruler" and batch_idx == 0:
            self._example = batch.views["ruler"]

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        # Listed before the weight average, so that an averaged network is still in place.
        step = trainer.global_step
        self.record.log(step, pl_module.validation)
        for prefix, network in pl_module.objective.ruled().items():
            if not isinstance(network, str) and self.record.loggers and self._example is not None:
                rows = fill_ins.held_out(network, self.tokenizer, self._example, EXAMPLES)
                self.record.table(f"{prefix}_fill_ins".replace("/", "_"), fill_ins.COLUMNS, rows, step)


class ExportAtPowers(Callback):
    """Exports the networks after steps 1, b, b^2 ... into exports/step-<n>/, for studies of learning over time."""

    def __init__(self, folder: Path, tokenizer: Any, base: float, average: WeightAverage | None) -> None:
        if not base > 1:
            raise RecipeError(f"export.at_powers_of is {base}; give a number above 1, such as 2, or null.")
        self.folder, self.tokenizer, self.base, self.average = folder, tokenizer, base, average

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        power = round(math.log(step, self.base))
        if step != round(self.base**power):
            return
        with self.average.averaged(pl_module) if self.average is not None else nullcontext():
            whole = pl_module.whole()
            if trainer.is_global_zero:
                for below, network in whole.exports().items():
                    folder = self.folder / f"step-{step:08d}" / below
                    export(network, self.tokenizer, folder, {"figures": {"steps": step}})
