"""Several optimizers that look like one, so that schedules, clipping and checkpoints see a single object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer


class Composite(Optimizer):
    """Steps every inner optimizer; its `param_groups` are theirs, one after the other, and it owns all state.

    Bit-equal to stepping the inner optimizers one by one. Raises ValueError when a parameter belongs to two of them.
    """

    def __init__(self, inner: Sequence[Optimizer]) -> None:
        self.inner = list(inner)
        super().__init__([group for optimizer in inner for group in optimizer.param_groups], {})
        for group in self.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every weight that has a gradient. `closure` is run once, before all of them."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        first = 0
        for optimizer in self.inner:
            # load_state_dict replaces groups and state, so the inner optimizers are handed theirs anew.
            after = first + len(optimizer.param_groups)
            optimizer.param_groups, optimizer.state = self.param_groups[first:after], self.state
            optimizer.step()
            first = after
        return loss
