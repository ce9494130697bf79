"""Weights: how readily each unit is masked, as a factor on its chance, an order, or an acceptance."""

from maskwright.masking.weights.base import Weight
from maskwright.masking.weights.first import First
from maskwright.masking.weights.live import Live, LiveLoss
from maskwright.masking.weights.scores import Given, Scores
from maskwright.masking.weights.tables import ByClass, TokenTable

__all__ = ["ByClass", "First", "Given", "Live", "LiveLoss", "Scores", "TokenTable", "Weight"]
