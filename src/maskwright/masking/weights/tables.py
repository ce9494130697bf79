"""Weights by token or by class of token.

Shapes: B rows, L positions, V vocabulary, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes, class_number, named
from maskwright.masking.field import Field
from maskwright.masking.weights.base import Weight

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenTable(Weight):
    """A weight by token, from a JSON file {token: weight}; tokens that it does not name weigh `other`."""

    def __init__(self, file: str, other: float) -> None:
        self._weights = token_values(file, "masking.weight.file")
        if other < 0 or any(weight < 0 for weight in self._weights.values()):
            raise RecipeError(f"masking.weight.file={file} holds a weight below 0; weights are factors from 0 up.")
        self.other = other

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._table_V = by_token(self._weights, self.other, tokenizer, "masking.weight.file")

    def __call__(self, field: Field) -> Tensor:
        self._table_V = self._table_V.to(field.ids_BL.device)
        return self._table_V[field.ids_BL]

    def describe(self) -> str:
        return "weighted"


class ByClass(Weight):
    """A weight for each class of a column: parts of speech, entity types, lexicon strata.

    weights: by class name; classes that it does not name weigh `other`.
    """

    def __init__(self, column: Classes, weights: Mapping[str, float], other: float) -> None:
        self.column, self.columns = column, (column,)
        if other < 0 or any(weight < 0 for weight in weights.values()):
            raise RecipeError(f"masking.weight.weights={dict(weights)}, other={other}: weights are factors from 0 up.")
        self.weights, self.other = dict(weights), other

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._table_C = torch.full((len(self.column.names),), float(self.other), dtype=torch.float64)
        for name, weight in self.weights.items():
            self._table_C[class_number(self.column, name, "masking.weight.weights")] = weight

    def __call__(self, field: Field) -> Tensor:
        self._table_C = self._table_C.to(field.ids_BL.device)
        return self._table_C[field.column(self.column)]

    def describe(self) -> str:
        return f"{named(self.column)}-weighted"


def token_values(file: str, setting: str) -> dict[str, float]:
    """A JSON file {token: number}. Raises RecipeError when it is none."""
    try:
        return {str(token): float(value) for token, value in json.loads(Path(file).read_text()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise RecipeError(f"{setting}={file} is not a readable JSON object of token: weight ({error}).") from None


def by_token(values: Mapping[str, float], other: float, tokenizer: PreTrainedTokenizerBase, setting: str) -> Tensor:
    """The numbers as float64 [V] by token id. Raises RecipeError when no token is known."""
    vocabulary = tokenizer.get_vocab()
    if not values.keys() & vocabulary.keys():
        raise RecipeError(f"{setting} names no token of this tokenizer's vocabulary; write the tokens as it does.")
    table_V = torch.full((max(vocabulary.values()) + 1,), other, dtype=torch.float64)
    for token, value in values.items():
        if token in vocabulary:
            table_V[vocabulary[token]] = value
    return table_V
