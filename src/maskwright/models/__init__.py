"""Backbones: transformers networks behind one small face that says what it can do."""

from __future__ import annotations

from .export import export
from .flops import forward_flops, training_flops
from .network import Network
from .recipe import ModelRecipe
from .sharing import share

__all__ = ["ModelRecipe", "Network", "export", "forward_flops", "share", "training_flops"]
