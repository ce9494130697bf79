"""The last layer for one place of each row: where a row serves to score one token, the rest of it is wasted work.

In the last layer only the place that is read needs the attention's output projection and the feed-forward part; both
work place by place. The residual sums around them broadcast, so every other place then holds nonsense that nobody
reads. The vectors at the places read are those of the full computation, up to rounding.

Shapes: R rows, L positions, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

# Model type -> the place-by-place parts of a layer. Absent families compute everything.
_PARTS = {
    "bert": ("attention.output.dense", "intermediate"),
    "roberta": ("attention.output.dense", "intermediate"),
    "electra": ("attention.output.dense", "intermediate"),
    "deberta-v2": ("attention.output.dense", "intermediate"),
    "modernbert": ("attn.Wo", "mlp"),
}


@contextmanager
def one_place(network: Any, place_R: Tensor) -> Iterator[None]:
    """Inside, hidden states of `network` are right at (row r, place_R[r]) and nowhere else. Without dropout only."""
    layers = stack(network)
    parts = _PARTS.get(network.config.model_type, ())
    compiled = getattr(network.body, "_compiled_call_impl", None) is not None  # it would not see the hooks
    if layers is None or compiled:
        parts = ()

    def pick(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden_RLD, *rest = inputs
        return hidden_RLD.gather(1, place_R[:, None, None].expand(-1, 1, hidden_RLD.shape[-1])), *rest

    hooks = [layers[-1].get_submodule(part).register_forward_pre_hook(pick) for part in parts] if layers else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def stack(network: Any) -> nn.ModuleList | None:
    """The list of a network's layers; None where it cannot be told."""
    found = [
        module
        for module in network.body.modules()
        if isinstance(module, nn.ModuleList) and len(module) == network.config.num_hidden_layers
    ]
    return found[0] if found else None
