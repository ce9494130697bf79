"""LTG-BERT (arXiv 2303.09859): relative positions in the attention scores; the network is our own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

from torch import Tensor

from ..places import Pick, stream_at
from .base import Family


class LtgBert(Family):
    library = "maskwright.models.ltg_bert.modeling"
    model_type = "ltg_bert"
    config_class = "LtgBertConfig"
    heads: ClassVar[dict[str, str]] = {"mlm": "LtgBertForMaskedLM", "detect": "LtgBertForTokenClassification"}
    body_name = "ltg_bert"
    layers = "layers"
    behind_attention = ("attention.output", "feed_forward")
    position_table = None  # its relative embeddings belong to each network's own attention
    type_table = None

    def at_places(self, hf: Any, picked: Pick) -> AbstractContextManager[None]:
        layer = self.last_layer(hf)
        return stream_at(layer, self.behind_attention[0], layer.attention, layer.feed_forward, picked)

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.lm_head(hidden)

    def detect(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.classifier(hidden).squeeze(-1)

    def position_flops(self, hf: Any, tokens: float, length: int) -> float:
        config = hf.config
        places, width = 2 * config.position_buckets - 1, config.hidden_size
        # Each relative place is projected twice per layer and pass, and meets every token's query and key.
        return config.num_hidden_layers * (2 * 2 * places * width * width + 2 * 2 * places * width * tokens)
