"""Weights: how readily each unit is masked, as a factor on its chance. Weight 0 is never masked.

Shapes: B rows, L positions.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.field import Field

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Weight(ABC):
    """Non-negative weights of positions; a unit of several positions takes its first one's."""

    columns: tuple[str, ...] = ()

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:  # noqa: B027 - most weights need no tokenizer
        """Learn the token ids, once, before training."""

    @abstractmethod
    def __call__(self, field: Field) -> Tensor:
        """Weights float64 [B, L], >= 0."""

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it."""


class TokenTable(Weight):
    """A weight by token, from a JSON file {token: weight}; tokens that it does not name weigh `other`."""

    def __init__(self, file: str, other: float) -> None:
        try:
            self._weights = {str(token): float(weight) for token, weight in json.loads(Path(file).read_text()).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise RecipeError(
                f"masking.weight.file={file} is not a readable JSON object of token: weight ({error})."
            ) from None
        if other < 0 or any(weight < 0 for weight in self._weights.values()):
            raise RecipeError(f"masking.weight.file={file} holds a weight below 0; weights are factors from 0 up.")
        self.other = other

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        vocabulary = tokenizer.get_vocab()
        if not self._weights.keys() & vocabulary.keys():
            raise RecipeError(
                "masking.weight.file names no token of this tokenizer's vocabulary; write the tokens as it does."
            )
        self._table_V = torch.full((max(vocabulary.values()) + 1,), self.other, dtype=torch.float64)
        for token, weight in self._weights.items():
            if token in vocabulary:
                self._table_V[vocabulary[token]] = weight

    def __call__(self, field: Field) -> Tensor:
        self._table_V = self._table_V.to(field.ids_BL.device)
        return self._table_V[field.ids_BL]

    def describe(self) -> str:
        return "weighted"
