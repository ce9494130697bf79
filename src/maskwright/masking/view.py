"""A view: what a network sees of a batch, and what it is asked for.

Shapes: B rows, L positions, K the most positions a row may lose (static).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum

from torch import Tensor


class Outcome(IntEnum):
    """What became of a position."""

    VISIBLE = 0  # not selected
    MASKED = 1
    RANDOM = 2
    KEPT = 3  # selected, to be predicted, yet shown as it is


@dataclass
class View:
    """One corrupted copy of the rows. Targets always come from the clean ids."""

    ids_BL: Tensor  # int64, what the network reads
    clean_BL: Tensor  # int64
    valid_BL: Tensor  # bool, False on padding
    maskable_BL: Tensor  # bool, real tokens that are not special
    document_BL: Tensor  # int64, the number of the document inside the row; 0 is padding
    outcome_BL: Tensor  # uint8, see Outcome
    unit_BL: Tensor  # int64, where the unit of a position begins
    place_BK: Tensor  # int64, selected positions, the earliest arrival first
    counts_BK: Tensor  # bool, which of the K places are in use
    target_BK: Tensor  # int64, the clean ids at those places
    rate_B: Tensor  # float64, the rate asked for

    def rows(self, part: slice) -> View:
        """The same view of some of the rows."""
        return View(**{name: tensor[part] for name, tensor in self._tensors()})

    def _tensors(self) -> list[tuple[str, Tensor]]:
        return [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
