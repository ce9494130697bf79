"""Training text that also stands in held-out documents.

Whole documents are always compared, however short; inside documents only paragraphs of some length, so that a refrain,
a heading or a line of metadata that recurs is no duplicate. Digits, signs and case count.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

KINDS = ("exact", "near", "none")

SHORTEST = 64  # bytes of UTF-8 of the shortest paragraph that is compared: a line of English, 21 Chinese characters
LIKENESS = 0.8  # Jaccard index of their shingles from which two texts are near duplicates
_SHINGLE = 5  # characters: serves every script, and one digit is enough to tell short texts apart
_HASHES = 64
_CANDIDATES = 0.65  # the index asks for less than `LIKENESS`, so that it misses few; all that it finds are compared

_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_LINES = re.compile(r"\n")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Cleared(NamedTuple):
    """A training document without what is held out. paragraphs: how many were removed from it."""

    text: str
    whole: bool = False
    paragraphs: int = 0


class Heldout:
    """The held-out texts, to compare training documents with. near: find near duplicates too, by MinHash."""

    def __init__(self, near: bool = False) -> None:
        self._documents: set[int] = set()
        self._paragraphs: set[int] = set()
        self._near = _Near() if near else None

    def add(self, text: str) -> None:
        """Know one more held-out document."""
        own = [normal(part) for part in paragraphs(text)]
        self._documents.add(_hash(*own))
        long = [part for part in own if is_long(part)]
        self._paragraphs.update(_hash(part) for part in long)
        if self._near is not None:
            whole = _whole(own)
            for each in dict.fromkeys([*([whole] if is_long(whole) else []), *long]):
                self._near.add(each)

    def cleared(self, text: str, whole_only: bool = False) -> Cleared:
        """A training document without held-out paragraphs, or without text where it repeats as a whole.

        whole_only: it goes whole or not at all, since something counts its characters.
        """
        parts = paragraphs(text)
        own = [normal(part) for part in parts]
        if _hash(*own) in self._documents or (self._near is not None and self._repeats(_whole(own))):
            return Cleared("", whole=True)
        kept = [part for part, normal_part in zip(parts, own, strict=True) if not self._repeats(normal_part)]
        if len(kept) == len(parts):
            return Cleared(text)
        if not any(part.strip() for part in kept):
            return Cleared("", whole=True)
        if whole_only:
            return Cleared(text)
        separator = "\n\n" if _BLANK_LINES.search(text) else "\n"
        return Cleared(separator.join(kept), paragraphs=len(parts) - len(kept))

    def _repeats(self, own: str) -> bool:
        if not is_long(own):
            return False
        return _hash(own) in self._paragraphs or (self._near is not None and self._near.has(own))


def paragraphs(text: str) -> list[str]:
    """Parts between blank lines, or between line ends in a text that has no blank line."""
    parts = _BLANK_LINES.split(text)
    return parts if len(parts) > 1 else _LINES.split(text)


def normal(text: str) -> str:
    """The form in which texts are compared: composed characters (NFC), runs of white space as one space."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def is_long(own: str) -> bool:
    """Whether a paragraph, in its normal form, is long enough to be compared."""
    return len(own) >= SHORTEST or (len(own) * 4 >= SHORTEST and len(own.encode("utf-8", "surrogatepass")) >= SHORTEST)


def likeness(one: Iterable[int], other: Iterable[int]) -> float:
    """The Jaccard index of two sets of shingles."""
    first, second = set(one), set(other)
    return len(first & second) / len(first | second)


def shingles(own: str) -> list[int]:
    """Hashes, 32 bits each, of all runs of 5 characters, whatever their case."""
    folded = own.casefold()
    code_C = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    runs = max(1, len(code_C) - _SHINGLE + 1)
    found = np.zeros(runs, dtype=np.uint64)
    for place in range(min(_SHINGLE, len(code_C))):
        found = (found + code_C[place : place + runs] + np.uint64(1)) * _MULTIPLIER
        found ^= found >> np.uint64(29)
    return np.unique(found >> np.uint64(32)).tolist()


class _Near:
    """Texts to ask for one that is nearly the same: datasketch's MinHash LSH, verified by the exact index."""

    def __init__(self) -> None:
        from datasketch import MinHashLSH

        self._index = MinHashLSH(threshold=_CANDIDATES, num_perm=_HASHES, hashfunc=None)
        self._shingles: list[np.ndarray] = []

    def add(self, own: str) -> None:
        found = shingles(own)
        self._index.insert(len(self._shingles), _minhash(found), check_duplication=False)
        self._shingles.append(np.array(found, dtype=np.uint32))

    def has(self, own: str) -> bool:
        found = shingles(own)
        for number in self._index.query(_minhash(found)):
            if likeness(found, self._shingles[number].tolist()) >= LIKENESS:
                return True
        return False


def _minhash(found: Sequence[int]) -> Any:
    from datasketch import MinHash

    sketch = MinHash(num_perm=_HASHES, seed=1, hashfunc=int)
    sketch.update_batch(found)
    return sketch


def _whole(own: Iterable[str]) -> str:
    """The normal form of a document, from that of its paragraphs."""
    return " ".join(part for part in own if part)


def _hash(*own: str) -> int:
    """64 bits of a text in its normal form, given in paragraphs: the same however they are set apart."""
    return int.from_bytes(hashlib.blake2b(_whole(own).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def is_aligned(feature: Any) -> bool:
    """A column of lists of {start, end, ...}, character offsets in the text, or of numbers, one for each word."""
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) and feature else feature)
    if isinstance(inner, dict):
        return {"start", "end"} <= set(inner)
    return inner is not feature and getattr(inner, "dtype", "").startswith(("int", "uint", "float"))
