"""One step tried before training: finds how many rows fit at once and how long a step takes. Nothing is left of it."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch

from maskwright.data.batch import Batch
from maskwright.objectives import Objective
from maskwright.training.hardware import Chosen, micro_rows_by_memory, micro_rows_by_trial
from maskwright.training.optimizers import OptimizerRecipe

_ROWS_FOR_MEMORY = 4  # rows whose activations are measured on a CPU


def rehearse(objective: Objective, batch: Batch, chosen: Chosen, device: torch.device) -> tuple[int, float]:
    """Rows per micro-batch and seconds per optimizer step for `batch`, whose views are made already.

    A setting of hardware.micro_rows is kept. On a GPU the batch is halved until forward and backward fit; on a CPU,
    where too much memory is swapped and not refused, the activations of a few rows are measured.
    """

    def run(rows: int) -> None:
        micro = next(batch.micro_batches(rows))
        with _autocast(chosen, device):
            where, terms = objective.where(micro), objective.terms(micro)
            weights = objective.weights
            loss = sum(
                ((value * where[name]).mean() for name, value in terms.items() if weights[name]),
                torch.zeros((), device=device),
            )
        loss.backward()

    objective.to(device)
    if chosen.compile:
        objective.run_whole()
    if chosen.micro_rows is not None:
        rows = min(chosen.micro_rows, len(batch))
    elif device.type == "cuda":
        rows = micro_rows_by_trial(len(batch), run, objective)
    else:
        # half of what is there, for all processes of the machine together
        rows = micro_rows_by_memory(len(batch), _bytes_per_row(objective, batch, chosen, device), 0.5 / chosen.devices)
    seconds = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        micro_rows_by_trial(rows, run, objective)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = min(seconds, time.perf_counter() - began)
    return rows, seconds * len(batch) / rows


def update_seconds(objective: Objective, optimizer: OptimizerRecipe) -> float:
    """How long the optimizer's update of the weights takes; they are put back."""
    trained = [weight for weight in objective.parameters() if weight.requires_grad]
    before = [weight.detach().clone() for weight in trained]
    built = optimizer.build(objective)
    seconds = float("inf")
    for _ in range(3):  # the first makes the optimizer's state
        for weight in trained:
            weight.grad = torch.full_like(weight, 1e-3)
        began = time.perf_counter()
        built.step()
        if trained[0].is_cuda:
            torch.cuda.synchronize()
        seconds = min(seconds, time.perf_counter() - began)
    with torch.no_grad():
        for weight, own in zip(trained, before, strict=True):
            weight.copy_(own)
    objective.zero_grad(set_to_none=True)
    return seconds


def _bytes_per_row(objective: Objective, batch: Batch, chosen: Chosen, device: torch.device) -> float:
    """Bytes that the backward pass keeps for one row, counted on a few rows."""
    few = next(batch.micro_batches(_ROWS_FOR_MEMORY))
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {parameter.untyped_storage().data_ptr() for parameter in objective.parameters()}
    with (
        torch.random.fork_rng([]),
        torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
        _autocast(chosen, device),
    ):
        terms = objective.terms(few)
    del terms
    return sum(size for place, size in kept.items() if place not in weights) / len(few)


def _autocast(chosen: Chosen, device: torch.device):  # type: ignore[no-untyped-def]
    return torch.autocast(device.type, torch.bfloat16) if chosen.precision == "bf16" else nullcontext()
