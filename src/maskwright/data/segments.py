"""Segment ids: of rows that are pairs, and of the pairs that a tokenizer makes of two texts."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def second(document_BL: Tensor) -> Tensor:
    """Segment ids int64 [B, L] of rows of pairs: 1 in the second segment, 0 in the first and at padding."""
    return (document_BL == 2).long()


def tell_segments(tokenizer: Any) -> None:
    """Let a tokenizer of transformers give segment ids (token_type_ids), here and wherever it is loaded again.

    A network that was trained on pairs with their segments told is thus told them by whoever loads its export.
    """
    names = dict.fromkeys([*tokenizer.model_input_names, "token_type_ids"])
    tokenizer.model_input_names = list(names)
    tokenizer.init_kwargs["model_input_names"] = list(names)
