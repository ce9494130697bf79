"""The columns of a recipe: units or classes found, how much of the text they cover, and samples from the text.

Shapes: T tokens of one document, N real tokens of some rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Side
from maskwright.data.prepare import Prepared
from maskwright.data.rows import Rows
from maskwright.masking.columns import WORD, Classes

_ROWS = 4096  # read at once
_DOCUMENTS = 4  # that samples are taken from

UNITS, CLASSES, ENTRIES, SCORES = "units", "classes", "entries", "scores"


@dataclass
class Found:
    """A column in the training rows. kind: `units`, `classes`, `entries` (rows of a table) or `scores`.

    number: units, classes or entries that occur; tokens that have a score. share: of the tokens that lie in units of
    several words (of several tokens, for words), in some class, in an entry, or that have a score. longest: tokens of
    the longest unit. classes: tokens by class. scores: least, mean and most. samples: from the text.
    """

    name: str
    kind: str
    number: int
    share: float
    longest: int | None = None
    classes: dict[str, int] = field(default_factory=dict)
    scores: dict[str, float] | None = None
    samples: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return dict(vars(self))


def found(prepared: Prepared, special: Sequence[int], name: str, annotator: Annotator | None, samples: int) -> Found:
    """Of one column. special: ids that are no text. annotator: None for the words, which the data knows by itself."""
    kind = _kind(annotator)
    count = {UNITS: _units, CLASSES: _classes, ENTRIES: _entries, SCORES: _scores}[kind]
    column = count(Real(prepared.train, special), name, annotator)
    if samples:
        column.samples = _samples(prepared.source.train, annotator, kind, samples)
    return column


@dataclass(frozen=True)
class Real:
    """The tokens of rows that are text, a portion of rows at a time."""

    rows: Rows
    special: Sequence[int]

    def values(self, *names: str) -> Iterator[tuple[np.ndarray, ...]]:
        """Columns of those tokens, [N]. A unit ends where a special token stands, as it does for maskings."""
        special = np.array(self.special)
        for first in range(0, len(self.rows), _ROWS):
            taken = self.rows.take(np.arange(first, min(first + _ROWS, len(self.rows))))
            real = (taken["document"].numpy() > 0) & ~np.isin(taken["ids"].numpy(), special)
            behind = np.pad(~real, ((0, 0), (1, 0)), constant_values=True)[:, :-1]
            columns = [taken[name].numpy() for name in names]
            yield tuple((column | behind if column.dtype == bool else column)[real] for column in columns)


def _kind(annotator: Annotator | None) -> str:
    kind = "b" if annotator is None else np.dtype(annotator.dtype).kind
    if kind == "b":
        return UNITS
    return SCORES if kind == "f" else CLASSES if isinstance(annotator, Classes) else ENTRIES


def _units(real: Real, name: str, annotator: Annotator | None) -> Found:
    """A unit of one word, or a word of one token, is what is there anyway; the share is that of the others."""
    units, several, total = 0, 0, 0
    for starts_N, words_N in real.values(name, WORD):
        unit_N = np.cumsum(starts_N) - 1
        if not len(unit_N):
            continue
        inner_N = np.ones(len(unit_N), bool) if name == WORD else words_N
        number = np.bincount(unit_N[starts_N | inner_N], minlength=int(unit_N[-1]) + 1)
        units += len(number)
        several += int((number[unit_N] > 1).sum())
        total += len(unit_N)
    return Found(name, UNITS, units, several / max(total, 1), longest=real.rows.longest[name])


def _classes(real: Real, name: str, annotator: Annotator | None) -> Found:
    assert isinstance(annotator, Classes)
    names = [str(each) for each in annotator.names]
    counts = np.zeros(len(names), np.int64)
    for (class_N,) in real.values(name):
        counts += np.bincount(class_N, minlength=len(names))
    order = [int(number) for number in np.argsort(-counts[1:], kind="stable") + 1 if counts[number]]
    share = float(counts[1:].sum() / max(counts.sum(), 1))
    return Found(name, CLASSES, len(order), share, classes={names[number]: int(counts[number]) for number in order})


def _entries(real: Real, name: str, annotator: Annotator | None) -> Found:
    seen, inside, total = np.zeros(0, np.int64), 0, 0
    for (row_N,) in real.values(name):
        seen = np.union1d(seen, row_N[row_N >= 0])
        inside, total = inside + int((row_N >= 0).sum()), total + len(row_N)
    return Found(name, ENTRIES, len(seen), inside / max(total, 1))


def _scores(real: Real, name: str, annotator: Annotator | None) -> Found:
    least, most, total, scored, number = np.inf, -np.inf, 0.0, 0, 0
    for (score_N,) in real.values(name):
        if len(score_N):
            least, most = min(least, score_N.min()), max(most, score_N.max())
        total += float(score_N.sum(dtype=np.float64))
        scored, number = scored + int((score_N != 0).sum()), number + len(score_N)
    scores = {"least": float(least), "mean": total / max(number, 1), "most": float(most)}
    return Found(name, SCORES, scored, scored / max(number, 1), scores=scores)


def _samples(side: Side, annotator: Annotator | None, kind: str, number: int) -> list[str]:
    """Distinct samples, spread over some documents."""
    wanted = np.unique(np.linspace(0, len(side) - 1, min(_DOCUMENTS, len(side))).astype(int))
    shown: dict[str, None] = {}
    for at, which in enumerate(wanted.tolist(), start=1):
        document = side[which]
        own = list(dict.fromkeys(_of_document(document, annotator, kind)))
        own = [each for each in own if each not in shown]
        room = -(-number * at // len(wanted)) - len(shown)
        if kind != SCORES and own:  # those are in order of their scores, others spread over the document
            own = [own[k] for k in np.linspace(0, len(own) - 1, max(room, 0)).astype(int)]
        shown |= dict.fromkeys(own[: max(room, 0)])
    return list(shown)[:number]


def _of_document(document: Document, annotator: Annotator | None, kind: str) -> list[str]:
    """What a column marks in one document, as written: units of several words, classed pieces with their class, words
    with a high score."""
    value_T = document.begins_T if annotator is None else np.asarray(annotator.mark(document))
    if not len(value_T):
        return []
    if kind == UNITS:
        inner_T = np.ones(len(value_T), bool) if annotator is None else document.begins_T
        first_U = np.flatnonzero(value_T)
        behind_U = np.append(first_U[1:], len(value_T))
        inside = np.concatenate(([0], np.cumsum(inner_T | value_T)))
        several_U = inside[behind_U] - inside[first_U] > 1
        return [_text(document, a, b) for a, b in zip(first_U[several_U].tolist(), behind_U[several_U].tolist())]
    first_W = np.flatnonzero(document.begins_T)
    behind_W = np.append(first_W[1:], len(value_T))
    if kind == SCORES:
        order = np.argsort(-value_T[first_W], kind="stable")
        return [f"{_text(document, first_W[k], behind_W[k])} {value_T[first_W[k]]:.3g}" for k in order[:200].tolist()]
    # Pieces of one class that stand side by side are one sample.
    edge_T = np.flatnonzero(np.diff(value_T.astype(np.int64), prepend=-2))
    ends = np.append(edge_T[1:], len(value_T))
    names = annotator.names if isinstance(annotator, Classes) else None
    some = [(a, b) for a, b in zip(edge_T.tolist(), ends.tolist()) if value_T[a] > (0 if names else -1)]
    return [f"{_text(document, a, b)}{f' ({names[value_T[a]]})' if names else ''}" for a, b in some]


def _text(document: Document, first: int, behind: int) -> str:
    """As written, white space made one."""
    return " ".join(document.text[int(document.start_T[first]) : int(document.end_T[behind - 1])].split())
