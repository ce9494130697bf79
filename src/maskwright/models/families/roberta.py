"""RoBERTa (arXiv 1907.11692): BERT's layers; positions count from padding id + 1."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .base import Family


class Roberta(Family):
    model_type = "roberta"
    config_class = "RobertaConfig"
    heads: ClassVar[dict[str, str]] = {"mlm": "RobertaForMaskedLM", "detect": "RobertaForTokenClassification"}
    body_name = "roberta"

    def table_length(self, length: int, pad_id: int) -> int:
        return length + pad_id + 1

    def placed(self, hf: Any, positions_BL: Tensor | None, length: int, device: Any) -> Tensor | None:
        # Always given: transformers derives them from the ids, where a padding id inside the text shifts the rest.
        if positions_BL is None:
            positions_BL = torch.arange(length, device=device)[None]
        return positions_BL + hf.config.pad_token_id + 1

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.lm_head(hidden)
