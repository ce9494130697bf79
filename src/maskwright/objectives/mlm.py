"""Masked language modelling (BERT, arXiv 1810.04805).

Shapes: B rows, L positions, K masked positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.losses import hits, pick, token_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class MaskedLM(Objective):
    """Predict the masked tokens from both sides."""

    needs = Needs(network="encoder")
    example = "modernbert_tiny"
    weights = MappingProxyType({"mlm": 1.0, "accuracy/mlm": 0.0})

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        self.network: Network = model.build(tokenizer, positions, "mlm")
        self.layout = layout

    def where(self, batch: Batch) -> dict[str, Tensor]:
        counts_BK = batch.views["main"].counts_BK
        return {"mlm": counts_BK, "accuracy/mlm": counts_BK}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view = batch.views["main"]
        hidden_BLD = self.encode(self.network, view.ids_BM, view.document_BM)
        logits_BKV = self.network.predict(pick(hidden_BLD, view.place_BK))
        return {"mlm": token_loss(logits_BKV, view.target_BK), "accuracy/mlm": hits(logits_BKV, view.target_BK)}

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": self.network}

    def exports(self) -> dict[str, Network]:
        return {"": self.network}

    def flops(self, rows: int, predicted: int) -> float:
        from maskwright.models.flops import training_flops

        length = self.layout.length
        return training_flops(self.network, rows * length, rows * predicted, length)
