"""AdamW for every weight (arXiv 1711.05101)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from maskwright.training.optimizers.checks import above_zero, at_least_zero, two_betas, which_tables
from maskwright.training.optimizers.composite import Composite
from maskwright.training.optimizers.groups import group, named
from maskwright.training.optimizers.layers import Layers


class AdamW:
    """Settings of AdamW; see conf/optimizer/adamw.yaml for their meaning. Raises RecipeError for impossible ones."""

    def __init__(
        self,
        lr: float,
        betas: Sequence[float] = (0.9, 0.98),
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
        """The optimizer of all trainable weights, in groups named hidden, rest and no_decay."""
        self.layers.freeze(*networks)
        groups = named(group(*networks, decay_embeddings=self.decay_embeddings), self.weight_decay)
        groups = self.layers.split(groups, self.lr, *networks)
        return Composite([torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)])
