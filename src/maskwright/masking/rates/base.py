"""What a masking rate is: the share of maskable tokens to mask.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Column
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Rate(ABC):
    """A masking rate. highest, lowest: they bound the rate over the whole run; the static capacity of a step and the
    number of copies follow from them.

    columns: annotations that it reads. by_position: positions have rates of their own, whose mean is the row's rate.
    """

    highest: float
    lowest: float
    columns: tuple[str | Column, ...] = ()
    by_position = False

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:  # noqa: B027 - most rates need no tokenizer
        """Learn token ids and open tables, once, when the data is ready."""

    @abstractmethod
    def __call__(self, progress: float, draws: Draws) -> Tensor:
        """Rates float64 [B] at `progress` (0 at the first step, towards 1 at the last), which may differ by
        sequence."""

    def at_positions(self, field: Field) -> Tensor:
        """Rates float64 [B, L] of the positions, for a rate that is `by_position`."""
        raise NotImplementedError

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it, as in `30% -> 15%`."""


def share_of(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise RecipeError(f"{name} is {value}; a masking rate lies between 0 and 1.")
    return float(value)
