"""Packing: where each token of a corpus goes in rows of one length.

A packing is a pure function of the documents' lengths. It gives a plan - which run of tokens goes to which row and
column, and where the special tokens stand - that `rows.write` then carries out for every column alike. Plans of large
corpora come in parts, so that they never lie in memory as a whole.
Shapes: D documents, P pieces (runs of consecutive tokens of one document), S special tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from maskwright.errors import RecipeError

_SHORTEST, _LONGEST = 8, 65536
_PART = 1 << 18  # pieces planned at once: among so many, pieces find rows that they fill


@dataclass(frozen=True)
class Plan:
    """Pieces and special tokens of `rows` rows, each sorted by row; all arrays are int64, `is_sep_S` is bool."""

    rows: int
    row_P: np.ndarray
    column_P: np.ndarray
    source_P: np.ndarray  # first token of the piece in the concatenation of all documents
    size_P: np.ndarray
    document_P: np.ndarray  # 1.. = number of the document inside the row
    row_S: np.ndarray
    column_S: np.ndarray
    document_S: np.ndarray
    is_sep_S: np.ndarray  # [SEP] or else [CLS]
    groups: tuple[int, ...] = ()  # rows of each group of documents, which lie one group after the other

    @property
    def group_rows(self) -> list[int]:
        return list(self.groups or (self.rows,))


class Packing:
    """How documents fill rows (conf/packing).

    kind: `concatenate`: `[CLS] tokens [SEP]` without padding, documents joined by [SEP] and seeing each other; only the
    last row may be short. `segment`: best-fit `[CLS] piece [SEP]` pieces that do not see each other. `document`: one
    document per row, cut into several rows when longer. `pairs`: `[CLS] first [SEP] second [SEP]`, neighbouring runs of
    one document that see each other, numbered 1 and 2.
    length: tokens per row, special tokens included.
    """

    def __init__(self, kind: str = "concatenate", length: int = 64) -> None:
        if kind not in _PLANS:
            raise RecipeError(f"packing.kind is {kind!r}; choose one of {', '.join(_PLANS)}.")
        if isinstance(length, bool) or not isinstance(length, int) or not _SHORTEST <= length <= _LONGEST:
            raise RecipeError(f"packing.length is {length}; rows have {_SHORTEST} to {_LONGEST} tokens.")
        self.kind, self.length = kind, length

    @property
    def blocks(self) -> bool:
        """Several documents share a row and must not see each other."""
        return self.kind == "segment"

    @property
    def key(self) -> str:
        return f"{self.kind}-{self.length}"

    def of(self, length: int) -> Packing:
        """The same for rows of another length."""
        return Packing(self.kind, length)

    def plan(
        self,
        length_D: np.ndarray,
        group_D: np.ndarray | None = None,
        groups: int = 1,
        prefix_D: np.ndarray | None = None,
    ) -> Plan:
        """The plan for documents of these lengths (tokens, at least 1 each).

        With `group_D` (0 .. groups - 1) no row holds documents of two groups, and the rows of group 0 come first.
        prefix_D: how many tokens at the beginning of a document stand in every row of it; documents one a row only.
        """
        return _joined(self.parts(length_D, group_D, groups, prefix_D))

    def parts(
        self,
        length_D: np.ndarray,
        group_D: np.ndarray | None = None,
        groups: int = 1,
        prefix_D: np.ndarray | None = None,
    ) -> Iterator[Plan]:
        """The same in parts, the rows of one behind those of the other."""
        length_D = np.asarray(length_D, dtype=np.int64)
        prefix_D = None if prefix_D is None else np.asarray(prefix_D, dtype=np.int64)
        if group_D is None:
            yield from self._among(length_D, prefix_D)
            return
        first_D = _source(length_D)
        for group in range(groups):
            among = np.flatnonzero(group_D == group)
            for plan in self._among(length_D[among], None if prefix_D is None else prefix_D[among]):
                rows = tuple(plan.rows if other == group else 0 for other in range(groups))
                yield replace(_elsewhere(plan, length_D[among], first_D[among]), groups=rows)

    def _among(self, length_D: np.ndarray, prefix_D: np.ndarray | None) -> Iterator[Plan]:
        if not len(length_D):
            return
        if prefix_D is None:
            yield from _PLANS[self.kind](length_D, self.length)
            return
        if self.kind != "document":
            raise RecipeError(f"packing={self.kind} would cut off what stands before a text; use packing=document.")
        longest = int(prefix_D.max(initial=0))
        if longest > (self.length - 2) // 2:
            raise RecipeError(
                f"packing.length is {self.length}, and what the cleaning writes before a text takes up to {longest} "
                f"tokens of every row; set at least {2 * longest + 2}."
            )
        yield _prefixed(length_D, prefix_D, self.length)


def _elsewhere(plan: Plan, length_D: np.ndarray, first_D: np.ndarray) -> Plan:
    """The plan of some documents, with their places among all documents."""
    packed_D = _source(length_D)
    document_P = np.searchsorted(packed_D, plan.source_P, side="right") - 1
    return replace(plan, source_P=plan.source_P - packed_D[document_P] + first_D[document_P])


def _joined(parts: Iterable[Plan]) -> Plan:
    """The rows of several plans, one plan after the other."""
    plans = list(parts)
    before = np.cumsum([0, *(plan.rows for plan in plans)])
    names = ("column_P", "source_P", "size_P", "document_P", "column_S", "document_S", "is_sep_S")
    merged = {name: np.concatenate([getattr(plan, name) for plan in plans]) for name in names}
    for name in ("row_P", "row_S"):
        merged[name] = np.concatenate([getattr(plan, name) + at for plan, at in zip(plans, before)])
    groups = tuple(sum(rows) for rows in zip(*(plan.groups for plan in plans)))
    return Plan(rows=int(before[-1]), groups=groups, **merged)


def _portions(length_D: np.ndarray, room: int) -> Iterator[tuple[int, np.ndarray]]:
    """Documents that have up to `_PART` pieces of `room` tokens together: their first token, and their lengths.

    A longer document goes on in the next portion, where one of its pieces begins.
    """
    if int((-(-length_D // room)).max()) > _PART:
        most = _PART * room
        parts_D = -(-length_D // most)
        rest_D = length_D - (parts_D - 1) * most
        length_D = np.full(int(parts_D.sum()), most)
        length_D[np.cumsum(parts_D) - 1] = rest_D
    end_D = np.cumsum(-(-length_D // room))
    first = source = 0
    while first < len(length_D):
        before = int(end_D[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(end_D, before + _PART, side="right")))
        yield source, length_D[first:last]
        source += int(length_D[first:last].sum())
        first = last


def _cut(length_D: np.ndarray, first_D: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut documents that lie at stream positions `first_D`.. where a multiple of `room` falls.

    Returns each piece's document, stream position and size.
    """
    last_D = first_D + length_D - 1
    pieces_D = last_D // room - first_D // room + 1
    document_P = np.repeat(np.arange(len(length_D)), pieces_D)
    nth_P = np.arange(len(document_P)) - np.repeat(np.cumsum(pieces_D) - pieces_D, pieces_D)
    begin_P = np.maximum(first_D[document_P], (first_D[document_P] // room + nth_P) * room)
    end_P = np.minimum(last_D[document_P] + 1, (first_D[document_P] // room + nth_P + 1) * room)
    return document_P, begin_P, end_P - begin_P


def _source(length_D: np.ndarray) -> np.ndarray:
    return np.cumsum(length_D) - length_D


def _concatenate(length_D: np.ndarray, length: int) -> Iterator[Plan]:
    room = length - 2
    source_D = _source(length_D)
    first_D = source_D + np.arange(len(length_D))  # one [SEP] between two documents
    behind_D = first_D + length_D
    rows = -(-int(behind_D[-1]) // room)
    for row in range(0, rows, _PART):
        begin, end = row * room, min((row + _PART) * room, int(behind_D[-1]))
        there = slice(int(np.searchsorted(behind_D, begin, side="right")), int(np.searchsorted(first_D, end)))
        own_D = np.maximum(first_D[there], begin)
        document_P, begin_P, size_P = _cut(np.minimum(behind_D[there], end) - own_D, own_D, room)
        between = behind_D[slice(*np.searchsorted(behind_D[:-1], (begin, end)))]
        row_R = np.arange(row, -(-end // room))
        final_R = np.full(len(row_R), length - 1)
        final_R[-1] = 1 + end - int(row_R[-1]) * room
        row_S = np.concatenate((row_R, between // room, row_R))
        column_S = np.concatenate((np.zeros_like(row_R), 1 + between % room, final_R))
        is_sep_S = np.arange(len(row_S)) >= len(row_R)
        order = np.argsort(row_S, kind="stable")
        yield Plan(
            rows=len(row_R),
            row_P=begin_P // room - row,
            column_P=1 + begin_P % room,
            source_P=(source_D[there] - first_D[there])[document_P] + begin_P,
            size_P=size_P,
            document_P=np.ones_like(size_P),
            row_S=row_S[order] - row,
            column_S=column_S[order],
            document_S=np.ones_like(row_S),
            is_sep_S=is_sep_S[order],
        )


def _document(length_D: np.ndarray, length: int) -> Iterator[Plan]:
    for source, own_D in _portions(length_D, length - 2):
        document_P, begin_P, size_P = _cut(own_D, np.zeros_like(own_D), length - 2)
        row_P = np.arange(len(size_P))
        source_P = source + _source(own_D)[document_P] + begin_P
        yield _framed(row_P, np.zeros_like(row_P), np.ones_like(row_P), source_P, size_P)


def _prefixed(length_D: np.ndarray, prefix_D: np.ndarray, length: int) -> Plan:
    """As `_document`, the first tokens of each document in front of every row of it."""
    body_D, room_D = length_D - prefix_D, length - 2 - prefix_D
    rows_D = np.maximum(1, -(-body_D // room_D))
    document_R = np.repeat(np.arange(len(length_D)), rows_D)
    nth_R = np.arange(len(document_R)) - np.repeat(np.cumsum(rows_D) - rows_D, rows_D)
    begin_R = nth_R * room_D[document_R]
    size_R = np.minimum(body_D[document_R] - begin_R, room_D[document_R])
    source_R, prefix_R = _source(length_D)[document_R], prefix_D[document_R]
    row_R = np.arange(len(document_R))
    plan = _framed(row_R, np.zeros_like(row_R), np.ones_like(row_R), source_R, prefix_R + size_R)
    # Two pieces a row, the prefix and what follows it; pieces without tokens are left out.
    pair = (len(row_R), 2)
    size_P = np.stack((prefix_R, size_R), axis=1)
    there_P = size_P.ravel() > 0
    return replace(
        plan,
        row_P=np.broadcast_to(row_R[:, None], pair).ravel()[there_P],
        column_P=np.stack((np.ones_like(row_R), 1 + prefix_R), axis=1).ravel()[there_P],
        source_P=np.stack((source_R, source_R + prefix_R + begin_R), axis=1).ravel()[there_P],
        size_P=size_P.ravel()[there_P],
        document_P=np.ones(int(there_P.sum()), dtype=np.int64),
    )


def _segment(length_D: np.ndarray, length: int) -> Iterator[Plan]:
    for source, own_D in _portions(length_D, length - 2):
        document_P, begin_P, size_P = _cut(own_D, np.zeros_like(own_D), length - 2)
        row_P = best_fit(size_P + 2, length)
        order = np.argsort(row_P, kind="stable")
        row_P, size_P = row_P[order], size_P[order]
        source_P = source + (_source(own_D)[document_P] + begin_P)[order]
        opens_P = np.diff(row_P, prepend=-1) != 0
        nth_P = np.arange(len(row_P)) - np.maximum.accumulate(np.where(opens_P, np.arange(len(row_P)), 0))
        before_P = np.cumsum(size_P + 2) - (size_P + 2)
        column_P = before_P - np.maximum.accumulate(np.where(opens_P, before_P, 0))
        yield _framed(row_P, column_P, 1 + nth_P, source_P, size_P)


def _framed(
    row_P: np.ndarray, column_P: np.ndarray, document_P: np.ndarray, source_P: np.ndarray, size_P: np.ndarray
) -> Plan:
    """Each piece between its own [CLS], at `column_P`, and [SEP]."""
    return Plan(
        rows=int(row_P[-1]) + 1,
        row_P=row_P,
        column_P=column_P + 1,
        source_P=source_P,
        size_P=size_P,
        document_P=document_P,
        row_S=np.repeat(row_P, 2),
        column_S=np.stack((column_P, column_P + 1 + size_P), axis=1).ravel(),
        document_S=np.repeat(document_P, 2),
        is_sep_S=np.tile([False, True], len(row_P)),
    )


def best_fit(size_P: np.ndarray, capacity: int) -> np.ndarray:
    """The row of each piece: best-fit decreasing, int64 [P], rows numbered by their first piece in reading order.

    Each piece, longest first, goes to the row that has least room left of those that can take it.
    """
    row_P = np.empty(len(size_P), dtype=np.int64)
    rows_with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    some = 0  # bit r is set when a row has exactly r free places
    order = np.argsort(-size_P, kind="stable")
    rows = int(np.count_nonzero(size_P == capacity))  # pieces that fill a row share it with none
    row_P[order[:rows]] = np.arange(rows)
    for piece in order[rows:].tolist():
        size = int(size_P[piece])
        fitting = some >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            row = rows_with_room[room].pop()
            if not rows_with_room[room]:
                some &= ~(1 << room)
        else:
            room, row, rows = capacity, rows, rows + 1
        row_P[piece] = row
        left = room - size
        if left:
            rows_with_room[left].append(row)
            some |= 1 << left
    first_R = np.full(rows, len(size_P), dtype=np.int64)
    np.minimum.at(first_R, row_P, np.arange(len(size_P)))
    rank_R = np.empty(rows, dtype=np.int64)
    rank_R[np.argsort(first_R)] = np.arange(rows)
    return rank_R[row_P]


def _pairs(length_D: np.ndarray, length: int) -> Iterator[Plan]:
    """Rows `[CLS] first half [SEP] second half [SEP]` of consecutive runs of a document."""
    for source, own_D in _portions(length_D, length - 3):
        document_P, begin_P, size_P = _cut(own_D, np.zeros_like(own_D), length - 3)
        row_P = np.arange(len(size_P))
        first_P = (size_P + 1) // 2
        second_P = size_P - first_P
        source_P = source + _source(own_D)[document_P] + begin_P
        has_P = second_P > 0
        ones = np.ones_like(row_P)
        row = np.concatenate((row_P, row_P[has_P]))
        row_S = np.concatenate((row_P, row_P, row_P[has_P]))
        column_S = np.concatenate((0 * row_P, 1 + first_P, (2 + first_P + second_P)[has_P]))
        document_S = np.concatenate((ones, ones, 2 * ones[has_P]))
        order, order_S = np.argsort(row, kind="stable"), np.argsort(row_S, kind="stable")
        yield Plan(
            rows=len(size_P),
            row_P=row[order],
            column_P=np.concatenate((ones, (2 + first_P)[has_P]))[order],
            source_P=np.concatenate((source_P, (source_P + first_P)[has_P]))[order],
            size_P=np.concatenate((first_P, second_P[has_P]))[order],
            document_P=np.concatenate((ones, 2 * ones[has_P]))[order],
            row_S=row_S[order_S],
            column_S=column_S[order_S],
            document_S=document_S[order_S],
            is_sep_S=(np.arange(len(row_S)) >= len(row_P))[order_S],
        )


_PLANS = {"concatenate": _concatenate, "segment": _segment, "document": _document, "pairs": _pairs}
