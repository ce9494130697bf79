"""Masked language modelling with sentence order (ALBERT, arXiv 1909.11942; MacBERT, arXiv 2004.13922).

Shapes: B rows, L positions, K masked positions, D hidden width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from maskwright.data.batch import Batch
from maskwright.masking.draws import Draws
from maskwright.objectives.base import Needs, RowLayout
from maskwright.objectives.heads import RowHead
from maskwright.objectives.losses import hits, token_loss
from maskwright.objectives.mlm import MaskedLM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe

ORDER = "in_order"  # bool [B]: the two segments stand as they do in the document


class SentenceOrder(MaskedLM):
    """Predict the masked tokens, and from [CLS] whether the two neighbouring segments of a row were exchanged.

    Half of the rows are exchanged, drawn by sample and visit before anything is masked. order_weight: of that loss.
    """

    needs = Needs(network="encoder", packing="pairs", losses={"main": "mlm"})
    example = "bert_tiny"

    def __init__(self, order_weight: float) -> None:
        super().__init__()
        self.weights = {"mlm": 1.0, "order": order_weight, "accuracy/mlm": 0.0, "accuracy/order": 0.0}

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        super().build(model, tokenizer, layout, positions)
        self.order = RowHead(self.network.config.hidden_size, 2)

    def arrange(self, rows: Mapping[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        kept_B = draws("order", 1)[:, 0] < 0.5
        source_BL = torch.where(kept_B[:, None], torch.arange(rows["ids"].shape[1], device=kept_B.device),
                                exchanged(rows["document"]))  # fmt: skip
        moved = {name: column.gather(1, source_BL) if column.ndim == 2 else column for name, column in rows.items()}
        moved["document"] = numbered(moved["document"])
        return moved | {ORDER: kept_B}

    def where(self, batch: Batch) -> dict[str, Tensor]:
        both_B = (batch.rows["document"] == 2).any(1) & (batch.rows["document"] == 1).any(1)
        return super().where(batch) | {"order": both_B, "accuracy/order": both_B}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view = batch.views["main"]
        # the first position, which tells the order, and then the masked ones
        place_BK = functional.pad(view.place_BK, (1, 0))
        hidden_BKD = self.encode(self.network, view.ids_BM, view.document_BM, place_BK=place_BK)
        logits_BKV = self.network.predict(hidden_BKD[:, 1:])
        order_B2, kept_B = self.order(hidden_BKD).float(), batch.rows[ORDER].long()
        return {
            "mlm": token_loss(logits_BKV, view.target_BK),
            "accuracy/mlm": hits(self.network.guessable(logits_BKV), view.target_BK),
            "order": functional.cross_entropy(order_B2, kept_B, reduction="none"),
            "accuracy/order": (order_B2.argmax(1) == kept_B).float(),
        }

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width, masked = self.layout.width, rows * predicted["main"]
        return training_flops(self.network, rows * width, masked, width, picked=masked + rows)


def numbered(document_BL: Tensor) -> Tensor:
    """The same rows with segment 1 first, so that the numbers do not tell whether two were exchanged."""
    swapped_B1 = document_BL[:, 1:2] == 2  # behind [CLS], which keeps the number 1
    behind_BL = torch.arange(document_BL.shape[1], device=document_BL.device) >= 1
    return torch.where(swapped_B1 & behind_BL & (document_BL > 0), 3 - document_BL, document_BL)


def exchanged(document_BL: Tensor) -> Tensor:
    """Int64 [B, L]: where each token comes from when the segments 1 and 2 of a row [CLS] 1 [SEP] 2 [SEP] change places.

    The first [CLS] stays; each segment takes its [SEP] along.
    """
    place_L = torch.arange(document_BL.shape[1], device=document_BL.device)
    first_B1 = (document_BL == 1).sum(1, keepdim=True) - 1  # tokens of segment 1, without [CLS]
    second_B1 = (document_BL == 2).sum(1, keepdim=True)
    ahead_BL = (place_L >= 1) & (place_L < 1 + second_B1)
    behind_BL = (place_L >= 1 + second_B1) & (place_L < 1 + second_B1 + first_B1)
    return torch.where(ahead_BL, place_L + first_B1, torch.where(behind_BL, place_L - second_B1, place_L))
