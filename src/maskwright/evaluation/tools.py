"""What every suite works with, whatever it measures: the device, the size of a batch, the screen, the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

# Positions (rows x length) of one forward pass: on a CPU few enough to stay in its caches, on a GPU enough to fill it.
_POSITIONS = {"cpu": 1 << 13, "cuda": 1 << 17}


@dataclass(frozen=True)
class Tools:
    """device: where the network is. bf16: multiply in bfloat16. positions: rows x length of one forward pass (None: by
    the device). show: draw progress bars. cache: where prepared data lies (None: the default place)."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    bf16: bool = False
    positions: int | None = None
    show: bool = False
    cache: Path | None = None

    @property
    def batch_positions(self) -> int:
        return self.positions or _POSITIONS.get(self.device.type, 1 << 15)

    def autocast(self) -> AbstractContextManager[object]:
        """The precision of forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """`advance(n)` for a bar of `total` units of work, which vanishes when done."""
        if not self.show:
            yield lambda done: None
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.advance(task, done)


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
