"""Spans as columns of the tokens: units that are masked whole, and classes.

Shapes: T tokens and N spans of one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from maskwright.annotation.artefact import artefact
from maskwright.annotation.passes import over_documents
from maskwright.annotation.sources import Spans
from maskwright.annotation.tally import Tally
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Side, Source
from maskwright.data.words import solid
from maskwright.errors import RecipeError

_VERSION = 1
_MOST_CLASSES = 65_535
_RESTS = ("word", "token")


class Placed(NamedTuple):
    """The tokens of the spans that have any, in order and apart. White space before a span belongs to it, as white
    space before a word belongs to the word."""

    first_N: np.ndarray  # int64
    behind_N: np.ndarray  # int64, the token behind the last
    types: list[str]


def placed(document: Document, spans: Spans) -> Placed:
    """The tokens of each span; a token that two spans share belongs to the first one."""
    key = ("placed", spans.key)
    if key not in document.memo:
        document.memo[key] = _placed(document, spans(document))
    return document.memo[key]


def _placed(document: Document, found: Sequence[tuple[int, int, str]]) -> Placed:
    if not found or not len(document):
        none = np.zeros(0, np.int64)
        return Placed(none, none, [])
    starts, ends, types = zip(*found)
    near = _Near(document)
    start_N = near.solid_C[np.minimum(starts, len(document.text))]
    end_N = near.passed_C[np.minimum(ends, len(document.text))]
    first_N = near.next_T[np.searchsorted(document.end_T, start_N, side="right")]
    first_N = near.last_T[first_N - 1] + 1
    behind_N = near.last_T[np.searchsorted(document.start_T, end_N, side="left") - 1] + 1
    first_N[1:] = np.maximum(first_N[1:], np.maximum.accumulate(behind_N)[:-1])
    kept_N = (behind_N > first_N) & (end_N > start_N)
    return Placed(first_N[kept_N], behind_N[kept_N], [kind for kind, kept in zip(types, kept_N.tolist()) if kept])


class _Near:
    """The nearest characters and tokens that are not white space; a token of a leading space and a word is solid.

    solid_C: the solid character at or behind each. passed_C: where the last solid character before each ends. next_T,
    last_T: the solid token at or behind each, and at or before it; both may be asked for token T, the latter for -1.
    """

    def __init__(self, document: Document) -> None:
        solid_C = np.append(solid(document.text), False)
        place_C = np.arange(len(solid_C))
        self.solid_C = np.minimum.accumulate(np.where(solid_C, place_C, len(solid_C) - 1)[::-1])[::-1]
        self.passed_C = np.maximum.accumulate(np.where(np.append(False, solid_C[:-1]), place_C, 0))
        solid_T = self.passed_C[document.end_T] > document.start_T
        place_T = np.arange(len(document))
        self.last_T = np.append(np.maximum.accumulate(np.where(solid_T, place_T, -1)), -1)
        self.next_T = np.append(
            np.minimum.accumulate(np.where(solid_T, place_T, len(document))[::-1])[::-1], len(document)
        )


class SpanUnits(Annotator):
    """Every span is a unit. rest: what lies outside falls into units of a `word` or of a `token` each."""

    def __init__(self, name: str, spans: Spans, rest: str) -> None:
        if rest not in _RESTS:
            raise RecipeError(f"the {name} units have rest={rest}; choose one of {', '.join(_RESTS)}.")
        self.name, self.spans, self.rest, self.reads = name, spans, rest, spans.reads

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "spans": self.spans.key, "rest": self.rest}

    def mark(self, document: Document) -> np.ndarray:
        starts_T = document.begins_T.copy() if self.rest == "word" else np.ones(len(document), bool)
        first_N, behind_N, _ = placed(document, self.spans)
        inside_T = np.zeros(len(document) + 1, np.int64)
        np.add.at(inside_T, first_N, 1)
        np.add.at(inside_T, behind_N, -1)
        starts_T[np.cumsum(inside_T[:-1]) > 0] = False
        starts_T[first_N] = True
        starts_T[behind_N[behind_N < len(document)]] = True
        return starts_T


class SpanTypes(Annotator):
    """The type of the span that covers each token as a class, 0 outside.

    types: names of the classes (None: those that the source knows, or else all that the training side shows, by the
    alphabet); other types are class 0. merged: the name of one class for all of them (None: a class each).
    """

    dtype = np.uint16
    outside = 0

    def __init__(self, name: str, spans: Spans, types: Sequence[str] | None, merged: str | None) -> None:
        self.name, self.spans, self.merged, self.reads = name, spans, merged, spans.reads
        self._types = None if types is None else [str(kind) for kind in types]
        self._names: list[str] | None = None
        if merged is not None:
            self._names = ["", merged]
        elif (known := spans.types if self._types is None else self._types) is not None:
            self._names = ["", *known]

    @property
    def names(self) -> list[str]:
        assert self._names is not None, "names are known after fit"
        return self._names

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "spans": self.spans.key, "types": self._types, "merged": self.merged}

    def fit(self, source: Source) -> None:
        if self._names is None:
            self._names = ["", *sorted(types_of(source, self.spans))]
            if len(self._names) > _MOST_CLASSES:
                raise RecipeError(f"{self.name} has {len(self._names) - 1:,} types; name those that matter in `types`.")

    def mark(self, document: Document) -> np.ndarray:
        first_N, behind_N, types = placed(document, self.spans)
        if self.merged is None:
            number = {name: value for value, name in enumerate(self.names) if value}
            class_N = [number.get(kind, 0) for kind in types]
        else:
            class_N = [int(self._types is None or kind in self._types) for kind in types]
        class_T = np.zeros(len(document), self.dtype)
        size_N = behind_N - first_N
        shift = np.arange(size_N.sum()) - np.repeat(np.cumsum(size_N) - size_N, size_N)
        class_T[np.repeat(first_N, size_N) + shift] = np.repeat(np.array(class_N, self.dtype), size_N)
        return class_T


def types_of(source: Source, spans: Spans) -> dict[str, int]:
    """The types of the spans on the training side, and how many spans have each; counted once and kept."""
    settings = {"version": _VERSION, "spans": spans.key}
    found = artefact(source, "span_types", settings, partial(_counted, spans=spans)).table("types")
    return dict(zip(found.column("type").to_pylist(), found.column("count").to_pylist()))


def _counted(source: Source, spans: Spans) -> dict[str, pa.Table]:
    with Tally(source.cache, "string") as tally:
        for kinds, counts in over_documents(
            source.train, partial(_count, spans=spans), "count types", source.processes
        ):
            tally.add(pa.array(kinds, pa.string()), counts)
        return {"types": tally.sums().rename_columns(["type", "count"])}


def _count(side: Side, first: int, last: int, spans: Spans) -> tuple[list[str], list[int]]:
    counts: dict[str, int] = {}
    for number in range(first, last):
        for _, _, kind in spans(side[number]):
            counts[kind] = counts.get(kind, 0) + 1
    return list(counts), list(counts.values())
