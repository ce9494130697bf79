"""The loop that fine-tunes a network on a task: a few epochs, the best of them by the dev set, nothing else.

All draws come from the seed and from nothing outside; the network given is copied and stays as it was.
Shapes: B examples, L positions, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from maskwright.errors import RecipeError
from maskwright.evaluation.tasks import Batch, Example, Task, collate
from maskwright.evaluation.tools import Tools, reading, undisturbed
from maskwright.masking.noise import mixed_seed

_POOL = 16  # batches among which examples are sorted by length, so that little is padded


@dataclass(frozen=True)
class Settings:
    """How a network is fine-tuned; see conf/evaluation/finetune.yaml for the meaning of each."""

    frozen: bool
    pooling: str
    dropout: float
    epochs: int
    patience: int | None
    rows: int
    weight_decay: float
    warmup: float
    clip: float


class Learner(nn.Module):
    """A network and a task's head on it."""

    def __init__(self, network: Any, head: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.network, self.head, self.frozen = network, head, frozen

    def forward(self, batch: Batch) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            hidden_BLD = self.network.encode(
                batch.ids_BL, batch.valid_BL, padded=batch.padded, segment_BL=batch.segment_BL
            )
        return self.head(hidden_BLD, batch)

    def train(self, mode: bool = True) -> Learner:
        super().train(mode)
        if self.frozen:
            self.network.eval()  # a frozen network has no dropout
        return self


@dataclass
class Learned:
    """The best epoch of one run. state: of the learner, on the CPU. dev: all metrics there."""

    state: dict[str, Tensor]
    dev: dict[str, float]
    epoch: int
    epochs: int  # run in all


def learn(
    network: Any, task: Task, train: Sequence[Example], dev: Sequence[Example], lr: float, seed: int,
    settings: Settings, pad: int, tools: Tools, advance: Callable[[int], None],
) -> Learned:  # fmt: skip
    """Train a copy of `network`; the epoch with the best `task.metric` on dev counts, the first of equals.

    lr rises linearly over `warmup` (a share of all steps) and falls linearly to 0. Raises RecipeError when the loss is
    no longer a number.
    """
    with undisturbed(mixed_seed(seed, 0)):
        learner = new_learner(network, task, settings, tools)
        parameters = [p for p in learner.parameters() if p.requires_grad]
        optimizer = AdamW(parameters, lr=lr, weight_decay=settings.weight_decay)
        steps = settings.epochs * -(-len(train) // settings.rows)
        warm = settings.warmup * steps
        schedule = LambdaLR(optimizer, lambda step: min((step + 1) / (warm + 1), (steps - step) / (steps - warm)))
        generator = torch.Generator().manual_seed(mixed_seed(seed, 1))
        best: Learned | None = None
        for epoch in range(1, settings.epochs + 1):
            learner.train()
            for part in _order(train, settings.rows, generator):
                batch = collate(task, [train[number] for number in part], pad, tools.device)
                with tools.autocast():
                    loss = task.loss(learner(batch), batch.targets)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, settings.clip)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
            if not bool(torch.isfinite(loss)):
                raise RecipeError(f"Fine-tuning with evaluation.lr={lr:g} lost its way (the loss is {loss}); lower it.")
            measured = task.measure(said(learner, task, dev, settings.rows, pad, tools), dev)
            if best is None or measured[task.metric] > best.dev[task.metric]:
                state = {name: value.detach().cpu().clone() for name, value in learner.state_dict().items()}
                best = Learned(state, measured, epoch, epoch)
            best.epochs = epoch
            advance(1)
            if settings.patience is not None and epoch - best.epoch >= settings.patience:
                advance(settings.epochs - epoch)
                break
    assert best is not None
    return best


def new_learner(network: Any, task: Task, settings: Settings, tools: Tools) -> Learner:
    """A copy of the network with a new head; only what is to be learned requires gradients."""
    network = copy.deepcopy(network)
    head = task.head(network.config.hidden_size, settings.pooling, settings.dropout).to(tools.device)
    inside = {id(parameter) for parameter in network.body.parameters()}
    for parameter in network.parameters():
        parameter.requires_grad_(not settings.frozen and id(parameter) in inside)
    return Learner(network, head, settings.frozen)


def said(learner: Learner, task: Task, examples: Sequence[Example], rows: int, pad: int, tools: Tools) -> list[Any]:
    """What the learner says of each example, in their order."""
    order = sorted(range(len(examples)), key=lambda number: len(examples[number].ids_L))
    found: list[Any] = [None] * len(examples)
    with reading(learner), tools.autocast():
        for first in range(0, len(order), 2 * rows):
            part = order[first : first + 2 * rows]
            batch = collate(task, [examples[number] for number in part], pad, tools.device)
            for number, value in zip(part, task.say(learner(batch), batch.targets), strict=True):
                found[number] = value
    return found


def _order(examples: Sequence[Example], rows: int, generator: torch.Generator) -> list[list[int]]:
    """Every example once, in batches: shuffled, sorted by length within pools of batches, the batches shuffled."""
    shuffled = torch.randperm(len(examples), generator=generator).tolist()
    batches = []
    for first in range(0, len(shuffled), rows * _POOL):
        pool = sorted(shuffled[first : first + rows * _POOL], key=lambda number: len(examples[number].ids_L))
        batches += [pool[at : at + rows] for at in range(0, len(pool), rows)]
    return [batches[number] for number in torch.randperm(len(batches), generator=generator).tolist()]
