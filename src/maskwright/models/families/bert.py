"""BERT (arXiv 1810.04805)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from .base import Family


class Bert(Family):
    model_type = "bert"
    config_class = "BertConfig"
    heads: ClassVar[dict[str, str]] = {"mlm": "BertForMaskedLM", "detect": "BertForTokenClassification"}
    body_name = "bert"

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.cls(hidden)
