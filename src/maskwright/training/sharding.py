"""Weights spread over devices (FSDP2, arXiv 2304.11277): how an objective is cut, and how it is put together again."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from maskwright.objectives import Objective


class Sharded:
    """An objective whose weights are spread over the devices of a one-dimensional mesh, layer by layer.

    The weights of a layer are gathered while it computes; what is outside the layers (embedding tables, heads) forms
    one group, gathered by `Objective.terms`, so that tables which two networks share stay shared.
    """

    def __init__(self, objective: Objective, mesh: DeviceMesh, keep_whole: bool) -> None:
        self.objective = objective
        # A copy in main memory, for exports: sharded modules can neither be copied nor saved by transformers.
        self._whole = copy.deepcopy(objective).cpu() if keep_whole else None
        # Layers may return views; nothing here writes into a layer's output in place.
        warnings.filterwarnings("ignore", ".*FSDP2-wrapped module .* returned a view tensor.*")
        for stack in [module for module in objective.modules() if isinstance(module, nn.ModuleList)]:
            for layer in stack:
                if any(True for _ in layer.parameters()):
                    fully_shard(layer, mesh=mesh)
        fully_shard(objective, mesh=mesh)
        register_fsdp_forward_method(objective, "terms")
        self._parts = [module for module in objective.modules() if isinstance(module, FSDPModule)]

    def share_gradients(self, now: bool) -> None:
        """Whether the next backward pass sums gradients over the devices, or keeps them for a later one."""
        self._parts[0].set_requires_gradient_sync(now)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Every device holds all weights inside, so that each may run any network as often as it likes."""
        self._parts[0].set_reshard_after_forward(False)
        for part in self._parts:
            part.unshard()
        try:
            yield
        finally:
            self._parts[0].set_reshard_after_forward(True)
            self._parts[0].set_reshard_after_forward(False, recurse=False)  # the root's backward pass comes at once
            for part in self._parts:
                part.reshard()

    def whole(self) -> Objective | None:
        """The objective with its present weights in main memory, where a copy is kept, else None; all ranks call it."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        weights = get_model_state_dict(self.objective, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        if self._whole is not None:
            self._whole.load_state_dict(weights)
        return self._whole
