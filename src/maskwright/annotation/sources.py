"""Where spans come from: runs of characters with a type, such as the entities of a document.

Sources here read a column of the documents; others match a gazetteer, follow rules, or ask a tagger. Annotators make
units and classes of tokens of them (`maskwright.annotation.spans`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from maskwright.data.document import Document
from maskwright.errors import RecipeError

Span = tuple[int, int, str]  # the first character, the one behind the last, the type


class Spans(ABC):
    """A source of spans. reads: columns of the documents that it needs."""

    reads: tuple[str, ...] = ()

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that it gives, where they are known without looking at the corpus; else None."""
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that shape the spans, with a version and the content of any file: part of the cache's keys."""

    @abstractmethod
    def find(self, document: Document) -> Iterable[Span]:
        """The spans of one document, in any order; they may overlap."""

    @cached_property
    def key(self) -> str:
        """Names what it does: sources with the same key find the same."""
        return json.dumps([type(self).__name__, self.settings()], sort_keys=True)

    def __call__(self, document: Document) -> list[Span]:
        """The spans of one document in order and apart, found once however many annotators ask."""
        if self.key not in document.memo:
            document.memo[self.key] = apart(self.find(document))
        return document.memo[self.key]


def apart(spans: Iterable[Span]) -> list[Span]:
    """Spans in order without overlap: where some overlap, the one that begins first stays, of those the longest."""
    kept: list[Span] = []
    free = 0
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= free and end > start:
            kept.append((start, end, kind))
            free = end
    return kept


class ColumnSpans(Spans):
    """Spans that the documents bring: a column of lists of {start, end, type}, in characters, `end` behind the last."""

    def __init__(self, column: str) -> None:
        self.column, self.reads = column, (column,)

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "column": self.column}

    def find(self, document: Document) -> list[Span]:
        return self.read(document.fields)

    def read(self, fields: Mapping[str, Any]) -> list[Span]:
        """The spans of a document with these columns. Raises RecipeError when the column holds something else."""
        value = fields[self.column] or []
        try:
            if isinstance(value, Mapping):  # a table of columns, as some datasets give lists of records
                kinds = value.get("type") or [_UNTYPED] * len(value["start"])
                return [(int(a), int(b), str(c)) for a, b, c in zip(value["start"], value["end"], kinds, strict=True)]
            return [(int(one["start"]), int(one["end"]), str(one.get("type") or _UNTYPED)) for one in value]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RecipeError(
                f"the column {self.column!r} of document {fields.get('document')} holds {_short(value)}; "
                "a column of spans holds lists of {start, end, type}."
            ) from None


_UNTYPED = "span"


class Joined(Spans):
    """Several sources together; where their spans overlap, the source named first wins."""

    def __init__(self, sources: Mapping[str, Spans]) -> None:
        if not sources:
            raise RecipeError("spans.sources names no source of spans; give at least one.")
        self.sources = list(sources.values())
        self.reads = tuple(dict.fromkeys(name for source in self.sources for name in source.reads))

    @property
    def types(self) -> tuple[str, ...] | None:
        found = [source.types for source in self.sources]
        if any(types is None for types in found):
            return None
        return tuple(dict.fromkeys(kind for types in found for kind in types or ()))

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "sources": [source.key for source in self.sources]}

    def find(self, document: Document) -> list[Span]:
        taken: list[Span] = []
        for source in self.sources:
            taken = sorted(taken + _between(source(document), taken))
        return taken


def _between(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """Those that touch none of `taken`; both are in order and apart."""
    found, at = [], 0
    for span in spans:
        while at < len(taken) and taken[at][1] <= span[0]:
            at += 1
        if at == len(taken) or span[1] <= taken[at][0]:
            found.append(span)
    return found


class Given(Spans):
    """Entities, phrases, keyphrases or tags from one of three places that the user names.

    what: `entities`, `phrases`, `keyphrases` or `tags`: what a tagger is asked for. column: of the documents, with
    spans or with lists of phrases that are looked for in the text. file: a gazetteer. tagger: a spaCy model, or `jieba`
    for tags. types: keep these alone (None: all). case, boundary: how phrases are matched, see `Gazetteer`.
    """

    def __init__(
        self,
        what: str,
        column: str | None,
        file: str | None,
        tagger: str | None,
        types: Sequence[str] | None,
        case: str,
        boundary: str,
    ) -> None:
        from maskwright.annotation.gazetteer import ColumnPhrases, Gazetteer
        from maskwright.annotation.taggers import tagger_of

        if sum(place is not None for place in (column, file, tagger)) != 1:
            raise RecipeError(
                f"{what} need one place to come from: set one of column (a column of the documents), file (a list of "
                "phrases) or tagger (a spaCy model) of their `spans`, as in masking.unit.column.spans.file=names.txt."
            )
        self.kept = None if types is None else tuple(str(kind) for kind in types)
        self.source: Spans
        if column is not None:
            self.source = ColumnPhrases(column, case, boundary)
        elif file is not None:
            self.source = Gazetteer(file, case, boundary)
        else:
            self.source = tagger_of(str(tagger), what)
        known = self.source.types
        strange = [kind for kind in self.kept or () if known is not None and kind not in known]
        if strange:
            raise RecipeError(f"spans.types names {strange[0]!r}; these spans have the types {', '.join(known or ())}.")
        self.reads = self.source.reads

    @property
    def types(self) -> tuple[str, ...] | None:
        return self.source.types if self.kept is None else self.kept

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "source": self.source.key, "types": None if self.kept is None else sorted(self.kept)}

    def find(self, document: Document) -> list[Span]:
        spans = self.source(document)
        return spans if self.kept is None else [span for span in spans if span[2] in self.kept]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
