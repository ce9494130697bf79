"""LTG-BERT (arXiv 2303.09859), a network of our own: transformers has none.

It is an ordinary transformers model, so that the Auto classes load it once maskwright is imported.
"""

from __future__ import annotations

from .configuration import LtgBertConfig
from .modeling import LtgBertForMaskedLM, LtgBertForTokenClassification, LtgBertModel

__all__ = ["LtgBertConfig", "LtgBertForMaskedLM", "LtgBertForTokenClassification", "LtgBertModel"]
