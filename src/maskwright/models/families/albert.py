"""ALBERT (arXiv 1909.11942): one layer's weights, or those of a few groups, are used at every depth; a narrow table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from .base import Family


class Albert(Family):
    """The last layer cannot work at some places alone: its weights are the earlier layers' too."""

    model_type = "albert"
    config_class = "AlbertConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "AlbertForMaskedLM",
        "detect": "AlbertForTokenClassification",
        "classify": "AlbertForSequenceClassification",
    }
    body_name = "albert"
    layers = "encoder.albert_layer_groups"
    narrow = True

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        return super().can(numbers) | {"narrow_embeddings"}

    def objection(self, number: Callable[[str], Any]) -> str | None:
        groups, layers = number("num_hidden_groups"), number("num_hidden_layers")
        if groups > layers:
            return f"model.config.num_hidden_groups is {groups}; each of the {layers} layers belongs to one group."
        return None

    def shallower(self, numbers: dict[str, Any], layers: int) -> dict[str, Any]:
        groups = int(numbers.get("num_hidden_groups") or 1)
        return super().shallower(numbers, layers) | {"num_hidden_groups": min(groups, layers)}

    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        return hf.predictions(hidden)

    def classify(self, hf: Any, hidden_BLD: Tensor) -> Tensor:
        pooled_BD = hf.albert.pooler_activation(hf.albert.pooler(hidden_BLD[:, 0]))
        return hf.classifier(hf.dropout(pooled_BD))

    def position_flops(self, hf: Any, tokens: float, length: int) -> float:
        """The uses of each group's weights after the first, and the attention of a group's inner layers."""
        config, groups = hf.config, hf.albert.encoder.albert_layer_groups
        share = config.num_hidden_layers / config.num_hidden_groups
        uses = Counter(int(layer / share) for layer in range(config.num_hidden_layers))
        flops = 2 * 2 * length * config.hidden_size * config.num_hidden_layers * (config.inner_group_num - 1) * tokens
        for number, group in enumerate(groups):
            linear = [module for module in group.modules() if isinstance(module, nn.Linear)]
            weights = sum(module.in_features * module.out_features for module in linear)
            flops += 2.0 * (uses[number] - 1) * weights * tokens
        return flops
