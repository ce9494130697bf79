"""Sample rows token by token: what stands there, what became of it, and what the network reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from maskwright.masking import Outcome, View
from maskwright.masking.columns import Classes, Column
from maskwright.seeing.look import Look
from maskwright.seeing.outcomes import said
from maskwright.seeing.pieces import Reader
from maskwright.seeing.steering import Steering


@dataclass
class Token:
    """A token of the clean row. shown: the id at its place in the view; None where it has no place. steer: its weight,
    or a rate of its own. columns: what the recipe's annotations say of it."""

    place: int
    id: int
    shown: int | None
    outcome: Outcome
    unit: int
    predicted: bool
    loss_weight: float
    steer: float | None
    columns: dict[str, Any]


@dataclass
class Read:
    """A token that the network reads. origin: its place in the clean row, -1 where it was inserted."""

    id: int
    origin: int


def tokens(look: Look, view: View, row: int, steering: Steering | None) -> list[Token]:
    """The real tokens of one row in order."""
    length = view.clean_BL.shape[1]
    origin_M, ids_M = view.origin_BM[row], view.ids_BM[row]
    shown_L = torch.full((length,), -1).scatter(0, origin_M[origin_M >= 0], ids_M[origin_M >= 0]).tolist()
    counts_K, source_K = view.counts_BK[row], view.source_BK[row]
    loss_L = torch.zeros(length).scatter(0, source_K[counts_K], view.weight_BK[row][counts_K]).tolist()
    predicted = set(source_K[counts_K].tolist())
    steer_L = None if steering is None else steering.value_BL[row].tolist()
    columns = {name: look.rows[name][row].tolist() for name in look.rows if name == "word" or name in look.annotators}
    clean_L, outcome_L, unit_L = (values[row].tolist() for values in (view.clean_BL, view.outcome_BL, view.unit_BL))
    return [
        Token(
            place=place,
            id=clean_L[place],
            shown=shown_L[place] if shown_L[place] >= 0 else None,
            outcome=Outcome(outcome_L[place]),
            unit=unit_L[place],
            predicted=place in predicted,
            loss_weight=loss_L[place],
            steer=None if steer_L is None else steer_L[place],
            columns={name: _told(look.annotators.get(name), values[place]) for name, values in columns.items()},
        )
        for place in look.real_BL[row].nonzero()[:, 0].tolist()
    ]


def read(view: View, row: int) -> list[Read]:
    """What the network reads of one row, padding left out."""
    places = view.valid_BM[row].nonzero()[:, 0]
    ids, origins = view.ids_BM[row][places].tolist(), view.origin_BM[row][places].tolist()
    return [Read(token, origin) for token, origin in zip(ids, origins, strict=True)]


def plain_tokens(found: list[Token], reader: Reader) -> list[dict[str, Any]]:
    """For programs. A unit is named by the place where it begins; None is no place, no weight, no class."""
    return [
        {
            "token": reader.piece(token.id),
            "shown": None if token.shown is None else reader.piece(token.shown),
            "outcome": said(token.outcome) if token.outcome else "visible",
            "unit": token.unit,
            "predicted": token.predicted,
            "loss_weight": token.loss_weight,
            "weight": token.steer if token.steer is not None and math.isfinite(token.steer) else None,
            "columns": token.columns,
        }
        for token in found
    ]


def plain_read(found: list[Read], reader: Reader) -> list[dict[str, Any]]:
    """For programs."""
    return [{"token": reader.piece(token.id), "origin": token.origin} for token in found]


def _told(annotator: Column | None, value: Any) -> Any:
    """A column's value: a class by its name, a row of a table by its number, None where there is none."""
    if isinstance(annotator, Classes) and isinstance(value, int):
        return str(annotator.names[value]) if value else None
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return None
    return value
