"""ELECTRA (arXiv 2003.10555): BERT's layers behind an embedding table that may be narrower than the network."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from .base import Family


class Electra(Family):
    model_type = "electra"
    config_class = "ElectraConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "ElectraForMaskedLM",
        "detect": "ElectraForPreTraining",
        "classify": "ElectraForSequenceClassification",
    }
    body_name = "electra"
    behind_attention = ("attention.output", "intermediate", "output")
    narrow = True

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        return super().can(numbers) | {"narrow_embeddings"}

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.generator_lm_head(hf.generator_predictions(hidden))

    def detect(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.discriminator_predictions(hidden)
