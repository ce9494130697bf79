"""BERT (arXiv 1810.04805)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from .base import Family


class Bert(Family):
    model_type = "bert"
    config_class = "BertConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "BertForMaskedLM",
        "detect": "BertForTokenClassification",
        "classify": "BertForSequenceClassification",
    }
    body_name = "bert"
    behind_attention = ("attention.output", "intermediate", "output")

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.cls(hidden)

    def classify(self, hf: Any, hidden_BLD: Tensor) -> Tensor:
        return hf.classifier(hf.dropout(hf.bert.pooler(hidden_BLD)))
