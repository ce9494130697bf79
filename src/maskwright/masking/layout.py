"""Rows laid out anew when tokens are removed or inserted, with an index back to the clean row.

Shapes: B rows, L positions of the clean row, M positions of the new one, K places.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Laid(NamedTuple):
    """The new rows."""

    ids_BM: Tensor  # int64
    document_BM: Tensor  # int64, 0 is padding
    origin_BM: Tensor  # int64, position in the clean row, -1 for inserted tokens and padding
    place_BL: Tensor  # int64, where each clean position stands now; for removed ones, where it would stand


def lay(
    ids_BL: Tensor, document_BL: Tensor, removed_BL: Tensor, inserted_BL: Tensor | None, pad: int, width: int
) -> Laid:
    """Leave out what is removed (bool) and insert tokens before positions (`inserted_BL`: ids, -1 for none).

    Padding is dropped and added behind: rows may not be longer than `width`, which the recipe has seen to.
    """
    stays_BL = ~removed_BL & (document_BL > 0)
    added_BL = torch.zeros_like(stays_BL) if inserted_BL is None else (inserted_BL >= 0) & (document_BL > 0)
    end_BL = (stays_BL.long() + added_BL.long()).cumsum(1)  # tokens up to and with each position
    place_BL = (end_BL - stays_BL.long()).clamp(max=width - 1)
    shape = (len(ids_BL), width + 1)  # the last column takes what goes nowhere
    origin_L = torch.arange(ids_BL.shape[1], device=ids_BL.device).expand_as(ids_BL)
    ids, document, origin = (ids_BL.new_full(shape, value) for value in (pad, 0, -1))
    if inserted_BL is not None:
        before_BL = torch.where(added_BL, end_BL - stays_BL.long() - 1, width)
        ids.scatter_(1, before_BL, inserted_BL)
        document.scatter_(1, before_BL, document_BL)
    to_BL = torch.where(stays_BL, place_BL, width)
    ids.scatter_(1, to_BL, ids_BL)
    document.scatter_(1, to_BL, document_BL)
    origin.scatter_(1, to_BL, origin_L)
    return Laid(ids[:, :width], document[:, :width], origin[:, :width], place_BL)


def gaps_that_fit(empty_BL: Tensor, deadline_B: Tensor, removed_BL: Tensor) -> Tensor:
    """Bool [B, L]: before which positions a unit of length zero is shown as an inserted token.

    Those that start before the deadline, the earliest first, as many as tokens were removed: so a row never grows.
    """
    early_BL = empty_BL <= deadline_B[:, None]
    rank_BL = empty_BL.argsort(1).argsort(1)
    return early_BL & (rank_BL < removed_BL.sum(1, keepdim=True))
