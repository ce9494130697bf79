"""Masking: who is hidden (units, weights, budgets), how many (rates), and what they become (corruptions)."""

from maskwright.masking.corruptions import Corruption
from maskwright.masking.policy import Masking
from maskwright.masking.rates import Rate
from maskwright.masking.view import Outcome, View
from maskwright.masking.views import ViewRecipe, Views
from maskwright.masking.vocabulary import Vocabulary

__all__ = ["Corruption", "Masking", "Outcome", "Rate", "View", "ViewRecipe", "Views", "Vocabulary"]
