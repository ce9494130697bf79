"""BERT (arXiv 1810.04805)."""

from __future__ import annotations

from torch import Tensor, nn

from .base import Family


class Bert(Family):
    model_type = "bert"
    config_class = "BertConfig"
    heads = {"mlm": "BertForMaskedLM", "detect": "BertForTokenClassification"}
    body_name = "bert"

    def predict(self, hf: nn.Module, hidden: Tensor) -> Tensor:
        return hf.cls(hidden)
