"""Masked language modelling (BERT, arXiv 1810.04805).

Shapes: B rows, L positions, K masked positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.masking import View
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.losses import hits, token_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class MaskedLM(Objective):
    """Predict the masked tokens from both sides."""

    needs = Needs(network="encoder", copies=True, losses=MappingProxyType({"main": "mlm"}))
    example = "modernbert_tiny"
    weights: Mapping[str, float] = MappingProxyType({"mlm": 1.0, "accuracy/mlm": 0.0})

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        self.network: Network = model.build(tokenizer, positions, "mlm")
        self.layout = layout

    def where(self, batch: Batch) -> dict[str, Tensor]:
        views = batch.copies("main")
        weight_BK = torch.cat([view.weight_BK for view in views], 1)
        return {"mlm": weight_BK, "accuracy/mlm": torch.cat([view.counts_BK for view in views], 1)}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        parts = [predictions(self, self.network, view) for view in batch.copies("main")]
        losses, right = zip(*parts, strict=True)
        return {"mlm": torch.cat(losses, 1), "accuracy/mlm": torch.cat(right, 1)}

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": self.network}

    def exports(self) -> dict[str, Network]:
        return {"": self.network}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width, masked = self.layout.width, rows * predicted["main"]
        return self.layout.copies * training_flops(self.network, rows * width, masked, width, picked=masked)


def predictions(objective: Objective, network: Network, view: View) -> tuple[Tensor, Tensor]:
    """The loss, and whether the most likely token is the right one, at each place of a view: float32 [B, K] both."""
    logits_BKV = network.predict(objective.encode(network, view.ids_BM, view.document_BM, place_BK=view.place_BK))
    return token_loss(logits_BKV, view.target_BK), hits(network.guessable(logits_BKV), view.target_BK)
