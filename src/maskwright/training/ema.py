"""A running average of the weights, which is what gets evaluated and exported when it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from maskwright.errors import RecipeError


class WeightAverage(Callback):
    """Exponential moving average of all trainable weights, updated after every optimizer step.

    The n-th update (from 0) keeps min(decay, (1 + n) / (10 + n)) of the average, so that short runs are not held back
    by their first weights. Validation sees the average. The average is saved with the checkpoints. Buffers are not
    averaged. Raises RecipeError for an impossible decay.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise RecipeError(f"trainer.ema is {decay}; a decay lies between 0 and 1, or give null for no average.")
        self.decay = decay
        self.updates = 0
        self._average: dict[str, Tensor] = {}
        self._swapped = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start(pl_module)

    def start(self, network: nn.Module) -> None:
        """Begins with a copy of the weights, or goes on from what a checkpoint brought."""
        weights = _trainable(network)
        saved = self._average or {name: weight.detach() for name, weight in weights.items()}
        if {name: weight.shape for name, weight in saved.items()} != {n: w.shape for n, w in weights.items()}:
            raise RecipeError("The saved weight average is of another network; resume with the run's own config.")
        self._average = {name: saved[name].to(weight, copy=True) for name, weight in weights.items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Moves the average towards the weights."""
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self._average.values()), list(_trainable(network).values()), 1 - kept)
        self.updates += 1

    @contextmanager
    def averaged(self, network: nn.Module) -> Iterator[None]:
        """The network holds the average inside, and its own weights again after, bit for bit."""
        self._swap(network)
        try:
            yield
        finally:
            self._swap(network)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.update(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._average and not self._swapped:
            self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._swapped:
            self._swap(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._swapped:
            self._swap(pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates, self._average = state_dict["updates"], state_dict["average"]

    @torch.no_grad()
    def _swap(self, network: nn.Module) -> None:
        for name, weight in _trainable(network).items():
            own = weight.clone()
            weight.copy_(self._average[name])
            self._average[name].copy_(own)
        self._swapped = not self._swapped


def _trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
