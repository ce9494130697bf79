"""ModernBERT (arXiv 2412.13663): pre-norm, rotary positions, gated feed-forward, local and global attention."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from torch import Tensor

from ..attention import restarted, visible
from ..places import Pick, stream_at
from .base import Family


class ModernBert(Family):
    model_type = "modernbert"
    config_class = "ModernBertConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "ModernBertForMaskedLM",
        "detect": "ModernBertForTokenClassification",
        "classify": "ModernBertForSequenceClassification",
    }
    body_name = "model"
    layers = "layers"
    behind_attention = ("attn.Wo", "mlp")
    word_table = "embeddings.tok_embeddings"
    position_table = None
    type_table = None
    extra_keys: ClassVar[Mapping[str, Any]] = {
        "global_attn_every_n_layers": int, "global_rope_theta": float, "local_rope_theta": float,
    }  # fmt: skip
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
        device = next(iter(inputs.values())).device
        # One mask per kind of layer: given a single 4-D mask, transformers drops the sliding window.
        masks = {
            kind: self.fitting(
                hf,
                visible(
                    length,
                    device,
                    valid_BL=valid_BL,
                    document_BL=document_BL,
                    allowed_BLL=allowed_BLL,
                    window=hf.config.sliding_window if kind == "sliding_attention" else None,
                ),
            )
            for kind in set(hf.config.layer_types)
        }
        if positions_BL is None and document_BL is not None:
            positions_BL = restarted(document_BL)
        return hf.model(**inputs, attention_mask=masks, position_ids=positions_BL).last_hidden_state

    def at_places(self, hf: Any, picked: Pick) -> AbstractContextManager[None]:
        layer = self.last_layer(hf)

        def attend(hidden_BLD: Tensor, **named: Any) -> Any:
            return layer.attn(layer.attn_norm(hidden_BLD), **named)

        def feed(hidden_BKD: Tensor) -> Tensor:
            return layer.mlp(layer.mlp_norm(hidden_BKD))

        return stream_at(layer, self.behind_attention[0], attend, feed, picked)

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.decoder(hf.head(hidden))

    def detect(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.classifier(hf.drop(hf.head(hidden))).squeeze(-1)

    def classify(self, hf: Any, hidden_BLD: Tensor) -> Tensor:
        return hf.classifier(hf.drop(hf.head(hidden_BLD[:, 0])))
