"""Checkpoints that are whole or absent: written beside their place, synced, then renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from maskwright.errors import RecipeError
from maskwright.models.steps import NAME, listed, name, whole
from maskwright.models.steps import newest as newest
from maskwright.training.health import FULL, WATCHED, refuse_broken


def remove_torn(folder: str | Path) -> None:
    """Delete what a process that was killed while it wrote a checkpoint has left. No other may be writing there."""
    for path in Path(folder).glob(".step-*.ckpt.*.part"):
        path.unlink(missing_ok=True)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint so that a reader, or a machine that loses power, finds the whole file or the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Raises RecipeError when the disk is full or refuses; nothing that was saved before is touched."""
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(beside, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
            _sync_folder(target.parent)
        except (OSError, RuntimeError) as error:
            beside.unlink(missing_ok=True)
            raise _not_written(target, error) from error
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """The saved dictionary; only tensors and plain values are read, whatever `weights_only` says.

        Raises RecipeError naming the newest older checkpoint that is whole when this one is missing or damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise RecipeError(f"There is no checkpoint {path}; {_instead(path)}.")
        if not whole(path):
            raise RecipeError(f"The checkpoint {path} is damaged; {_instead(path)}.")
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except Exception as error:  # an archive of something else: torch raises many kinds
            raise RecipeError(
                f"The file {path} is not a checkpoint that can be loaded safely; {_instead(path)}."
            ) from error


class StepCheckpoint(Checkpoint):
    """Saves after every `every` optimizer steps, and after the last one; keeps the newest `keep` files (0: all).

    It saves at the end of a training batch, where weights, counters and the other callbacks' state agree; where a
    validation follows the batch it saves after that, since Lightning does not run it again on resume. The last batch
    is the one that reaches trainer.max_steps. Raises RecipeError for impossible settings, and in place of saving a
    network whose loss or gradient is not finite: good checkpoints would make room for it.
    """

    def __init__(self, folder: str | Path, every: int, keep: int = 2) -> None:
        if every < 1:
            raise RecipeError(f"checkpoint.every is {every}; it is a number of steps of at least 1.")
        if keep < 0:
            raise RecipeError(f"checkpoint.keep is {keep}; it is a number of files, 0 to keep all.")
        self.folder, self.every, self.keep = Path(folder), every, keep
        self.kept: int | None = None  # the step of a checkpoint that stays, however old it gets
        self._after_validation = False
        self._saved_step = -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            refuse_broken(outputs, trainer.global_step, WATCHED)
            self._after_validation = validation_follows(trainer)
            if not self._after_validation:
                self.save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._after_validation:
            self._after_validation = False
            self.save(trainer)

    def ask(self) -> None:
        """Save after the validation that is ending, whatever the step; all ranks must call it."""
        self._after_validation = True

    def save(self, trainer: Trainer) -> Path:
        """Writes the checkpoint of the trainer's step, once, and removes those not kept; all ranks must call it."""
        path = self.folder / name(trainer.global_step)
        if trainer.global_step == self._saved_step:
            return path
        trainer.save_checkpoint(path, weights_only=False)
        if self.keep and trainer.is_global_zero:
            for old in listed(self.folder)[self.keep :]:
                if self.kept is None or old.name != name(self.kept):
                    old.unlink(missing_ok=True)
        self._saved_step = trainer.global_step
        return path


def validation_follows(trainer: Trainer) -> bool:
    """Whether the trainer validates right after the batch that ends now."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def _sync_folder(folder: Path) -> None:
    """Makes the rename last through a loss of power, where folders can be opened (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(path: Path, error: Exception) -> RecipeError:
    number = getattr(error, "errno", None) or getattr(error.__context__, "errno", None)
    if number in FULL:
        reason = "the disk is full; free some space"
    else:
        reason = f"{getattr(error, 'strerror', None) or error}; check the folder"
    return RecipeError(f"The checkpoint {path} could not be written: {reason} and resume, older checkpoints are whole.")


def _instead(path: Path) -> str:
    """What to use instead of a checkpoint that cannot be read."""
    match = NAME.fullmatch(path.name)
    older = [other for other in listed(path.parent) if other.name < path.name] if match else []
    whole_one = next((other for other in older if whole(other)), None)
    if whole_one is not None:
        return f"use the older {whole_one.name} beside it"
    return "no older one is whole, so start the run again"
