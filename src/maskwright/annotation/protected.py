"""Which words of a text are protected, for the cleaning `recover`: three detectors (arXiv 2309.08628)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from maskwright.annotation.gazetteer import Gazetteer
from maskwright.annotation.sources import Given, Spans
from maskwright.annotation.tally import Tally
from maskwright.annotation.wordlists import WordList
from maskwright.data.cleaning.recover import Hole
from maskwright.data.document import Document
from maskwright.data.progress import progress
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_PORTION = 256  # documents counted at once


class _Known:
    """Protects every word but some known ones, the same whatever their case."""

    reads: tuple[str, ...] = ()
    again = False
    words: frozenset[str]

    def find(self, text: str, words: Sequence[Hole], fields: Mapping[str, Any]) -> list[bool]:
        return [text[first:behind].casefold() not in self.words for first, behind in words]

    def safe(self, word: str) -> bool:
        return word.casefold() in self.words


class AllowList(_Known):
    """Every word that a public list lacks. file: a text file with one word a line."""

    def __init__(self, file: str | None) -> None:
        listed = WordList(file, "cleaning.detector.file")
        self.words, self.sha = frozenset(line.casefold() for line in listed.lines), listed.sha

    def settings(self) -> dict[str, Any]:
        return {"detector": "allow_list 1", "file": self.sha}

    def learn(self, documents: Dataset, scratch: Path) -> None:
        pass


class Frequent(_Known):
    """Every word but the `most` most frequent ones of the corpus, equals by the alphabet. Words are counted on disk, so
    memory stays that of a few documents and those words."""

    def __init__(self, most: int) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise RecipeError(f"cleaning.detector.most is {most}; it is a number of words from 1 up.")
        self.most = most

    def settings(self) -> dict[str, Any]:
        return {"detector": "frequent 1", "most": self.most}

    def learn(self, documents: Dataset, scratch: Path) -> None:
        with Tally(scratch, "string") as tally, progress("count words", len(documents)) as advance:
            for batch in documents.select_columns(["text"]).iter(_PORTION):
                counts = Counter(
                    text[first:last].casefold() for text in batch["text"] for first, last in word_spans(text)
                )
                known = [(word, count) for word, count in counts.items() if any(map(str.isalnum, word))]
                tally.add(pa.array([word for word, _ in known], pa.string()), [count for _, count in known])
                advance(len(batch["text"]))
            table = tally.sums()
        table = table.sort_by([("count", "descending"), ("key", "ascending")])
        self.words = frozenset(table.column("key")[: self.most].to_pylist())


class Spanned:
    """Every word that a span touches: an entity of a column, of a gazetteer, or of a tagger."""

    def __init__(self, spans: Spans) -> None:
        self.spans, self.reads = spans, spans.reads
        source = spans.source if isinstance(spans, Given) else spans
        self.again = isinstance(source, Gazetteer)

    def settings(self) -> dict[str, Any]:
        return {"detector": "spans 1", "spans": self.spans.key}

    def learn(self, documents: Dataset, scratch: Path) -> None:
        pass

    def find(self, text: str, words: Sequence[Hole], fields: Mapping[str, Any]) -> list[bool]:
        found = sorted(self.spans.find(_document(text, fields)))
        if not found or not words:
            return [False] * len(words)
        first_W, behind_W = np.array(words).T
        first_S, behind_S = np.array([span[:2] for span in found]).T
        reach_S = np.maximum.accumulate(behind_S)
        # The last span that begins before a word ends is among those that touch it, if one does: spans may overlap.
        last_W = np.searchsorted(first_S, behind_W, side="left") - 1
        return ((last_W >= 0) & (reach_S[last_W.clip(min=0)] > first_W)).tolist()

    def safe(self, word: str) -> bool:
        """No span is found in it; where spans come with the documents, any word is."""
        return bool(self.reads) or not list(self.spans.find(_document(word, {})))


def _document(text: str, fields: Mapping[str, Any]) -> Document:
    """A text that has no tokens yet."""
    none = np.zeros(0, np.uint32)
    return Document(text, none, none, none, none.astype(bool), dict(fields))
