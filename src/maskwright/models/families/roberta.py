"""RoBERTa (arXiv 1907.11692): BERT's layers; positions count from padding id + 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .base import Family


class Roberta(Family):
    model_type = "roberta"
    config_class = "RobertaConfig"
    heads = {"mlm": "RobertaForMaskedLM", "detect": "RobertaForTokenClassification"}
    body_name = "roberta"

    def table_length(self, length: int, pad_id: int) -> int:
        return length + pad_id + 1

    def placed(self, hf: nn.Module, positions_BL: Tensor | None, length: int, device: Any) -> Tensor | None:
        # Explicit always: transformers derives positions from the ids, where a padding id inside the text shifts the rest.
        if positions_BL is None:
            positions_BL = torch.arange(length, device=device)[None]
        return positions_BL + hf.config.pad_token_id + 1

    def predict(self, hf: nn.Module, hidden: Tensor) -> Tensor:
        return hf.lm_head(hidden)
