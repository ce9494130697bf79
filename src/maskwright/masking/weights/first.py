"""Marked positions first: an order in place of chances.

Shapes: B rows, L positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes, class_number, named
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.weights.base import Weight

_SOON = 2.0**-20  # times below it belong to those that come first
_REST = ("later", "never")


class First(Weight):
    """Positions of some classes arrive before all others, in random order among themselves.

    With all of them first, a budget of b hides b of the c marked ones where c > b, and else all of them and others
    (LMLM's pivots, arXiv 2210.17127). share: the chance of a marked unit to come first; those that do not are treated
    as `rest` says: `later` like any other, or `never` masked (BiTimeBERT's temporal expressions, arXiv 2406.01863).
    """

    counted_only = True

    def __init__(self, column: Classes, classes: list[str] | None, share: float, rest: str) -> None:
        if not 0 <= share <= 1:
            raise RecipeError(f"masking.weight.share is {share}; it is a chance between 0 and 1.")
        if rest not in _REST:
            raise RecipeError(f"masking.weight.rest is {rest}; choose one of {', '.join(_REST)}.")
        self.column, self.columns = column, (column,)
        self.classes, self.share, self.rest = classes, float(share), rest

    def bind(self, tokenizer: object) -> None:
        names = self.classes if self.classes is not None else list(self.column.names[1:])
        self._marked_C = torch.zeros(len(self.column.names), dtype=torch.bool)
        for name in names:
            self._marked_C[class_number(self.column, name, "masking.weight.classes")] = True

    def _marked_BL(self, field: Field) -> Tensor:
        self._marked_C = self._marked_C.to(field.ids_BL.device)
        return self._marked_C[field.column(self.column)]

    def __call__(self, field: Field) -> Tensor:
        """1 for marked positions, 0 for others: what shading shows; the order is in `arrivals`."""
        return self._marked_BL(field).double()

    def arrivals(self, u_BL: Tensor, field: Field, draws: Draws) -> Tensor:
        marked_BL = self._marked_BL(field)
        first_BL = marked_BL
        if self.share < 1:
            first_BL = marked_BL & (draws("first", field.shape[1]) < self.share)
        time_BL = torch.where(first_BL, u_BL * _SOON, _SOON + u_BL * (1 - _SOON))
        return time_BL.masked_fill(marked_BL & ~first_BL, torch.inf) if self.rest == "never" else time_BL

    def describe(self) -> str:
        share = "" if self.share == 1 else f"{100 * self.share:.3g}% of "
        return f"{share}{named(self.column)} first"
