"""Muon for the hidden matrices, AdamW for the rest (https://kellerjordan.github.io/posts/muon/, arXiv 2502.16982)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from maskwright.errors import RecipeError
from maskwright.training.optimizers.checks import above_zero, at_least_zero, below_one, two_betas, which_tables
from maskwright.training.optimizers.composite import Composite
from maskwright.training.optimizers.groups import group
from maskwright.training.optimizers.layers import Layers

_SCALES = ("original", "match_rms_adamw")


class Muon:
    """Settings of Muon and of the AdamW beside it; see conf/optimizer/muon.yaml for their meaning.

    Raises RecipeError for impossible ones.
    """

    def __init__(
        self,
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        newton_schulz_steps: int = 5,
        scale: str = "original",
        weight_decay: float = 0.0,
        adamw_lr: float = 3e-3,
        betas: Sequence[float] = (0.9, 0.98),
        eps: float = 1e-6,
        adamw_weight_decay: float = 0.01,
        decay_embeddings: bool | str = False,
        layer_decay: float = 1.0,
        frozen_layers: int = 0,
        frozen_embeddings: bool = False,
    ) -> None:
        above_zero(lr=lr, adamw_lr=adamw_lr, eps=eps)
        at_least_zero(weight_decay=weight_decay, adamw_weight_decay=adamw_weight_decay)
        below_one(momentum=momentum)
        if scale not in _SCALES:
            raise RecipeError(f"optimizer.scale is {scale!r}; choose one of {', '.join(_SCALES)}.")
        if not 1 <= newton_schulz_steps < 100:
            raise RecipeError(
                f"optimizer.newton_schulz_steps is {newton_schulz_steps}; it lies between 1 and 99, 5 is usual."
            )
        self.lr, self.momentum, self.nesterov = lr, momentum, nesterov
        self.newton_schulz_steps, self.scale, self.weight_decay = newton_schulz_steps, scale, weight_decay
        self.adamw_lr, self.betas, self.eps = adamw_lr, two_betas(betas), eps
        self.adamw_weight_decay, self.decay_embeddings = adamw_weight_decay, which_tables(decay_embeddings)
        self.layers = Layers(layer_decay, frozen_layers, frozen_embeddings)

    def build(self, *networks: nn.Module) -> Composite:
        """The optimizer of all trainable weights, in groups named hidden (Muon), rest and no_decay (AdamW).

        Raises RecipeError when the networks have no hidden matrices.
        """
        self.layers.freeze(*networks)
        groups = group(*networks, decay_embeddings=self.decay_embeddings)
        if not groups.hidden:
            raise RecipeError("optimizer=muon found no hidden matrices in the network; use optimizer=adamw.")
        inner: list[Optimizer] = [
            torch.optim.Muon(
                self.layers.split([{"params": groups.hidden, "name": "hidden"}], self.lr, *networks),
                lr=self.lr,
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                nesterov=self.nesterov,
                ns_steps=self.newton_schulz_steps,
                adjust_lr_fn=self.scale,
            )
        ]
        others = [
            {"params": groups.rest, "name": "rest", "weight_decay": self.adamw_weight_decay},
            {"params": groups.no_decay, "name": "no_decay", "weight_decay": 0.0},
        ]
        others = self.layers.split([entry for entry in others if entry["params"]], self.adamw_lr, *networks)
        if others:
            inner.append(torch.optim.AdamW(others, lr=self.adamw_lr, betas=self.betas, eps=self.eps, fused=True))
        return Composite(inner)
