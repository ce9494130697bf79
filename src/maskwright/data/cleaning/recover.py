"""Protected words are hidden, and others written in their place (arXiv 2309.08628).

A detector says which words are protected; a language model fills the holes, or a marker is left in each of them. Every
protected word becomes one word, so the number of words stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from maskwright.data.cleaning.base import Cleaning
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_ROUNDS = 8  # words filled in may make up a protected phrase together, and are then replaced again

Hole = tuple[int, int]  # a protected word: its first character, and the one behind its last


class Detector(Protocol):
    """Finds the words to protect. reads: columns of the documents that it needs, left out of the result. again: it may
    find words in what was filled in."""

    reads: tuple[str, ...]
    again: bool

    def settings(self) -> dict[str, Any]:
        """Plain values that say what it does, the content of files included."""
        ...

    def learn(self, documents: Dataset, scratch: Path) -> None:
        """See the documents before any is looked at. scratch: a folder for temporary files."""
        ...

    def find(self, text: str, words: Sequence[Hole], fields: Mapping[str, Any]) -> list[bool]:
        """For each word of the text whether it is protected."""
        ...

    def safe(self, word: str) -> bool:
        """Whether a word may stand in any text."""
        ...


class Filler(Protocol):
    """A language model that writes words."""

    def settings(self) -> dict[str, Any]:
        """Plain values that say what it does, the content of the model included."""
        ...

    def __call__(
        self,
        texts: Sequence[str],
        holes: Sequence[Sequence[Hole]],
        names: Sequence[str],
        safe: Callable[[str], bool],
        banned: Sequence[set[str]],
    ) -> list[list[str]]:
        """For each hole of each text one word, which is `safe` and, whatever its case, none of those banned from that
        text (case-folded). names: of the documents, for what is drawn by chance."""
        ...

    def rest(self) -> None:
        """Let go of the network."""
        ...


class Recover(Cleaning):
    """detector: finds the words to protect. filler: writes others; None: the marker `mask` stands for each. heldout:
    held-out documents are rewritten too; otherwise runs on original, masked and recovered text are measured on the same
    untouched documents."""

    alone = True

    def __init__(
        self, detector: Detector, filler: Filler | None = None, mask: str = "[PRIVATE]", heldout: bool = False
    ) -> None:
        if not mask or mask.split() != [mask]:
            raise RecipeError(f"cleaning.mask is {mask!r}; give one word, such as [PRIVATE].")
        self.detector, self.filler, self.mask = detector, filler, mask
        self.train_only = not heldout
        self.reads = self.spends = tuple(detector.reads)
        self.markers = () if filler is not None else (mask,)

    def settings(self) -> dict[str, Any]:
        return {
            "cleaning": "recover 1",
            "detector": self.detector.settings(),
            "filler": self.mask if self.filler is None else self.filler.settings(),
            "train_only": self.train_only,
        }

    def learn(self, documents: Dataset, scratch: Path) -> None:
        self.detector.learn(documents, scratch)

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        return self.together([text], [fields])[0]

    def together(self, texts: Sequence[str], fields: Sequence[dict[str, Any]]) -> list[str]:
        names = [str(own.get("document")) for own in fields]
        stood: list[set[str]] = [set() for _ in texts]
        for _ in range(_ROUNDS if self.detector.again else 1):
            holes = [self.holes(text, own) for text, own in zip(texts, fields, strict=True)]
            if not any(holes):
                break
            for text, own, forms in zip(texts, holes, stood, strict=True):
                forms.update(text[slice(*hole)].casefold() for hole in own)
            if self.filler is None:
                words = [[self.mask] * len(own) for own in holes]
            else:
                words = self.filler(texts, holes, names, self.detector.safe, stood)
            texts = [_written(*parts) for parts in zip(texts, holes, words, strict=True)]
        return list(texts)

    def holes(self, text: str, fields: Mapping[str, Any]) -> list[Hole]:
        """The protected words of a text, in order; a marker written before is none."""
        # A sign is a word of its own, of one character, and never protected.
        words = [word for word in word_spans(text) if word[1] - word[0] > 1 or text[word[0]].isalnum()]
        if self.filler is None and self.mask in text:
            marked = _places(text, self.mask)
            words = [word for word in words if not any(first <= word[0] < last for first, last in marked)]
        protected = self.detector.find(text, words, fields)
        return [word for word, hidden in zip(words, protected, strict=True) if hidden]

    def rest(self) -> None:
        if self.filler is not None:
            self.filler.rest()


def _written(text: str, holes: Sequence[Hole], words: Sequence[str]) -> str:
    parts, last = [], 0
    for (first, behind), word in zip(holes, words, strict=True):
        parts += [text[last:first], word]
        last = behind
    return "".join([*parts, text[last:]])


def _places(text: str, mark: str) -> list[Hole]:
    found, first = [], text.find(mark)
    while first >= 0:
        found.append((first, first + len(mark)))
        first = text.find(mark, first + len(mark))
    return found
