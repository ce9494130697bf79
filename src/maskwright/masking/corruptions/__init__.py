"""Corruptions: what selected positions become, as a list of stages with shares."""

from maskwright.masking.corruptions.base import Corruption, Selected, Stage
from maskwright.masking.corruptions.pools import Exchange, Pool, RandomWithin, Similar
from maskwright.masking.corruptions.relay import Delete, Infill, Insert, Sentinel
from maskwright.masking.corruptions.replace import Keep, Mask, Permute, Random, Replace, Swap

__all__ = [
    "Corruption",
    "Delete",
    "Exchange",
    "Infill",
    "Insert",
    "Keep",
    "Mask",
    "Permute",
    "Pool",
    "Random",
    "RandomWithin",
    "Replace",
    "Selected",
    "Sentinel",
    "Similar",
    "Stage",
    "Swap",
]
