"""One optimizer per recipe: which rule updates which weights."""

from __future__ import annotations

from maskwright.training.optimizers.adamw import AdamW
from maskwright.training.optimizers.composite import Composite
from maskwright.training.optimizers.lamb import LambRecipe as Lamb
from maskwright.training.optimizers.muon import Muon
from maskwright.training.optimizers.recipe import OptimizerRecipe

__all__ = ["AdamW", "Composite", "Lamb", "Muon", "OptimizerRecipe"]
