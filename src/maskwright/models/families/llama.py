"""Llama (arXiv 2302.13971): the decoder that reads left to right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..attention import restarted, visible
from .base import Family


class Llama(Family):
    kind = "decoder"
    model_type = "llama"
    config_class = "LlamaConfig"
    heads: ClassVar[dict[str, str]] = {"causal": "LlamaForCausalLM"}
    body_name = "model"
    layers = "layers"
    word_table = "embed_tokens"
    position_table = None
    type_table = None
    extra_keys: ClassVar[Mapping[str, Any]] = {"rope_theta": float}
    rotary = True

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
        body = hf.model
        hidden_BLD = body.embed_tokens(inputs["input_ids"]) if "input_ids" in inputs else inputs["inputs_embeds"]
        mask = None
        # Padding stands at the end of a row, where no valid token can see it: sdpa's own causal path is enough.
        if document_BL is not None or allowed_BLL is not None or hf.config._attn_implementation == "eager":
            mask = visible(length, hidden_BLD.device, document_BL=document_BL, allowed_BLL=allowed_BLL, causal=True)
            mask = self.fitting(hf, mask)
        if positions_BL is None:
            place_L = torch.arange(length, device=hidden_BLD.device)
            positions_BL = place_L[None] if document_BL is None else restarted(document_BL)
        rotation = body.rotary_emb(hidden_BLD, position_ids=positions_BL)
        # Layer by layer: the model's forward guesses packing from positions, at the cost of a device sync.
        for layer in body.layers:
            hidden_BLD = layer(
                hidden_BLD,
                attention_mask=mask,
                position_embeddings=rotation,
                position_ids=positions_BL,
                use_cache=False,
            )
        return body.norm(hidden_BLD)

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.lm_head(hidden)
