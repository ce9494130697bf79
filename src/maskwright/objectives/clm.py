"""Causal language modelling: predict each token from those before it. The autoregressive baseline.

Shapes: B rows, L positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.losses import hits, next_tokens, token_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class CausalLM(Objective):
    """Next-token prediction on the clean text; nothing is masked."""

    needs = Needs(network="decoder", views=(), predicts=False)
    example = "llama_tiny"
    weights = MappingProxyType({"clm": 1.0, "accuracy/clm": 0.0})

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        self.network: Network = model.build(tokenizer, positions, "causal")
        self.layout = layout

    def where(self, batch: Batch) -> dict[str, Tensor]:
        _, counts_BL = next_tokens(batch.rows["ids"], batch.rows["document"])
        return {"clm": counts_BL, "accuracy/clm": counts_BL}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        ids_BL, document_BL = batch.rows["ids"], batch.rows["document"]
        target_BL, _ = next_tokens(ids_BL, document_BL)
        logits_BLV = self.network.predict(self.encode(self.network, ids_BL, document_BL)[:, :-1])
        guessed_BLV = self.network.guessable(logits_BLV)
        return {"clm": token_loss(logits_BLV, target_BL), "accuracy/clm": hits(guessed_BLV, target_BL)}

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": "a causal model has no probability of a token given both of its sides; see heldout/clm"}

    def exports(self) -> dict[str, Network]:
        return {"": self.network}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        length = self.layout.length
        return training_flops(self.network, rows * length, rows * (length - 1), length)
