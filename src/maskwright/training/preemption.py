"""Stops a run politely: on SIGTERM, SIGUSR1 or Ctrl-C the running step is finished, saved, and training ends."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from maskwright.training.checkpoints import StepCheckpoint, validation_follows
from maskwright.training.health import WATCHED, refuse_broken

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class EndedAtOnce(BaseException):
    """Ctrl-C for the second time. Lightning would wait for what it does on KeyboardInterrupt."""


class Preemption(Checkpoint):
    """Turns a signal to any rank into a checkpoint of the running step and an end of `Trainer.fit`, without an error.

    `stopped` then tells that training is not finished; the entry point says how to resume and exits with status 0,
    since what was asked for was done. With several ranks one more step is taken, after which all know. A validation
    that follows the step is run first, because Lightning would leave it out on resume. Repeated signals change nothing:
    launchers often send the same one twice. Ctrl-C (`interrupted`) does the same, and a second one ends at once.
    It counts as a checkpoint callback so that Lightning calls it after all others.
    """

    def __init__(self, checkpoint: StepCheckpoint) -> None:
        self.stopped = False
        self.interrupted = False
        self._checkpoint = checkpoint
        self._asked = False
        self._votes: Any = None  # how many ranks were asked to stop, by the end of the step before
        self._after_validation = False
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning has set its own handlers by now; its answer to SIGTERM is an exception.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._agreed(trainer) or trainer.global_step == trainer.max_steps:
            return
        refuse_broken(outputs, trainer.global_step, WATCHED)
        self._after_validation = validation_follows(trainer)
        if not self._after_validation:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._after_validation:
            self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _agreed(self, trainer: Trainer) -> bool:
        """Whether to stop now: the same answer on all ranks. With several it is read one step late, so that no step has
        to wait for the devices."""
        if trainer.world_size == 1:
            return self._asked
        before, device = self._votes, trainer.strategy.root_device
        self._votes = trainer.strategy.reduce(torch.full((), float(self._asked), device=device), reduce_op="sum")
        return before is not None and bool(before > 0)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._asked = self.interrupted = True
        signal.signal(signal.SIGINT, self._at_once)
        print("stopping after this step, which is saved first; Ctrl-C again ends at once", file=sys.stderr, flush=True)

    def _at_once(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        raise EndedAtOnce

    def _stop(self, trainer: Trainer) -> None:
        self._checkpoint.save(trainer)
        self.stopped = True
        trainer.should_stop = True
        trainer.limit_val_batches = 0  # else Lightning validates once more before it stops

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def ignore_in_worker(worker: int) -> None:
    """`worker_init_fn` of data loaders: a signal to the whole process group must not kill what the last step needs."""
    for number in (*SIGNALS, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
