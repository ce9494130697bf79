"""RoBERTa (arXiv 1907.11692) and its kin: BERT's layers; positions count from padding id + 1."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .base import Family


class Roberta(Family):
    model_type = "roberta"
    config_class = "RobertaConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "RobertaForMaskedLM",
        "detect": "RobertaForTokenClassification",
        "classify": "RobertaForSequenceClassification",
    }
    body_name = "roberta"
    behind_attention: tuple[str, ...] = ("attention.output", "intermediate", "output")

    def first_position(self, pad_id: int) -> int:
        return pad_id + 1

    def placed(self, hf: Any, positions_BL: Tensor | None, length: int, device: Any) -> Tensor | None:
        # Always given: transformers derives them from the ids, where a padding id inside the text shifts the rest.
        if positions_BL is None:
            positions_BL = torch.arange(length, device=device)[None]
        return positions_BL + self.first_position(hf.config.pad_token_id)

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.lm_head(hidden)


class RobertaPreLayerNorm(Roberta):
    """Layer norms before each part, as fairseq's pre-norm RoBERTa (arXiv 2202.08005)."""

    model_type = "roberta-prelayernorm"
    config_class = "RobertaPreLayerNormConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "RobertaPreLayerNormForMaskedLM",
        "detect": "RobertaPreLayerNormForTokenClassification",
        "classify": "RobertaPreLayerNormForSequenceClassification",
    }
    body_name = "roberta_prelayernorm"


class XlmRoberta(Roberta):
    """XLM-R (arXiv 1911.02116): RoBERTa over 100 languages; transformers gives it classes of its own."""

    model_type = "xlm-roberta"
    config_class = "XLMRobertaConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "XLMRobertaForMaskedLM",
        "detect": "XLMRobertaForTokenClassification",
        "classify": "XLMRobertaForSequenceClassification",
    }


class Camembert(Roberta):
    """CamemBERT (arXiv 1911.03894): RoBERTa of French text; transformers gives it classes of its own."""

    model_type = "camembert"
    config_class = "CamembertConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "CamembertForMaskedLM",
        "detect": "CamembertForTokenClassification",
        "classify": "CamembertForSequenceClassification",
    }


class XlmRobertaXl(Roberta):
    """XLM-R XL and XXL (arXiv 2105.00572): norms before each part and none after the embeddings."""

    model_type = "xlm-roberta-xl"
    config_class = "XLMRobertaXLConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "XLMRobertaXLForMaskedLM",
        "detect": "XLMRobertaXLForTokenClassification",
        "classify": "XLMRobertaXLForSequenceClassification",
    }
