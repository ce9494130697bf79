"""Questions with options: which one is right, and which words of the passage give it away.

Shapes: T tokens of one document.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np

from maskwright.annotation.ngrams import is_word
from maskwright.annotation.pieces import whole_words
from maskwright.annotation.wordlists import WordList
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError


class Answer(Annotator):
    """The number of the right option as the class of every token: class 1 is the first option.

    column: of the documents, with the number. first: the number of the first option.
    """

    dtype = np.uint16
    outside = 0

    def __init__(self, name: str, column: str, options: int, first: int) -> None:
        self.name, self.column, self.options, self.first, self.reads = name, column, options, first, (column,)
        self.names = ["", *(str(number) for number in range(1, options + 1))]

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "column": self.column, "options": self.options, "first": self.first}

    def mark(self, document: Document) -> np.ndarray:
        return np.full(len(document), 1 + right(document, self.column, self.first, self.options), self.dtype)


class Cues(Annotator):
    """Words of the passage that also stand in the right option (cue masking, arXiv 2303.07069): class 1, cue.

    options, column: of the documents, with the options and the number of the right one. marker: the token before each
    option in the text; what follows the first one is no passage. keep: a file of words that are no cues, such as
    stop-words, one a line (None: all are). Case does not count. Words are those of the rule in `maskwright.data.words`
    on both sides, whatever `words=` chose; all tokens of one are cues.
    """

    dtype = np.uint16
    outside = 0
    names = ("", "cue")

    def __init__(self, name: str, options: str, column: str, first: int, marker: str, keep: str | None) -> None:
        self.name, self.options, self.column, self.first, self.marker = name, options, column, first, marker
        words = None if keep is None else WordList(keep, "keep")
        self._kept = set() if words is None else {_alike(line) for line in words.lines}
        self._content = None if words is None else words.sha
        self.reads = (options, column)

    def settings(self) -> dict[str, Any]:
        return {"version": 2, "options": self.options, "column": self.column, "first": self.first,
                "marker": self.marker, "keep": self._content}  # fmt: skip

    def mark(self, document: Document) -> np.ndarray:
        options = document.fields[self.options]
        chosen = options[right(document, self.column, self.first, len(options))]
        answer = {_alike(chosen[start:end]) for start, end in word_spans(chosen) if is_word(chosen[start:end])}
        answer -= self._kept
        behind = document.text.find(self.marker)
        passage = document.text if behind < 0 else document.text[:behind]
        cue_T = np.zeros(len(document), self.dtype)
        for start, end in word_spans(passage):
            if _alike(passage[start:end]) in answer:
                cue_T[whole_words(document, start, end)] = 1
        return cue_T


def right(document: Document, column: str, first: int, options: int) -> int:
    """The place of the right option, from 0. Raises RecipeError when the document names none."""
    value = document.fields[column]
    try:
        place = int(value) - first
    except (TypeError, ValueError):
        place = -1
    if not 0 <= place < options:
        raise RecipeError(
            f"the column {column} holds {value!r}; it must be the number of one of {options} options, from {first} on."
        )
    return place


def _alike(word: str) -> str:
    """As words are compared: without case, accents in one spelling, apostrophes all alike."""
    return unicodedata.normalize("NFC", word.casefold()).replace("’", "'")
