"""Progress on the screen: one rich bar in a terminal, a line every so often in a log."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from maskwright.tracking.console import compact, duration, percent
from maskwright.tracking.meter import Meter


def progress(meter: Meter, console: Console | None = None, seconds: float = 10.0) -> ProgressBar:
    """The progress callback for where the output goes: a bar in a terminal, else a line every `seconds`."""
    console = console or Console()
    return Bar(meter, console) if console.is_terminal else Lines(meter, console, seconds)


class _Steps(ProgressBar):
    """Counts optimizer steps (not epochs) and words what the meter measured last; it never waits for the device."""

    def __init__(self, meter: Meter, console: Console) -> None:
        super().__init__()
        self.meter, self.console, self._shown = meter, console, True
        self._first_step, self._began = 0, 0.0

    def disable(self) -> None:
        self._shown = False

    def enable(self) -> None:
        self._shown = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not trainer.is_global_zero:
            self.disable()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        if self._shown:
            self.console.print(*args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first_step, self._began = trainer.global_step, time.perf_counter()

    def left(self, trainer: Trainer) -> float | None:
        """Seconds still to go, from the steps of this process; None before there are any."""
        done = trainer.global_step - self._first_step
        if done <= 0:
            return None
        return (time.perf_counter() - self._began) / done * max(0, trainer.max_steps - trainer.global_step)

    def words(self) -> list[str]:
        row, words = self.meter.latest, []
        if "loss" in row:
            words.append(f"loss {row['loss']:.3f}")
        elif "rate" in row:
            words.append("no loss, as nothing is predicted")
        if "rate" in row:
            words.append(f"rate {percent(row['rate'])}")
        if "speed/tokens_per_second" in row:
            words.append(f"{compact(row['speed/tokens_per_second'])} tokens/s")
        return words


class Bar(_Steps):
    """One bar over all steps, and one for a validation while it lasts."""

    def __init__(self, meter: Meter, console: Console) -> None:
        super().__init__(meter, console)
        self._progress: Progress | None = None
        self._train: TaskID | None = None
        self._validation: TaskID | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if not self._shown:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[words]}"),
            console=self.console,
            expand=True,
            refresh_per_second=4,
        )
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self._train = self._progress.add_task("train", total=total, completed=trainer.global_step, words="")
        self._progress.start()

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if self._progress is not None and self._train is not None:
            left = self.left(trainer)
            words = self.words() + ([f"{duration(left)} left"] if left is not None else [])
            self._progress.update(self._train, completed=trainer.global_step, words="  ".join(words))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._progress is not None and not trainer.sanity_checking:
            batches = sum(trainer.num_val_batches)
            total = batches if batches != float("inf") else None
            self._validation = self._progress.add_task("validate", total=total, words="")

    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if self._progress is not None and self._validation is not None:
            self._progress.advance(self._validation)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._progress is not None and self._validation is not None:
            self._progress.remove_task(self._validation)
            self._validation = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Lines(_Steps):
    """A line of plain text every `seconds`, and one at the last step."""

    def __init__(self, meter: Meter, console: Console, seconds: float) -> None:
        super().__init__(meter, console)
        self.seconds, self._said = seconds, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._said = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        now, step, most = time.perf_counter(), trainer.global_step, trainer.max_steps
        if not self._shown or (now - self._said < self.seconds and step != most):
            return
        self._said = now
        left = self.left(trainer)
        words = [f"step {step:,}/{most:,}", *self.words()]
        if left is not None and step != most:
            words.append(f"{duration(left)} left")
        self.console.print("  ".join(words), highlight=False, soft_wrap=True)
