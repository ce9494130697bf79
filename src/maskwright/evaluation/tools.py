"""What every suite works with, whatever it measures: the device, the size of a batch, the screen, the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from maskwright.tracking.console import duration

# Positions (rows x length) of one forward pass: on a CPU few enough to stay in its caches, on a GPU enough to fill it.
_POSITIONS = {"cpu": 1 << 12, "cuda": 1 << 17}


@dataclass(frozen=True)
class Tools:
    """device: where the network is. bf16: multiply in bfloat16. positions: rows x length of one forward pass (None: by
    the device). console: where progress is shown (None: nowhere). cache: where prepared data lies (None: the default).
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    bf16: bool = False
    positions: int | None = None
    console: Console | None = None
    cache: Path | None = None

    @property
    def batch_positions(self) -> int:
        return self.positions or _POSITIONS.get(self.device.type, 1 << 15)

    @property
    def multiple(self) -> int:
        """Rows are padded to a multiple of so many tokens."""
        return 1 if self.device.type == "cpu" else 8

    def autocast(self) -> AbstractContextManager[object]:
        """The precision of forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """`advance(n)` for a bar of `total` units of work, which vanishes when done; in a log a line now and then."""
        if self.console is None:
            yield lambda done: None
            return
        if not self.console.is_terminal:
            yield _Lines(self.console, label, total)
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.advance(task, done)


class _Lines:
    """Says how far the work is, every so many seconds."""

    def __init__(self, console: Console, label: str, total: int, seconds: float = 30.0) -> None:
        self.console, self.label, self.total, self.seconds = console, label, total, seconds
        self.done, self.began = 0, time.perf_counter()
        self.said = self.began

    def __call__(self, done: int) -> None:
        self.done += done
        now = time.perf_counter()
        if now - self.said >= self.seconds:
            self.said = now
            left = (now - self.began) / max(self.done, 1) * (self.total - self.done)
            share = self.done / max(self.total, 1)
            self.console.print(f"{self.label} {100 * share:.0f} %  {duration(left)} left", highlight=False)


@contextmanager
def reading(network: nn.Module) -> Iterator[None]:
    """The network in eval mode and without gradients; every module is put back into the mode that it had."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def undisturbed(seed: int | None = None) -> Iterator[None]:
    """Whatever is drawn inside (torch, numpy, random) leaves the random state outside as it was.

    With `seed` the draws inside start from it.
    """
    import random

    import numpy as np

    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            if seed is not None:
                torch.manual_seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
                random.seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
