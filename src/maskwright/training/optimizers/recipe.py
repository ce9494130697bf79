"""What every option of the optimizer group is: settings that wait for a network."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from maskwright.training.optimizers.composite import Composite
from maskwright.training.optimizers.layers import Layers


class OptimizerRecipe(Protocol):
    """Settings of an optimizer. Constructors validate them and raise RecipeError."""

    layers: Layers  # rates by layer, and what is frozen

    def build(self, *networks: nn.Module) -> Composite:
        """One optimizer of all trainable weights of the networks, shared ones once; the others are frozen.

        Each param group carries `name` (hidden, rest or no_decay), `lr` and `initial_lr`, its peak learning rate. With
        rates by layer there are several groups of a name, the one with the highest rate first.
        """
        ...
