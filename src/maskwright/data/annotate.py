"""Annotations: columns aligned with the tokens, fitted once per corpus and marked in parallel.

A masking, rate, corruption or objective names the columns that it reads; nobody else pays for them. An annotator is one
class of `maskwright.annotation`, built by the YAML that wants it.
Shapes: T tokens of one document.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.data.document import Document, Side, Source
from maskwright.data.flat import release
from maskwright.data.progress import progress
from maskwright.data.words import Rule, Segmenter, word_starts
from maskwright.data.workers import pool
from maskwright.errors import RecipeError

_SMALL = 1 << 20  # tokens below which one process is quicker than several
_HOLD = 1 << 21  # tokens after which the memory of what was read and written is given back
_LONG = 1 << 22  # characters of a text from which on its words are marked in portions
_SOLID_THEN_SPACE = re.compile(r"(?<=[!-~])[ \n]")


class Annotator(ABC):
    """A column of the tokens.

    name: of the column. dtype: bool marks the first token of every unit, integers are classes or rows of a table,
    float32 are scores. outside: the value at special tokens and padding. reads: columns of the documents that the
    corpus must carry (`data.columns`).
    """

    name: str
    dtype: Any = np.bool_
    outside: Any = True
    reads: tuple[str, ...] = ()

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that shape the column; with the text, tokenizer and words they are its cache key."""

    def fit(self, source: Source) -> None:  # noqa: B027 - most learn nothing
        """Learn from the training side, or open what was learned before. Called once, before `mark`, also when the
        column itself is in the cache."""

    @abstractmethod
    def mark(self, document: Document) -> np.ndarray:
        """The column for one document, [T] of `dtype`."""


class Words(Annotator):
    """The first token of every word, by the segmenter that `words=` chose."""

    name = "word"

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter, self.reads = segmenter, segmenter.reads

    def settings(self) -> dict[str, Any]:
        return self.segmenter.settings()

    def mark(self, document: Document) -> np.ndarray:
        if isinstance(self.segmenter, Rule) and len(document.text) > _LONG:
            return self._in_portions(document)
        begins_C = self.segmenter.begins(document.text, document.fields)
        return word_starts(document.text, document.start_T, document.end_T, begins_C)

    def _in_portions(self, document: Document) -> np.ndarray:
        """Portions that end where a word does and no token goes on: arrays over all characters would be large."""
        text, found, first, begin = document.text, [], 0, 0
        while begin < len(text):
            cut = _SOLID_THEN_SPACE.search(text, begin + _LONG)
            end = cut.start() if cut else len(text)
            behind = int(np.searchsorted(document.end_T, end, side="right")) if cut else len(document)
            while behind < len(document) and document.start_T[behind] < end and cut:
                cut = _SOLID_THEN_SPACE.search(text, end + 1)
                end = cut.start() if cut else len(text)
                behind = int(np.searchsorted(document.end_T, end, side="right")) if cut else len(document)
            part, own = text[begin:end], slice(first, behind)
            begins_C = self.segmenter.begins(part, document.fields)
            found.append(word_starts(part, document.start_T[own] - begin, document.end_T[own] - begin, begins_C))
            first, begin = behind, end
        return np.concatenate(found)


def mark_all(side: Side, annotators: Sequence[Annotator], places: Sequence[Path], processes: int, label: str) -> None:
    """Write the column of each annotator for all documents of a side to its .npy file, in parallel.

    Processes write to their own part of the files, so memory stays that of a few documents each.
    """
    for annotator, place in zip(annotators, places, strict=True):
        np.lib.format.open_memmap(place, "w+", annotator.dtype, (side.tokens,)).flush() if side.tokens else np.save(
            place, np.zeros(0, annotator.dtype)
        )
    processes = 1 if side.tokens < _SMALL else max(1, min(processes, len(side)))
    runs = shards(side, 8 * processes if processes > 1 else 50)
    names = ", ".join(annotator.name for annotator in annotators)
    with progress(f"annotate {label}: {names}", side.tokens, "tokens") as advance:
        if processes == 1:
            for first, last in runs:
                advance(_mark(side, annotators, places, first, last))
            return
        with pool(processes) as workers:
            tasks = [workers.submit(_mark, side, annotators, places, first, last) for first, last in runs]
            for task in as_completed(tasks):
                advance(task.result())


def _mark(side: Side, annotators: Sequence[Annotator], places: Sequence[Path], first: int, last: int) -> int:
    """Documents first..last - 1; returns their tokens."""
    outputs = [np.load(place, mmap_mode="r+") if side.tokens else np.load(place) for place in places]
    done = held = 0
    for number in range(first, last):
        document = side[number]
        begin = int(side.first_D[number])
        for annotator, output in zip(annotators, outputs, strict=True):
            values_T = annotator.mark(document)
            if len(values_T) != len(document):
                raise RuntimeError(f"{annotator.name} marked {len(values_T)} of {len(document)} tokens.")
            output[begin : begin + len(document)] = values_T
        done, held = done + len(document), held + len(document)
        if held > _HOLD or number == last - 1:
            side.release()
            release(places)
            held = 0
    return done


def shards(side: Side, number: int) -> list[tuple[int, int]]:
    """Runs of documents with about equally many tokens."""
    ends = np.cumsum(side.length_D, dtype=np.int64)
    cuts = np.unique(np.searchsorted(ends, np.linspace(0, side.tokens, number + 1)[1:-1], side="left") + 1)
    return list(pairwise([0, *(int(cut) for cut in cuts if 0 < cut < len(side)), len(side)]))


def check_fields(annotators: Sequence[Annotator], carried: Sequence[str]) -> None:
    """Raises RecipeError when an annotator reads a column that the corpus does not carry."""
    for annotator in annotators:
        missing = [name for name in annotator.reads if name not in carried]
        if missing:
            have = f"it carries {', '.join(carried)}" if carried else "it carries none"
            raise RecipeError(
                f"{annotator.name} reads the column {missing[0]!r} of the documents, and {have}; "
                f"set data.columns=[{missing[0]}] with data that has it."
            )
