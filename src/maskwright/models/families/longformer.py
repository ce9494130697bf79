"""Longformer (arXiv 2004.05150): RoBERTa whose tokens see a window around them, at a cost linear in the length.

Rows are padded to a multiple of the widest window inside the network. Where a row is classified, its first token sees
all others and all see it, through projections of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .roberta import Roberta

_GLOBAL = ("query_global", "key_global", "value_global")


class Longformer(Roberta):
    """Masks are by key only, so documents in one row cannot be kept apart. A window counts slots, not positions."""

    model_type = "longformer"
    config_class = "LongformerConfig"
    heads: ClassVar[dict[str, str]] = {
        "mlm": "LongformerForMaskedLM",
        "detect": "LongformerForTokenClassification",
        "classify": "LongformerForSequenceClassification",
    }
    body_name = "longformer"
    attentions = ("eager",)
    behind_attention = ()  # the padding that the network adds stands behind places picked, and is cut off there

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        return super().can(numbers) - {"attention_mask"}

    def objection(self, number: Callable[[str], Any]) -> str | None:
        window, layers = number("attention_window"), number("num_hidden_layers")
        windows = window if isinstance(window, list) else [window]
        if not all(type(size) is int and size > 0 and size % 2 == 0 for size in windows):
            return f"model.config.attention_window is {window}; a window is an even number from 2 up."
        if isinstance(window, list) and len(window) != layers:
            return f"model.config.attention_window names {len(window)} windows for {layers} layers; give one for each."
        return None

    def cure(self, claim: str) -> str:
        if claim == "attention_mask":
            return "choose packing=document or another model such as model=roberta_tiny"
        return super().cure(claim)

    def shallower(self, numbers: dict[str, Any], layers: int) -> dict[str, Any]:
        windows = numbers.get("attention_window")
        cut = {"attention_window": windows[:layers]} if isinstance(windows, list) else {}
        return super().shallower(numbers, layers) | cut

    def made(self, hf: Any) -> Any:
        """Without global attention its projections are in no loss: they neither learn nor wait for a gradient."""
        if not self._looks_everywhere(hf):
            for layer in hf.longformer.encoder.layer:
                for name in _GLOBAL:
                    getattr(layer.attention.self, name).requires_grad_(False)
        return hf

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
        seen_BL = first.new_ones(first.shape[:2], dtype=torch.long) if valid_BL is None else valid_BL.long()
        everywhere_BL = None
        if self._looks_everywhere(hf):
            everywhere_BL = torch.zeros_like(seen_BL)
            everywhere_BL[:, 0] = 1
        return hf.longformer(
            **inputs,
            attention_mask=seen_BL,
            global_attention_mask=everywhere_BL,
            position_ids=self.placed(hf, positions_BL, length, first.device),
        ).last_hidden_state

    def position_flops(self, hf: Any, tokens: float, length: int) -> float:
        """What the padded row costs beyond the row, and windows in place of whole rows."""
        config = hf.config
        widest = max(config.attention_window)
        padded = -(-length // widest) * widest
        rows, width, flops = tokens / length, config.hidden_size, 0.0
        for layer, window in zip(hf.longformer.encoder.layer, config.attention_window):
            linear = {name: module for name, module in layer.named_modules() if isinstance(module, nn.Linear)}
            for name, module in linear.items():
                weights = module.in_features * module.out_features
                used = padded
                if name.endswith(_GLOBAL):
                    used = 0 if not self._looks_everywhere(hf) else 1 if name.endswith("query_global") else padded
                flops += 2.0 * weights * (used - length) * rows
            half = window // 2
            blocks = padded // half
            # scores: blocks of two halves that overlap; values: each half with its neighbours
            windows = 2 * ((blocks - 1) * (2 * half) ** 2 + blocks * half * 3 * half) * width
            flops += (windows - 2 * 2 * length * length * width) * rows
            if self._looks_everywhere(hf):  # everyone's scores with the first token, and its own with all
                flops += 2 * 2 * 2 * padded * width * rows
        return flops

    def _looks_everywhere(self, hf: Any) -> bool:
        return isinstance(hf, self.get(self.heads["classify"]))
