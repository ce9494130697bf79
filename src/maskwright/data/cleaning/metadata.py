"""What is known of a document in front of its text, as ERWT has it (arXiv 2211.10086):
`1898 [DATE] liberal [POL] text`.

The text is cut into pieces of some words after the held-out documents are chosen. Every piece gets the prefix, and so
does every row of a piece that is longer than a row (packing=document).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.data.cleaning.base import Cleaning
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_DATE = re.compile(r"(\d{4})(?:[-/.]?(\d{2})(?:[-/.]?(\d{2}))?)?(?!\d)")
_DATES = {
    "day": lambda year, month, day: f"{year}-{month}-{day}",
    "month": lambda year, month, day: f"{year}-{month}",
    "year": lambda year, month, day: year,
    "decade": lambda year, month, day: f"{year[:3]}0",
    "century": lambda year, month, day: f"{year[:2]}00",
}
_KEYS = {"column", "marker", "granularity", "own"}


class Field:
    """One column of the documents, its value written before `marker`.

    granularity: how much of a date is written: day, month, year, decade or century (None: the value as it is). own:
    each value is a token of its own, such as [liberal], and not words of the vocabulary.
    """

    def __init__(self, column: str, marker: str, granularity: str | None = None, own: bool = False) -> None:
        if not marker or str(marker).split() != [marker]:
            raise RecipeError(f"cleaning.fields: the marker of {column} is {marker!r}; give one word, such as [DATE].")
        if granularity is not None and granularity not in _DATES:
            raise RecipeError(
                f"cleaning.fields: the granularity of {column} is {granularity!r}; choose one of {', '.join(_DATES)}, "
                "or null."
            )
        self.column, self.marker, self.granularity, self.own = column, marker, granularity, own

    def settings(self) -> dict[str, Any]:
        return {"column": self.column, "marker": self.marker, "granularity": self.granularity, "own": self.own}

    def value(self, fields: Mapping[str, Any]) -> str:
        """What is written of a document; empty where the column is."""
        value = fields[self.column]
        if value is None or not str(value).strip():
            return ""
        written = self._date(value) if self.granularity else " ".join(str(value).split())
        return "[" + written.replace(" ", "_") + "]" if self.own else written

    def _date(self, value: Any) -> str:
        if isinstance(value, (datetime.date, datetime.datetime)):
            value = value.isoformat()[:10]
        found = _DATE.match(str(value).strip())
        parts = found.groups() if found else ()
        needed = {"day": 3, "month": 2}.get(str(self.granularity), 1)
        if len([part for part in parts if part]) < needed:
            raise RecipeError(
                f"cleaning.fields: {self.column} holds {value!r}, of which no {self.granularity} can be read; write "
                "dates as 1898-05-31, 1898-05 or 1898, or set granularity=null."
            )
        return _DATES[str(self.granularity)](*parts)


class Metadata(Cleaning):
    """fields: a list of {column, marker, granularity, own}, see `Field`. words: words of the text in a piece (None: the
    text stays whole). A document without a value goes without that field."""

    prefixes = True

    def __init__(self, fields: Sequence[Mapping[str, Any]] | None = None, words: int | None = 100) -> None:
        if not fields:
            raise RecipeError(
                "cleaning.fields is empty; list what to write, as in "
                "cleaning.fields=[{column: year, marker: '[DATE]'}]."
            )
        for field in fields:
            unknown = set(field) - _KEYS
            if unknown or not {"column", "marker"} <= set(field):
                raise RecipeError(
                    f"cleaning.fields has {dict(field)}; a field has column and marker, and may have granularity "
                    "and own."
                )
        if words is not None and (isinstance(words, bool) or not isinstance(words, int) or words < 1):
            raise RecipeError(f"cleaning.words is {words}; give a whole number from 1 up, or null.")
        self.fields, self.words = [Field(**field) for field in fields], words
        self._run = re.compile(rf"\S+(?:\s+\S+){{0,{(words or 1) - 1}}}")
        self.reads = tuple(field.column for field in self.fields)
        self.markers = tuple(field.marker for field in self.fields)
        if len(set(self.markers)) < len(self.markers):
            raise RecipeError("cleaning.fields has one marker twice; give every field its own.")

    def settings(self) -> dict[str, Any]:
        fields = [field.settings() for field in self.fields]
        return {"cleaning": "metadata 1", "fields": fields, "words": self.words}

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        """The text stays: the prefix is written when it is cut, so that paragraphs that repeat are still found."""
        return text

    def prefix(self, fields: dict[str, Any]) -> str:
        values = [(field.value(fields), field.marker) for field in self.fields]
        return "".join(f"{value} {marker} " for value, marker in values if value)

    def pieces(self, text: str, fields: dict[str, Any]) -> list[str]:
        """The text in runs of `words` words, with the white space between them but not around them."""
        return self._run.findall(text) if self.words else [text.strip()]

    def learn(self, documents: Dataset, scratch: Path) -> None:
        """Values that are tokens of their own."""
        found: set[str] = set()
        for field in self.fields:
            if field.own:
                column = documents.select_columns([field.column])
                found |= {field.value(document) for document in column} - {""}
        self.tokens = tuple(sorted(found))

    def learned(self) -> Any:
        return list(self.tokens)

    def recall(self, learned: Any) -> None:
        self.tokens = tuple(learned)
