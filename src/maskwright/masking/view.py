"""A view: what a network sees of a batch, and what it is asked for.

Shapes: B rows, L positions of the clean row, M positions of the view (L, unless tokens were removed or inserted), K the
most positions a row may lose (static).
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
    SIMILAR = 4  # a similar word
    MOVED = 5  # the tokens of several places exchanged
    REPLACED = 6  # by another word or entity of the corpus
    REMOVED = 7  # no place in the view
    INFILLED = 8  # one [MASK] for its whole unit
    SENTINEL = 9  # one numbered token for its whole unit
    INSERTED = 10  # shown as it is, behind a token that is not in the clean row

    @property
    def in_place(self) -> bool:
        """The position has a place of its own in the view, where its token can be predicted."""
        return self < Outcome.REMOVED


@dataclass
class View:
    """One corrupted copy of the rows. Targets always come from the clean ids.

    Selected positions are those with an outcome; corrupted ones show another token; predicted ones are the places in
    use.
    """

    ids_BM: Tensor  # int64, what the network reads
    valid_BM: Tensor  # bool, False on padding
    document_BM: Tensor  # int64, the number of the document inside the row; 0 is padding
    origin_BM: Tensor  # int64, the position in the clean row; -1 for inserted tokens and padding behind the text
    clean_BL: Tensor  # int64
    maskable_BL: Tensor  # bool, real tokens that are not special
    outcome_BL: Tensor  # uint8, see Outcome
    unit_BL: Tensor  # int64, where the unit of a position begins
    source_BK: Tensor  # int64, selected positions of the clean row, the earliest arrival first
    place_BK: Tensor  # int64, where they stand in the view
    counts_BK: Tensor  # bool, which of the K are predicted
    weight_BK: Tensor  # float32, their weights in the loss; 0 where they do not count
    target_BK: Tensor  # int64, the clean ids
    rate_B: Tensor  # float64, the rate asked for

    def rows(self, part: slice) -> View:
        """The same view of some of the rows."""
        return View(**{field.name: getattr(self, field.name)[part] for field in dataclasses.fields(self)})
