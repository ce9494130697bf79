"""Stops a run whose numbers have gone wrong, before it overwrites what was saved while they were right."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from maskwright.errors import RecipeError
from maskwright.pasting import command

WATCHED = ("loss", "grad_norm")  # of what a training step reports
FULL = (errno.ENOSPC, errno.EDQUOT)


def refuse_broken(values: Any, step: int, names: tuple[str, ...] | None = None) -> None:
    """Raises RecipeError where a value (a number or a 0-dim tensor) is not finite after `step` optimizer steps.

    names: those looked at; None for all. Reading a tensor waits for the device.
    """
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if (names is None or name in names) and not math.isfinite(float(value)):
            if math.isnan(float(value)) and float(values.get("grad_norm", math.nan)) == 0:
                continue  # a batch in which nothing counts has no loss and no gradient
            wrong = "is not a number" if math.isnan(float(value)) else "is infinite"
            raise RecipeError(
                f"{name} {wrong} at step {step}; lower optimizer.lr, or set trainer.clip=1 and hardware.precision=32, "
                "and start again (the checkpoints before it are kept)."
            )


class StopWhenBroken(Callback):
    """Looks at the loss and the gradient at every logged step, after the row is written."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            refuse_broken(outputs, trainer.global_step, WATCHED)


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Raises RecipeError in place of the error of a full disk, whoever was writing."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RecipeError(
            f"The disk is full (writing {error.filename or 'a file'}); free some space and go on with: "
            f"{command('train.py', resume=folder)}"
        ) from error
