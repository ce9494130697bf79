"""Classes of words: lists that the user names, parts of speech, bands of frequency.

Shapes: T tokens and W words of one document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from maskwright.annotation.counts import word_counts
from maskwright.annotation.gazetteer import Phrases
from maskwright.annotation.pieces import whole_words
from maskwright.annotation.sources import Given
from maskwright.annotation.spans import SpanTypes, types_of
from maskwright.annotation.taggers import UNIVERSAL
from maskwright.annotation.wordlists import WordList
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Source
from maskwright.data.words import begins_by_rule
from maskwright.errors import RecipeError

_VERSION = 1


class _OfWords(Annotator):
    """A class for each word, which all its pieces share."""

    dtype = np.uint16
    outside = 0
    names: list[str]

    def number(self, word: str) -> int:
        """The class of a word as written."""
        raise NotImplementedError

    def mark(self, document: Document) -> np.ndarray:
        known: dict[str, int] = {}
        words = document.words
        for word in set(words):
            known[word] = self.number(word)
        class_W = np.fromiter((known[word] for word in words), self.dtype, len(words))
        return class_W[document.word_T] if len(words) else np.zeros(len(document), self.dtype)


class Strata(_OfWords):
    """Strata of words from lists of the user's: the first list that has a word decides (KidLM, arXiv 2410.03884).

    strata: the name of each stratum and its file, one word or phrase a line. Case does not count, nor do punctuation
    marks around a word. Phrases (`ice cream`, `mother-in-law`) are looked for in the text, the longest first. Words of
    no list are class 0.
    """

    def __init__(self, name: str, strata: Mapping[str, str | None]) -> None:
        if not strata:
            raise RecipeError(f"strata of the column {name} is empty; name word lists, as in strata.stop=stop.txt.")
        files = {stratum: WordList(file, f"strata.{stratum}") for stratum, file in strata.items()}
        self.name, self.names = name, ["", *files]
        self._files = [(stratum, file.sha) for stratum, file in files.items()]
        self._class: dict[str, int] = {}
        for number, file in enumerate(files.values(), 1):
            for bare in filter(None, map(_bare, file.lines)):
                self._class.setdefault(bare, number)

    def settings(self) -> dict[str, Any]:
        return {"version": 2, "strata": self._files}

    @cached_property
    def _phrases(self) -> Phrases | None:
        """Lines that are several words by the rule."""
        several = [(line, str(number)) for line, number in self._class.items() if begins_by_rule(line).sum() > 1]
        several += [(line.replace("'", "’"), number) for line, number in several if "'" in line]
        return Phrases(several, "fold", "word") if several else None

    def mark(self, document: Document) -> np.ndarray:
        class_T = super().mark(document)
        for start, end, number in self._phrases.find(document) if self._phrases else ():
            own_T = class_T[whole_words(document, start, end)]
            own_T[(own_T == 0) | (own_T > int(number))] = int(number)
        return class_T

    def number(self, word: str) -> int:
        return self._class.get(_bare(word), 0)


def _bare(word: str) -> str:
    """Without case and without punctuation around it; apostrophes are all alike."""
    word = word.casefold().replace("’", "'")
    while word and not word[0].isalnum():
        word = word[1:]
    while word and not word[-1].isalnum():
        word = word[:-1]
    return word


class PartOfSpeech(SpanTypes):
    """The 17 universal parts of speech (Universal Dependencies) as classes.

    column: of the documents, spans typed by those tags. tagger: a spaCy model, or `jieba` for Chinese. One of the two.
    """

    def __init__(self, name: str, column: str | None, tagger: str | None) -> None:
        if (column is None) == (tagger is None):
            raise RecipeError(
                f"the column {name} needs parts of speech: set column (a column of the documents whose spans are typed "
                "by universal tags, as data=conll gives), or tagger (a spaCy model, or jieba), as in "
                "masking.weight.column.tagger=en_core_web_sm."
            )
        super().__init__(name, Given("tags", column, None, tagger, None, "exact", "word"), UNIVERSAL, None)

    def fit(self, source: Source) -> None:
        if self.reads and not (found := types_of(source, self.spans)).keys() & set(UNIVERSAL):
            shown = ", ".join(list(found)[:5]) or "nothing"
            raise RecipeError(
                f"the column {self.reads[0]!r} holds {shown} and none of the universal tags {', '.join(UNIVERSAL)}; "
                "name a column of universal parts of speech."
            )


class FrequencyBand(_OfWords):
    """How frequent each word is on the training side: its rank among all words, in bands.

    ranks: where the bands end, as in [100, 1000, 10000]; rarer words are the last band. Case does not count.
    """

    def __init__(self, name: str, ranks: Sequence[int]) -> None:
        self.name, self.ranks = name, [int(rank) for rank in ranks]
        if not self.ranks or sorted({0, *self.ranks}) != [0, *self.ranks]:
            raise RecipeError(f"ranks of the column {name} are {list(ranks)}; give rising whole numbers from 1 up.")
        bands = [f"{first + 1:,}-{last:,}" for first, last in pairwise([0, *self.ranks])]
        self.names = ["", *bands, "rarer"]

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "ranks": self.ranks}

    def fit(self, source: Source) -> None:
        frequent = word_counts(source).column("word")[: self.ranks[-1]].to_pylist()
        band_W = np.searchsorted(self.ranks, np.arange(len(frequent)), side="right") + 1
        self._band = dict(zip(frequent, band_W.tolist()))

    def number(self, word: str) -> int:
        return self._band.get(word.lower(), len(self.names) - 1)
