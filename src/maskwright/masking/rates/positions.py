"""Rates of positions: every class of token, or every token, has a rate of its own.

Shapes: B rows, L positions, V vocabulary, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes, class_number, named
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.rates.base import Rate, share_of
from maskwright.masking.weights.tables import by_token, token_values

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ByPosition(Rate):
    """A rate that differs by position. A unit of several positions has its first one's. With masking/budget=expected
    each is met exactly in the mean; budgets that count take the mean over the row, and the rates steer the order."""

    by_position = True

    def __call__(self, progress: float, draws: Draws) -> Tensor:
        return torch.full_like(draws.sample_B, self.highest, dtype=torch.float64)


class ByClass(ByPosition):
    """A rate for each class of a column (KidLM's strata, arXiv 2410.03884; metadata beside text, arXiv 2211.10086).

    rates: by class name; classes that it does not name have the rate `other`.
    """

    def __init__(self, column: Classes, rates: Mapping[str, float], other: float) -> None:
        self.column, self.columns = column, (column,)
        self.rates = {name: share_of(f"rate.rates.{name}", rate) for name, rate in rates.items()}
        self.other = share_of("rate.other", other)
        shares = [self.other, *self.rates.values()]
        self.highest, self.lowest = max(shares), min(shares)

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._rate_C = torch.full((len(self.column.names),), self.other, dtype=torch.float64)
        for name, rate in self.rates.items():
            self._rate_C[class_number(self.column, name, "rate.rates")] = rate

    def at_positions(self, field: Field) -> Tensor:
        self._rate_C = self._rate_C.to(field.ids_BL.device)
        return self._rate_C[field.column(self.column)]

    def describe(self) -> str:
        rates = [f"{name} {100 * rate:.3g}%" for name, rate in self.rates.items()]
        return f"{', '.join(rates)}, other {100 * self.other:.3g}% by {named(self.column)}"


class ByToken(ByPosition):
    """A rate for each token of the vocabulary (InforMask, arXiv 2210.11771).

    table: an annotator whose fitted table `rate_V` and `count_V` give rates and frequencies, or a JSON file
    {token: rate}. value: scale the rates so that the mean over the corpus is this share (None: as they are; a file
    carries no frequencies and cannot be scaled). Tokens that the table lacks have the rate 0.
    """

    def __init__(self, table: Any, value: float | None) -> None:
        self.table = table
        self.columns = () if isinstance(table, str) else (table,)
        self.value = None if value is None else share_of("rate.value", value)
        self.highest, self.lowest = 1.0, 0.0
        if isinstance(table, str):
            self._given = token_values(table, "rate.table")
            if not all(0 <= rate <= 1 for rate in self._given.values()):
                raise RecipeError(f"rate.table={table} holds a rate outside 0..1; a masking rate lies between 0 and 1.")
            if value is not None:
                raise RecipeError(f"rate.table={table} says nothing of frequencies, so that rate.value must be null.")

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if isinstance(self.table, str):
            self._rate_V = by_token(self._given, 0.0, tokenizer, "rate.table")
            return
        rate_V, count_V = torch.as_tensor(self.table.rate_V), torch.as_tensor(self.table.count_V)
        self._rate_V = rate_V if self.value is None else scaled(rate_V, count_V, self.value)

    def at_positions(self, field: Field) -> Tensor:
        self._rate_V = self._rate_V.to(field.ids_BL.device)
        return self._rate_V[field.ids_BL]

    def describe(self) -> str:
        return "informative tokens" + ("" if self.value is None else f" {100 * self.value:.3g}%")


def scaled(rate_V: Tensor, count_V: Tensor, mean: float) -> Tensor:
    """The rates times one factor, cut at 1, with which their mean over `count_V` occurrences is `mean`.

    Raises RecipeError where all tokens of the table together do not make that share.
    """
    rate_V, share_V = rate_V.double(), count_V.double() / count_V.sum()
    if (share_V * (rate_V > 0)).sum() < mean:
        raise RecipeError(f"rate.value is {mean}, more than the tokens of the table have of the text; lower it.")
    factor, high = 0.0, 1.0
    while (share_V * (rate_V * high).clamp(max=1)).sum() < mean:
        high *= 2
    for _ in range(60):
        middle = (factor + high) / 2
        if (share_V * (rate_V * middle).clamp(max=1)).sum() < mean:
            factor = middle
        else:
            high = middle
    return (rate_V * high).clamp(max=1)
