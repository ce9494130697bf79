"""Phrases looked for in the text: a gazetteer file of the user's, or the keyphrases of each document.

The longest match wins. By default matches are whole words, whatever white space stands between them, so that a phrase
is found across a line break; words are those of the rule in `maskwright.data.words`, whatever `words=` chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.annotation.sources import ColumnSpans, Span, Spans
from maskwright.annotation.tablefiles import TableFile
from maskwright.annotation.wordlists import WordList
from maskwright.data.document import Document
from maskwright.data.words import begins_by_rule, solid
from maskwright.errors import RecipeError

_CASES = ("fold", "exact")
_BOUNDARIES = ("word", "token")
_UNTYPED = "phrase"


class Gazetteer(Spans):
    """Phrases of a file: txt with one a line, of the type `phrase`; csv, tsv, jsonl or parquet with the columns
    `phrase` and `type`.

    case: `fold` (the same whatever the case) or `exact`. boundary: a match begins and ends with a `word`, or with any
    `token` (inside words too: compounds, chemical names). A phrase listed with two types has the first.
    """

    def __init__(self, file: str | None, case: str, boundary: str) -> None:
        _check(case, boundary)
        self._listed, self.sha = _listed(file)
        self.case, self.boundary = case, boundary

    @cached_property
    def types(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(dict.fromkeys(kind for _, kind in self._listed))

    @cached_property
    def _phrases(self) -> Phrases:
        """Made when the first document is searched."""
        return Phrases(self._listed, self.case, self.boundary)

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "file": self.sha, "case": self.case, "boundary": self.boundary}

    def find(self, document: Document) -> list[Span]:
        return self._phrases.find(document)


class ColumnPhrases(Spans):
    """A column of the documents: lists of phrases, which are looked for in the text, or spans as they are.

    case, boundary: as for `Gazetteer`.
    """

    def __init__(self, column: str, case: str, boundary: str) -> None:
        _check(case, boundary)
        self.column, self.reads, self.case, self.boundary = column, (column,), case, boundary
        self._spans = ColumnSpans(column)

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "column": self.column, "case": self.case, "boundary": self.boundary}

    def find(self, document: Document) -> list[Span]:
        value = document.fields[self.column]
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            return self._spans.find(document)
        listed = [(phrase, _UNTYPED) for phrase in value if phrase.strip()]
        return Phrases(listed, self.case, self.boundary).find(document) if listed else []


def _listed(file: str | None) -> tuple[list[tuple[str, str]], str]:
    """(phrase, type) of each entry, and the file's hash."""
    if not file or Path(file).suffix.lower() not in (".csv", ".tsv", ".jsonl", ".parquet"):
        words = WordList(file, "spans.file")
        return [(line, _UNTYPED) for line in words.lines], words.sha
    given = TableFile(file, ("phrase", "type"), "spans.file")
    rows = zip(given.table.column("phrase").to_pylist(), given.table.column("type").to_pylist())
    return [(str(phrase), str(kind)) for phrase, kind in rows if phrase and kind], given.sha


def _check(case: str, boundary: str) -> None:
    for name, value, known in (("case", case, _CASES), ("boundary", boundary, _BOUNDARIES)):
        if value not in known:
            raise RecipeError(f"spans.{name} is {value}; choose one of {', '.join(known)}.")


class Phrases:
    """A list of phrases, ready to be found."""

    def __init__(self, phrases: Sequence[tuple[str, str]], case: str, boundary: str) -> None:
        self.fold, self.boundary = case == "fold", boundary
        self._types: dict[Any, str] = {}  # by the phrase as it is compared
        sizes: dict[str, set[int]] = {}  # by its head, the sizes that phrases with that head have
        for whole, (_, kind) in zip(self._compared([phrase for phrase, _ in phrases]), phrases, strict=True):
            if whole:
                self._types.setdefault(whole, kind)
                sizes.setdefault(whole[0] if isinstance(whole, tuple) else whole[:_HEAD], set()).add(len(whole))
        self._sizes = {head: sorted(found, reverse=True) for head, found in sizes.items()}

    def find(self, document: Document) -> list[Span]:
        """The matches in order and apart, from the left and the longest first."""
        return self._by_word(document) if self.boundary == "word" else self._by_token(document)

    def _compared(self, phrases: Sequence[str]) -> list[Any]:
        """Each phrase as it is looked up: a tuple of words, or characters."""
        lines = [" ".join(phrase.split()) for phrase in phrases]
        if self.boundary == "token":
            return [_alike(line, self.fold) for line in lines]
        words, start_W, _ = _words("\n".join(lines))
        first_P = np.searchsorted(start_W, np.cumsum([0, *(len(line) + 1 for line in lines)])).tolist()
        folded = [self._folded(word) for word in words]
        return [tuple(folded[first:behind]) for first, behind in pairwise(first_P)]

    def _folded(self, word: str) -> str:
        return word.casefold() if self.fold else word

    def _by_word(self, document: Document) -> list[Span]:
        key = ("words by rule", self.fold)
        if key not in document.memo:
            words, start_W, end_W = _words(document.text)
            document.memo[key] = ([self._folded(word) for word in words], start_W, end_W)
        words, start_W, end_W = document.memo[key]
        found, free, types, sizes = [], 0, self._types, self._sizes
        for place in [place for place, word in enumerate(words) if word in sizes]:
            if place < free:
                continue
            for size in sizes[words[place]]:
                kind = types.get(tuple(words[place : place + size]))
                if kind is not None and place + size <= len(words):
                    free = place + size
                    found.append((int(start_W[place]), int(end_W[free - 1]), kind))
                    break
        return found

    def _by_token(self, document: Document) -> list[Span]:
        text = _alike(document.text, self.fold)
        ends = set(document.end_T.tolist())
        short = sorted(
            {size for head, sizes in self._sizes.items() if len(head) < _HEAD for size in sizes}, reverse=True
        )
        found, free = [], 0
        for start in document.start_T.tolist():
            start += text[start : start + 1] == " "  # tokens may include the white space before them
            if start < free:
                continue
            for size in (*self._sizes.get(text[start : start + _HEAD], ()), *short):
                kind = self._types.get(text[start : start + size])
                if kind is not None and start + size in ends:
                    free = start + size
                    found.append((start, free, kind))
                    break
        return found


_HEAD = 4  # characters by which phrases are sorted when any token may begin one


def _words(text: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The words by rule, and where each begins and ends (int64 [W])."""
    start_W = np.flatnonzero(begins_by_rule(text))
    solid_C = np.maximum.accumulate(np.where(solid(text), np.arange(1, len(text) + 1), 0))
    end_W = solid_C[np.append(start_W[1:], len(text)) - 1] if len(start_W) else start_W
    return [text[start:end] for start, end in zip(start_W.tolist(), end_W.tolist())], start_W, end_W


def _alike(text: str, fold: bool) -> str:
    """Every white space a space and, with `fold`, every letter small, character for character."""
    text = "".join(" " if letter.isspace() else letter for letter in text) if not text.isprintable() else text
    if not fold:
        return text
    lower = text.lower()
    return (
        lower
        if len(lower) == len(text)
        else "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    )
