"""DistilBERT (arXiv 1910.01108): BERT without segment types, half as deep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from .base import Family


class DistilBert(Family):
    model_type = "distilbert"
    config_class = "DistilBertConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "DistilBertForMaskedLM",
        "detect": "DistilBertForTokenClassification",
        "classify": "DistilBertForSequenceClassification",
    }
    body_name = "distilbert"
    layers = "transformer.layer"
    type_table = None
    own_names: ClassVar[Mapping[str, str]] = {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
    }

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.vocab_projector(hf.vocab_layer_norm(hf.activation(hf.vocab_transform(hidden))))

    def classify(self, hf: Any, hidden_BLD: Tensor) -> Tensor:
        return hf.classifier(hf.dropout(hf.pre_classifier(hidden_BLD[:, 0]).relu()))
