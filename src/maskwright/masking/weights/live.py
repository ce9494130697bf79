"""Weights that follow the training: state that changes between optimizer steps, is summed over ranks and checkpointed.

Shapes: B rows, L positions, K masked positions, C classes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes, named
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.weights.base import Weight

if TYPE_CHECKING:
    from maskwright.masking.view import View


class Live(nn.Module):
    """State that the training moves. The shell adds up `measure` over micro-batches and ranks, then calls `observe`
    once, between two optimizer steps."""

    @abstractmethod
    def measure(self, view: View, column_BL: Tensor, loss_BK: Tensor) -> Tensor:
        """Sums of one micro-batch, float64, from the losses at the view's places."""

    @abstractmethod
    def observe(self, sums: Tensor) -> None:
        """Move the state by the sums of a whole step."""


class ClassLosses(Live):
    """A running average of the loss of each class, `decay` of the old value at every step that shows the class."""

    average_C: Tensor

    def __init__(self, classes: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("average_C", torch.zeros(classes, dtype=torch.float64))

    @torch.no_grad()
    def measure(self, view: View, column_BL: Tensor, loss_BK: Tensor) -> Tensor:
        """Summed losses and numbers of each class: float64 [2, C]."""
        class_BK = column_BL.gather(1, view.source_BK)
        parts = torch.stack([loss_BK.detach().double(), torch.ones_like(loss_BK, dtype=torch.float64)])
        parts = (parts * view.counts_BK).flatten(1)
        sums_2C = parts.new_zeros(2, len(self.average_C))
        return sums_2C.scatter_add(1, class_BK.flatten()[None].expand(2, -1), parts)

    @torch.no_grad()
    def observe(self, sums: Tensor) -> None:
        total_C, number_C = sums
        moved_C = self.decay * self.average_C + (1 - self.decay) * total_C / number_C.clamp(min=1)
        self.average_C.copy_(torch.where(number_C > 0, moved_C, self.average_C))


class LiveLoss(Weight):
    """Classes with a high loss are masked more: w = sigmoid(2 (s - mean s) / std s) of the running losses s (arXiv
    2208.10806, part-of-speech tag weighted masking).

    w is the chance that a unit is accepted, as in the reference: units are shuffled, each is accepted with its w, and
    the budget takes accepted ones only, so that small weights may leave it unfilled. Equal losses accept all alike.
    """

    counted_only = True
    follows_loss = True

    def __init__(self, column: Classes, decay: float) -> None:
        if not 0 <= decay < 1:
            raise RecipeError(f"masking.weight.decay is {decay}; it lies between 0 and 1, 1 excluded.")
        self.column, self.columns, self.decay = column, (column,), decay
        self.live: ClassLosses | None = None

    def bind(self, tokenizer: object) -> None:
        self.live = ClassLosses(len(self.column.names), self.decay)

    def weights_C(self) -> Tensor:
        """The chance of acceptance of each class, float64 [C]; class 0, what the column does not name, has 1/2."""
        assert self.live is not None
        score_C = self.live.average_C[1:]
        spread = score_C.std(correction=min(1, len(score_C) - 1)).clamp(min=1e-4)  # n - 1, as the reference has it
        chance_C = torch.sigmoid(2 * (score_C - score_C.mean()) / spread)
        return torch.cat([chance_C.new_full((1,), 0.5), chance_C])

    def __call__(self, field: Field) -> Tensor:
        return self.weights_C().to(field.ids_BL.device)[field.column(self.column)]

    def arrivals(self, u_BL: Tensor, field: Field, draws: Draws) -> Tensor:
        rejected_BL = draws("accept", field.shape[1]) >= self(field)
        return u_BL.masked_fill(rejected_BL, torch.inf)

    def describe(self) -> str:
        return f"{named(self.column)}-loss-weighted"
