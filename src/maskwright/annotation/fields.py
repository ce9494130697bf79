"""What the documents say of themselves as classes of their tokens: a column's value, and values written into the text.

Shapes: T tokens of one document, C classes.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from maskwright.annotation.artefact import artefact
from maskwright.annotation.passes import over_documents
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Side, Source
from maskwright.errors import RecipeError

_VERSION = 1
_MOST_CLASSES = 65_535
_PERIODS = ("year", "month", "week", "day")
_DATE = re.compile(r"\s*(-?\d{1,4})(?:\D(\d{1,2}))?(?:\D(\d{1,2}))?(?:[T ].*)?\s*", re.DOTALL)


class Field(Annotator):
    """A column of the documents as the class of every token: language, label, author, date.

    period: what of a date counts: year, month, week or day (None: values as they are). The classes are the values on
    the training side, by the alphabet; a value that it does not have is class 0.
    """

    dtype = np.uint16
    outside = 0

    def __init__(self, name: str, column: str | None, period: str | None) -> None:
        if not column:
            raise RecipeError(f"the column of {name} is not set; name a column of the documents (data.columns).")
        if period is not None and period not in _PERIODS:
            raise RecipeError(f"the period of {name} is {period}; choose one of {', '.join(_PERIODS)}, or null.")
        self.name, self.column, self.period, self.reads = name, column, period, (column,)

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "column": self.column, "period": self.period}

    def fit(self, source: Source) -> None:
        table = artefact(source, "field_values", self.settings(), self._learned).table("values")
        self.names = ["", *table.column("value").to_pylist()]
        if len(self.names) > _MOST_CLASSES:
            raise RecipeError(
                f"{self.name} has {len(self.names) - 1:,} values, more than {_MOST_CLASSES - 1:,}; a class is a value "
                "that many documents share: choose a coarser period or another column."
            )
        self._number = {value: number for number, value in enumerate(self.names)}

    def mark(self, document: Document) -> np.ndarray:
        return np.full(len(document), self._number.get(self._value(document.fields), 0), self.dtype)

    def _value(self, fields: Mapping[str, Any]) -> str:
        value = fields[self.column]
        if value is None or self.period is None:
            return "" if value is None else str(value)
        return period_of(value, self.period, self.column)

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        found: dict[str, int] = {}
        for document in source.train:
            value = self._value(document.fields)
            found[value] = found.get(value, 0) + 1
        found.pop("", None)
        values = sorted(found)
        counts = pa.array([found[value] for value in values], pa.int64())
        return {"values": pa.table({"value": pa.array(values, pa.string()), "documents": counts})}


def period_of(value: Any, period: str, column: str) -> str:
    """The year, month, week or day of a date, written so that the alphabet is the order of time.

    value: a date, or text or a number that begins with the year, such as 1984, 1984-06 or 1984-06-30T12:00. Raises
    RecipeError when it is none, or when it is too coarse.
    """
    if isinstance(value, (datetime.date, datetime.datetime)):
        year, month, day = value.year, value.month, value.day
    else:
        match = _DATE.fullmatch(str(value))
        if not match:
            raise RecipeError(f"the column {column!r} holds {value!r}, which is no date; write dates as 1984-06-30.")
        year, month, day = (int(part) if part else 0 for part in match.groups())
    try:
        if period == "year":
            return f"{year:04}"
        if period == "month" and 1 <= month <= 12:
            return f"{year:04}-{month:02}"
        date = datetime.date(year, month, day)
    except ValueError:
        raise RecipeError(
            f"the column {column!r} holds {value!r}, which has no {period}; choose a coarser period or mend the dates."
        ) from None
    if period == "day":
        return date.isoformat()
    week = date.isocalendar()
    return f"{week.year:04}-W{week.week:02}"


class MetadataValues(Annotator):
    """Tokens of metadata written before the text, each value before its marker: `1898 [DATE] The text` (ERWT, arXiv
    2211.10086). The class of a token is the field whose value it belongs to: the run of tokens between the marker
    before it (or the document's begin) and the field's own marker.

    fields: class names and their marker tokens. After `fit`, `token_T`, `first_C` and `size_C` hold the tokens that the
    training side shows in each class.
    """

    dtype = np.uint16
    outside = 0
    token_T: Tensor
    first_C: Tensor
    size_C: Tensor

    def __init__(self, name: str, fields: Mapping[str, str]) -> None:
        if not fields:
            raise RecipeError(f"{name} has no fields; give their markers, as in fields.date='[DATE]'.")
        self.name, self.fields = name, dict(fields)
        self.names = ["", *self.fields]

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "fields": list(self.fields.items())}

    def fit(self, source: Source) -> None:
        unknown, ids = source.tokenizer.unk_token_id, []
        for name, marker in self.fields.items():
            token = source.tokenizer.convert_tokens_to_ids(marker)
            if token is None or token == unknown:
                raise RecipeError(
                    f"{self.name}: no text is marked with {marker} ({name}), which the tokenizer does not know; use a "
                    "cleaning that writes it before the text, or name its marker."
                )
            ids.append(int(str(token)))
        self._marker_M = np.array(ids, np.int64)
        table = artefact(source, "metadata_values", self.settings(), self._learned).table("tokens")
        classes = table.column("class").to_numpy()
        self.token_T = torch.from_numpy(table.column("token").to_numpy().astype(np.int64))
        size_C = np.bincount(classes, minlength=len(self.names))
        self.size_C = torch.from_numpy(size_C)
        self.first_C = torch.from_numpy(np.cumsum(size_C) - size_C)

    def mark(self, document: Document) -> np.ndarray:
        class_T = np.zeros(len(document), self.dtype)
        number_M = np.arange(1, len(self._marker_M) + 1, dtype=self.dtype)
        order_M = np.argsort(self._marker_M)
        at_T = np.searchsorted(self._marker_M[order_M], document.id_T).clip(max=len(order_M) - 1)
        place_N = np.flatnonzero(self._marker_M[order_M][at_T] == document.id_T)
        if len(place_N):
            begin_N = np.concatenate(([0], place_N[:-1] + 1))
            class_N = number_M[order_M][at_T[place_N]]
            class_T[: place_N[-1]] = np.repeat(class_N, place_N - begin_N + 1)[:-1]
            class_T[place_N] = 0
        return class_T

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        found: set[tuple[int, int]] = set()
        for pairs in over_documents(
            source.train, partial(_shown, values=self), f"collect {self.name}", source.processes
        ):
            found |= pairs
        if not found:
            raise RecipeError(
                f"{self.name}: no training document has a value before {', '.join(self.fields.values())}; use a "
                "cleaning that writes values and markers before the text."
            )
        classes, tokens = zip(*sorted(found))
        return {"tokens": pa.table({"class": pa.array(classes, pa.int64()), "token": pa.array(tokens, pa.int64())})}


def _shown(side: Side, first: int, last: int, values: MetadataValues) -> set[tuple[int, int]]:
    """The classes of documents first..last - 1 with the tokens in them; at most classes x vocabulary."""
    found: set[tuple[int, int]] = set()
    for number in range(first, last):
        document = side[number]
        class_T = values.mark(document)
        inside_T = class_T > 0
        found.update(zip(class_T[inside_T].tolist(), document.id_T[inside_T].tolist()))
    return found
