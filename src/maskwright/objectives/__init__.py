"""Pre-training objectives: what is predicted, from what, and how the loss terms add up."""

from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.clm import CausalLM
from maskwright.objectives.electra import Electra
from maskwright.objectives.mlm import MaskedLM

__all__ = ["CausalLM", "Electra", "MaskedLM", "Needs", "Objective", "RowLayout"]
