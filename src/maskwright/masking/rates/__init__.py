"""Masking rates: the share of maskable tokens to mask, from progress, drawn per sequence, or by position."""

from maskwright.masking.rates.base import Rate
from maskwright.masking.rates.drawn import Beta, Partly, Uniform
from maskwright.masking.rates.positions import ByClass, ByToken
from maskwright.masking.rates.schedules import (
    Constant,
    Cosine,
    Linear,
    Quadratic,
    Schedule,
    Step,
    Valley,
    WarmupDecay,
)

__all__ = [
    "Beta",
    "ByClass",
    "ByToken",
    "Constant",
    "Cosine",
    "Linear",
    "Partly",
    "Quadratic",
    "Rate",
    "Schedule",
    "Step",
    "Uniform",
    "Valley",
    "WarmupDecay",
]
