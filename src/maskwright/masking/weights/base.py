"""What a weight is: how readily a position is masked, as a factor on its chance.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from maskwright.masking import race
from maskwright.masking.columns import Column
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Weight(ABC):
    """Non-negative weights of positions; a unit of several positions takes its first one's. Weight 0 is never masked.

    columns: annotations that it reads. counted_only: its arrivals are an order or a choice, so that a deadline alone
    would not give a rate, and a budget must count. given: the network gives the values inside the step. follows_loss:
    it has live state that the losses at the view's places move.
    """

    columns: tuple[str | Column, ...] = ()
    counted_only = False
    given = False
    follows_loss = False

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:  # noqa: B027 - most weights need no tokenizer
        """Learn token ids and open tables, once, when the data is ready."""

    @abstractmethod
    def __call__(self, field: Field) -> Tensor:
        """Weights float64 [B, L], >= 0."""

    def arrivals(self, u_BL: Tensor, field: Field, draws: Draws) -> Tensor:
        """Arrival times [B, L] from noise: by default P(arrival <= t) = 1 - (1 - t)^w."""
        return race.weighted(u_BL, self(field))

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it."""


def tempered(score_BL: Tensor, temperature: float, floor: float) -> Tensor:
    """Scores as weights: max(score, floor)^temperature, float64; temperature 0 makes all equal."""
    return score_BL.double().clamp(min=floor) ** temperature
