"""MPNet (arXiv 2004.09297): BERT's layers with a bias by relative position, one for all layers, added to the scores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..places import Pick, instead, picked_before
from .base import Family

_PAD = 1  # transformers' MPNet takes this id for padding wherever it stands, whatever its config says
_BUCKETS = 32  # and always sorts distances into so many buckets


class MPNet(Family):
    """Where [UNK] has the id 1 it has neither embedding nor position here, as in transformers; see `counted`."""

    model_type = "mpnet"
    config_class = "MPNetConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "MPNetForMaskedLM",
        "detect": "MPNetForTokenClassification",
        "classify": "MPNetForSequenceClassification",
    }
    body_name = "mpnet"
    type_table = None
    attentions = ("eager",)
    behind_attention = ("attention.attn.o", "intermediate", "output")
    special_row = _PAD

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        return super().can(numbers) - {"positions"}  # the bias goes by slots

    def objection(self, number: Callable[[str], Any]) -> str | None:
        buckets = number("relative_attention_num_buckets")
        if buckets != _BUCKETS:
            return f"model.config.relative_attention_num_buckets is {buckets}; transformers' MPNet uses {_BUCKETS}."
        return None

    def first_position(self, pad_id: int) -> int:
        return _PAD + 1

    def encode(
        self,
        hf: Any,
        inputs: dict[str, Tensor],
        length: int,
        valid_BL: Tensor | None,
        document_BL: Tensor | None,
        positions_BL: Tensor | None,
        allowed_BLL: Tensor | None,
    ) -> Tensor:
        # None: transformers counts from the ids, or from the slots where embeddings are given
        if document_BL is not None:
            ids_BL = inputs.get("input_ids")
            real_BL = torch.ones_like(document_BL, dtype=torch.bool) if ids_BL is None else ids_BL != _PAD
            positions_BL = counted(real_BL, document_BL)
        return super().encode(hf, inputs, length, valid_BL, document_BL, positions_BL, allowed_BLL)

    def at_places(self, hf: Any, picked: Pick) -> AbstractContextManager[None]:
        attention = self.last_layer(hf).attention

        def forward(hidden_BLD: Tensor, *rest: Any, **named: Any) -> tuple[Tensor]:
            with picked_before(attention.attn.o, picked):
                mixed_BKD = attention.attn(hidden_BLD, *rest, **named)[0]
            return (attention.LayerNorm(attention.dropout(mixed_BKD) + picked(hidden_BLD)),)

        return instead(attention, forward)

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.lm_head(hidden)


def counted(real_BL: Tensor, document_BL: Tensor) -> Tensor:
    """Positions int64 [B, L] as transformers' MPNet counts them, anew in every document of a row.

    Real tokens count from 2; the others, which have the id of padding, stand at 1 and do not count.
    """
    begins_BL = torch.ones_like(real_BL)
    begins_BL[:, 1:] = document_BL[:, 1:] != document_BL[:, :-1]
    count_BL = real_BL.long().cumsum(1)
    before_BL = torch.where(begins_BL, count_BL - real_BL.long(), 0).cummax(1).values
    return torch.where(real_BL, count_BL - before_BL + _PAD, _PAD)
