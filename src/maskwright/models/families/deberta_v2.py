"""DeBERTa v2 and v3 (arXiv 2006.03654, 2111.09543): disentangled attention over content and relative positions.

transformers has one architecture for both; v2 adds a convolution beside the first layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..attention import restarted, visible
from .base import Family


class DebertaV2(Family):
    model_type = "deberta-v2"
    config_class = "DebertaV2Config"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "DebertaV2ForMaskedLM",
        "detect": "DebertaV2ForTokenClassification",
        "classify": "DebertaV2ForSequenceClassification",
    }
    body_name = "deberta"
    behind_attention = ("attention.output", "intermediate", "output")
    below = ("encoder.rel_embeddings", "encoder.LayerNorm", "encoder.conv")
    attentions = ("eager",)
    extra_keys: ClassVar[Mapping[str, Any]] = {
        "attention_head_size": int, "conv_act": str, "conv_groups": int, "conv_kernel_size": int,
        "embedding_size": int, "norm_rel_ebd": str, "position_buckets": int, "share_att_key": bool,
    }  # fmt: skip
    narrow = True
    typeless = True

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        claims = {"embeddings_in", *self.segments(numbers)}
        if numbers.get("legacy", True):
            claims.add("narrow_embeddings")
        if not numbers.get("conv_kernel_size"):  # the convolution carries tokens across the edges of documents
            claims.add("attention_mask")
        if numbers.get("position_biased_input", True) and not numbers.get("relative_attention", False):
            claims.add("positions")
        return frozenset(claims)

    def can_pick(self, hf: Any) -> bool:
        return hf.deberta.encoder.conv is None or len(hf.deberta.encoder.layer) > 1  # it reads all the first layer says

    def objection(self, number: Callable[[str], Any]) -> str | None:
        if number("legacy") is False and number("embedding_size") != number("hidden_size"):
            return "model.config.legacy is false; narrower embeddings need legacy=true."
        head, heads, hidden = (number(key) for key in ("attention_head_size", "num_attention_heads", "hidden_size"))
        if head and head * heads != hidden:
            return (
                f"model.config.attention_head_size is {head}; {heads} heads of it must make up hidden_size, {hidden}."
            )
        kernel, groups = number("conv_kernel_size") or 0, number("conv_groups") or 1
        if kernel and kernel % 2 == 0:
            return f"model.config.conv_kernel_size is {kernel}; give an odd number, or 0 for no convolution."
        if kernel and hidden % groups:
            return f"model.config.conv_groups is {groups}; it must divide hidden_size, which is {hidden}."
        return None

    def cure(self, claim: str) -> str:
        if claim == "attention_mask":
            return "choose model=deberta_v3_* or set model.config.conv_kernel_size=0"
        return super().cure(claim)

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
        first = next(iter(inputs.values()))
        if document_BL is not None and positions_BL is None:
            positions_BL = restarted(document_BL)
        # The model's own forward accepts 2-D masks only, so its two halves are called apart.
        embedded_BLD = hf.deberta.embeddings(
            **inputs, position_ids=positions_BL, mask=None if valid_BL is None else valid_BL.long()
        )
        if document_BL is None and allowed_BLL is None:
            seen = first.new_ones(first.shape[:2], dtype=torch.long) if valid_BL is None else valid_BL.long()
        else:
            mask = visible(length, first.device, valid_BL=valid_BL, document_BL=document_BL, allowed_BLL=allowed_BLL)
            assert mask is not None
            seen = mask[:, 0]
        return hf.deberta.encoder(embedded_BLD, seen, output_hidden_states=False).last_hidden_state

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        if hf.legacy:
            return hf.cls(hidden)
        return hf.lm_predictions(hidden, hf.deberta.embeddings.word_embeddings)

    def position_flops(self, hf: Any, tokens: float, length: int) -> float:
        config, encoder = hf.config, hf.deberta.encoder
        flops = 0.0
        if encoder.conv is not None:
            conv = encoder.conv.conv
            flops += 2 * conv.weight.numel() * tokens
        if encoder.relative_attention:
            attention = encoder.layer[0].attention.self
            places, width = 2 * attention.pos_ebd_size, attention.all_head_size
            terms = len(config.pos_att_type or ())
            # Each relative place is projected once per pass and meets every token, once per term (c2p, p2c).
            projections = 2 if attention.share_att_key else terms
            if not attention.share_att_key:  # these Linear layers see places, not tokens
                flops -= config.num_hidden_layers * terms * 2 * config.hidden_size * width * tokens
            per_layer = projections * 2 * places * config.hidden_size * width + terms * 2 * places * width * tokens
            flops += config.num_hidden_layers * per_layer
        return flops

    def classify(self, hf: Any, hidden_BLD: Tensor) -> Tensor:
        return hf.classifier(hf.dropout(hf.pooler(hidden_BLD)))
