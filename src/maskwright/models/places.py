"""Work at some places of a row only: what is computed elsewhere and then thrown away is not computed at all.

A network that predicts masked tokens reads its last hidden states at those places alone. Attention needs keys and
values everywhere, so all layers but the last run in full; in the last one everything behind the mixing of values works
place by place, and so at these places only. Hidden states and gradients are those of the full computation, up to
rounding.

Shapes: B rows, L positions, K places, D hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Pick = Callable[[Tensor], Tensor]  # [B, L, D] -> [B, K, D]


def pick(hidden_BLD: Tensor, place_BK: Tensor) -> Tensor:
    """The hidden vectors [B, K, D] at `place_BK`; a place may be named more than once."""
    rows, length, width = hidden_BLD.shape
    first_B1 = torch.arange(0, rows * length, length, device=place_BK.device)[:, None]
    return hidden_BLD.reshape(-1, width).index_select(0, (place_BK + first_B1).flatten()).view(*place_BK.shape, width)


@contextmanager
def picked_before(module: nn.Module, picked: Pick) -> Iterator[None]:
    """Inside, `module` is given its inputs at the places picked."""
    hook = module.register_forward_pre_hook(lambda _, inputs: tuple(picked(value) for value in inputs))
    try:
        yield
    finally:
        hook.remove()


def stream_at(
    layer: Any, output: str, attend: Callable[..., tuple[Tensor, Any]], feed: Callable[[Tensor], Tensor], picked: Pick
) -> AbstractContextManager[None]:
    """Inside, `layer`, which adds attention and then a feed-forward part to a stream, gives [B, K, D] at the places.

    output: the last module of its attention, which works place by place.
    """

    def forward(hidden_BLD: Tensor, *rest: Any, **named: Any) -> Tensor:
        with picked_before(layer.get_submodule(output), picked):
            mixed_BKD, _ = attend(hidden_BLD, *rest, **named)
        hidden_BKD = picked(hidden_BLD) + mixed_BKD
        return hidden_BKD + feed(hidden_BKD)

    return instead(layer, forward)


@contextmanager
def instead(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Inside, `module` computes `forward`."""
    before = vars(module).get("forward")  # what another tool may have put there
    module.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before
