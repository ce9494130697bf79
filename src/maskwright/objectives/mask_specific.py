"""Mask specific losses (MSLM, arXiv 2403.18025): masked entities weigh more, and tokens are tagged beside.

Shapes: B rows, L positions, D hidden width, C classes of entities, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.heads import output_layer
from maskwright.objectives.losses import hits, token_loss
from maskwright.tokenids import table_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class MaskSpecific(Objective):
    """Predict every token and tag it with its entity's class; masked positions weigh more, masked entities most.

    Of a row whose masked tokens are entities to the share e, weights are softmax(max(1/2, e), min(1/2, e)): the first
    for masked entities, the second for other masked tokens. Both losses are multiplied by 1 + weight where masked and
    by 1 elsewhere, averaged over the row, multiplied by 1 + the number of masked tokens, averaged over rows, and added.

    entities: an annotator of entity classes. embedding: width of the token embedding that the tagger reads beside the
    hidden vector. tag_weight: of the tagging loss.
    """

    needs = Needs(network="encoder", in_place=True)
    example = "bert_tiny"

    def __init__(self, entities: Classes, embedding: int, tag_weight: float) -> None:
        super().__init__()
        if isinstance(embedding, bool) or not isinstance(embedding, int) or embedding < 1:
            raise RecipeError(
                f"objective.embedding is {embedding}; the tagger's token embedding has at least 1 number."
            )
        self.entities, self.columns, self.embedding = entities, (entities,), embedding
        self.weights = {"mlm": 1.0, "tags": tag_weight, "accuracy/mlm": 0.0, "accuracy/tags": 0.0}

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        self.layout = layout
        self.network: Network = model.build(tokenizer, positions, "mlm")
        self.tokens = nn.Embedding(table_rows(tokenizer), self.embedding)
        self.tagger = output_layer(self.network.config.hidden_size + self.embedding, len(self.entities.names))

    def where(self, batch: Batch) -> dict[str, Tensor]:
        view = batch.views["main"]
        rows_B = view.maskable_BL.any(1)
        return {"mlm": rows_B, "tags": rows_B, "accuracy/mlm": view.outcome_BL > 0, "accuracy/tags": view.maskable_BL}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view, class_BL = batch.views["main"], batch.rows[self.entities.name]
        hidden_BLD = self.encode(self.network, view.ids_BM, view.document_BM)
        logits_BLV = self.network.predict(hidden_BLD)
        tags_BLC = self.tagger(torch.cat([hidden_BLD, self.tokens(view.ids_BM).to(hidden_BLD.dtype)], -1))
        masked_BL = view.outcome_BL > 0
        weight_BL = position_weights(masked_BL, class_BL > 0) * view.maskable_BL
        scale_B = (1 + masked_BL.sum(1)) / view.maskable_BL.sum(1).clamp(min=1)
        return {
            "mlm": (token_loss(logits_BLV, view.clean_BL) * weight_BL).sum(1) * scale_B,
            "tags": (token_loss(tags_BLC, class_BL) * weight_BL).sum(1) * scale_B,
            "accuracy/mlm": hits(self.network.guessable(logits_BLV), view.clean_BL),
            "accuracy/tags": hits(tags_BLC, class_BL),
        }

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": self.network}

    def exports(self) -> dict[str, Network]:
        return {"": self.network}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width = self.layout.width
        return training_flops(self.network, rows * width, rows * width, width)


def position_weights(masked_BL: Tensor, entity_BL: Tensor) -> Tensor:
    """Float32 [B, L]: 1 at visible positions; 1 + a softmax weight at masked ones, larger at entities or equal."""
    share_B = (masked_BL & entity_BL).sum(1) / masked_BL.sum(1).clamp(min=1)
    half_B2 = torch.stack([share_B.clamp(min=0.5), share_B.clamp(max=0.5)], 1)
    weight_B2 = functional.softmax(half_B2, 1)
    own_BL = torch.where(entity_BL, weight_B2[:, :1], weight_B2[:, 1:])
    return 1 + torch.where(masked_BL, own_BL, 0.0)
