"""LAMB: Adam whose step is scaled, weight by weight, to the weight's own norm (arXiv 1904.00962)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from maskwright.training.optimizers.checks import above_zero, at_least_zero, two_betas, which_tables
from maskwright.training.optimizers.composite import Composite
from maskwright.training.optimizers.groups import group, named
from maskwright.training.optimizers.layers import Layers


class Lamb(Optimizer):
    """Algorithm 2 of the paper with bias correction.

    Each group says whether its steps are scaled (`adapt`): the reference code leaves biases and norms out.
    Update of a weight x: r = m / (sqrt(v) + eps) + weight_decay x, x -= lr (|x| / |r|) r, the ratio being 1 where
    either norm is 0.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "adapt": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every weight that has a gradient."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for settings in self.param_groups:
            weights = [weight for weight in settings["params"] if weight.grad is not None]
            if not weights:
                continue
            grads = [weight.grad for weight in weights]
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight] = {
                        "step": torch.zeros(()),
                        "mean": torch.zeros_like(weight),
                        "square": torch.zeros_like(weight),
                    }
                self.state[weight]["step"] += 1
            means = [self.state[weight]["mean"] for weight in weights]
            squares = [self.state[weight]["square"] for weight in weights]
            first, second = settings["betas"]
            torch._foreach_lerp_(means, grads, 1 - first)
            torch._foreach_mul_(squares, second)
            torch._foreach_addcmul_(squares, grads, grads, value=1 - second)
            steps = [float(self.state[weight]["step"]) for weight in weights]
            updates = torch._foreach_div(means, [1 - first**step for step in steps])
            scales = torch._foreach_div(squares, [1 - second**step for step in steps])
            torch._foreach_sqrt_(scales)
            torch._foreach_add_(scales, settings["eps"])
            torch._foreach_div_(updates, scales)
            if settings["weight_decay"]:
                torch._foreach_add_(updates, weights, alpha=settings["weight_decay"])
            if settings["adapt"]:
                for weight, update in zip(weights, updates):
                    ratio = weight.norm() / update.norm()
                    update.mul_(torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0))
            torch._foreach_add_(weights, updates, alpha=-settings["lr"])
        return loss


class LambRecipe:
    """Settings of LAMB; see conf/optimizer/lamb.yaml for their meaning. Raises RecipeError for impossible ones."""

    def __init__(
        self,
        lr: float,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        decay_embeddings: bool | str = True,
        layer_decay: float = 1.0,
        frozen_layers: int = 0,
        frozen_embeddings: bool = False,
    ) -> None:
        above_zero(lr=lr, eps=eps)
        at_least_zero(weight_decay=weight_decay)
        self.lr, self.betas, self.eps = lr, two_betas(betas), eps
        self.weight_decay, self.decay_embeddings = weight_decay, which_tables(decay_embeddings)
        self.layers = Layers(layer_decay, frozen_layers, frozen_embeddings)

    def build(self, *networks: nn.Module) -> Composite:
        """The optimizer of all trainable weights, in groups named hidden, rest and no_decay (not scaled)."""
        self.layers.freeze(*networks)
        groups = named(group(*networks, decay_embeddings=self.decay_embeddings), self.weight_decay)
        groups = self.layers.split(groups, self.lr, *networks)
        for entry in groups:
            entry["adapt"] = entry["name"] != "no_decay"
        return Composite([Lamb(groups, self.lr, self.betas, self.eps, self.weight_decay)])
