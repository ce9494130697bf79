"""Texts as tokens, quickly: what stands between two white spaces is encoded once and looked up from then on.

The library spends most of its time on finding the same words again, and hands its results over one Python object at a
time. Where a tokenizer treats every stretch between white spaces on its own, the tokens of a text are those of its
stretches, each known after its first occurrence; the rest is numpy. Other tokenizers encode the text as it stands.
Shapes: C characters, S stretches, U known ones, T tokens of a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.data.stretches import Stretches
from maskwright.data.tokenizers.reading import encodings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PORTION = 1 << 17  # characters that the tokenizer takes at once
_SOLID_THEN_SPACE = re.compile(r"(?<=\S)\s")
_KNOWN = 1 << 18  # stretches that are remembered
_LONGEST = 48  # characters of a stretch that is remembered
# White space to Python that normalisers take out of the text, so that it joins what it stands between.
_JOINING = re.compile("[\x0b\x0c\x1c-\x1f\x85]")

# Normalisers that look at nothing beyond white space, and pre-tokenizers that always cut there or never care.
_LOCAL = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
_CUTTING = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_INNER = {"Digits", "Punctuation"}
_ONE_CLASS = re.compile(r"(\(\?<=\[.+\]\))?(\[[^\]]+\]|\\p\{\w+\})\+?")  # characters of a class, perhaps behind another
_LONG_WORDS = re.compile(r" \?\\S\{\d+\}(\\p\{M\}\{0,\d+\})?")  # parts of a word, with the space before it


class Encoded(NamedTuple):
    """Tokens of several texts, one text after the other; offsets count the characters of their own text."""

    id_T: np.ndarray  # uint32
    start_T: np.ndarray  # int64
    end_T: np.ndarray  # int64
    count_D: np.ndarray  # int64: tokens of each text


class Encoder:
    """Tokens of texts without special tokens; the ends of a text's tokens never decrease."""

    def __init__(self, backend: Tokenizer) -> None:
        self.backend = backend
        described = json.loads(backend.to_str())
        self.quick = is_local(described)
        self._first_differs = "add_prefix_space" in (described["post_processor"] or {})
        self._by_stretch = type(backend).from_str(json.dumps(_without_first(described)))
        self._by_stretch.encode_special_tokens = backend.encode_special_tokens
        self._number: dict[str, int] = {}  # of a stretch that is remembered, in the order of these arrays
        self._open: set[str] = set()  # stretches that may end in white space to the tokenizer
        self._count_U = np.zeros(0, dtype=np.int64)  # tokens
        self._ids = np.zeros(0, dtype=np.uint32)  # of all stretches, one after the other
        self._start = np.zeros(0, dtype=np.int64)  # inside the stretch
        self._end = np.zeros(0, dtype=np.int64)

    def __call__(self, texts: list[str]) -> Encoded:
        parts = []
        for quick, part in groupby(texts, self._is_quick):
            own = list(part)
            parts.append(self._looked_up(own) if quick else _flat(encoded(own, self.backend)))
        return parts[0] if len(parts) == 1 else Encoded(*map(np.concatenate, zip(*parts)))

    def _is_quick(self, text: str) -> bool:
        # RoBERTa's offsets make an exception of the first token where a space stands before it.
        return self.quick and not (self._first_differs and text.startswith(" ")) and not _JOINING.search(text)

    def _looked_up(self, texts: list[str]) -> Encoded:
        stretches = Stretches(texts)
        unique, place_S = stretches.distinct()
        self._open.update(stretch for stretch in self._new(unique) if not self._stays_solid(stretch))
        if not self._open.isdisjoint(unique):
            stretches.join(np.array([stretch in self._open for stretch in unique])[place_S])
            unique, place_S = stretches.distinct()
        if new := self._new(unique):
            self._learn(new)
        number_U = np.fromiter(map(self._number.__getitem__, unique), dtype=np.int64, count=len(unique))
        number_S = number_U[place_S]
        count_S = self._count_U[number_S]
        first_T = np.cumsum(count_S) - count_S
        before_S = (np.cumsum(self._count_U) - self._count_U)[number_S]
        source_T = np.repeat(before_S - first_T, count_S) + np.arange(int(count_S.sum()))
        shift_T = np.repeat(stretches.first_S, count_S)
        count_D = np.bincount(stretches.text_S, weights=count_S, minlength=len(texts)).astype(np.int64)
        found = Encoded(self._ids[source_T], self._start[source_T] + shift_T, self._end[source_T] + shift_T, count_D)
        self._forget()
        return found

    def _stays_solid(self, stretch: str) -> bool:
        """The normaliser leaves no white space at the end of a stretch, which would join that of the next one."""
        last = stretch[-1]
        if last.isalnum() or last.isspace() or "!" <= last <= "~" or self.backend.normalizer is None:
            return True
        normal = self.backend.normalizer.normalize_str(stretch)
        return bool(normal) and not normal[-1].isspace()

    def _new(self, unique: list[str]) -> list[str]:
        return [stretch for stretch in unique if stretch not in self._number]

    def _learn(self, new: list[str]) -> None:
        """Encode stretches that are met for the first time."""
        # Long ones last: they are not remembered, and the end is easily cut off.
        new.sort(key=lambda stretch: (len(stretch) > _LONGEST, self._follows(stretch)))
        parts = [self._encoded(list(part), follows) for follows, part in groupby(new, self._follows)]
        own = Encoded(*map(np.concatenate, zip(*parts)))
        self._number.update(zip(new, range(len(self._number), len(self._number) + len(new))))
        self._count_U = np.concatenate([self._count_U, own.count_D])
        self._ids = np.concatenate([self._ids, own.id_T])
        self._start = np.concatenate([self._start, own.start_T])
        self._end = np.concatenate([self._end, own.end_T])

    def _follows(self, stretch: str) -> bool:
        """It begins with white space and goes on with something else, so that it is the same behind any other."""
        return stretch[0].isspace() and not stretch.isspace() and stretch not in self._open

    def _encoded(self, stretches: list[str], follow: bool) -> Encoded:
        """The tokens of each stretch; those that can follow each other are encoded as one text, which is quicker."""
        if follow:
            ((id_T, start_T, end_T),) = encoded(["".join(stretches)], self._by_stretch)
            end_S = np.cumsum(np.fromiter(map(len, stretches), dtype=np.int64, count=len(stretches)))
            stretch_T = np.searchsorted(end_S, start_T, side="right")
            if (start_T < end_T).all() and (end_T <= end_S[stretch_T]).all() and (np.diff(stretch_T) >= 0).all():
                first_T = np.concatenate(([0], end_S))[stretch_T]
                return Encoded(id_T, start_T - first_T, end_T - first_T, np.bincount(stretch_T, minlength=len(end_S)))
        return _flat(encoded(stretches, self._by_stretch))

    def _forget(self) -> None:
        """Keep the first stretches that fit; the commonest come early."""
        stretches = list(reversed(self._number))
        drop = max(0, len(stretches) - _KNOWN)
        while drop < len(stretches) and len(stretches[drop]) > _LONGEST:
            drop += 1
        for stretch in stretches[:drop]:
            del self._number[stretch]
        self._count_U = self._count_U[: len(self._number)]
        tokens = int(self._count_U.sum())
        self._ids, self._start, self._end = self._ids[:tokens], self._start[:tokens], self._end[:tokens]


def encoded(texts: list[str], backend: Tokenizer) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ids and character offsets of each text as the tokenizer gives them, no special tokens; ends never decrease."""
    pieces = [(document, *piece) for document, text in enumerate(texts) for piece in _pieces(text)]
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in texts]
    for group in _groups(pieces):  # the library's encodings take 100 times the memory of these arrays
        found = encodings(backend, [text for _, _, text in group])
        for (document, first, _), encoding in zip(group, found, strict=True):
            offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) + first
            parts[document].append((np.array(encoding.ids, dtype=np.uint32), offsets))
    for own in parts:
        offsets = np.concatenate([offsets for _, offsets in own])
        yield np.concatenate([ids for ids, _ in own]), offsets[:, 0], np.maximum.accumulate(offsets[:, 1])


def is_local(tokenizer: dict[str, Any]) -> bool:
    """Whether a tokenizer (its tokenizer.json) treats what stands before white space apart from what begins with it."""
    for token in tokenizer["added_tokens"]:
        if not token["special"] and (token["rstrip"] or any(c.isspace() for c in token["content"])):
            return False
    if tokenizer["model"].get("dropout"):
        return False
    normalizers = _steps(tokenizer["normalizer"], "normalizers")
    if not all(step["type"] in _LOCAL or _replaces_locally(step) for step in normalizers):
        return False
    one_space = bool(normalizers) and _is_one_space(normalizers[-1])
    pre_tokenizers = _steps(tokenizer["pre_tokenizer"], "pretokenizers")
    cuts = [_cuts(step, one_space) for step in pre_tokenizers]
    return any(cuts) and all(
        cut or step["type"] in _INNER or _parts_words(step) for cut, step in zip(cuts, pre_tokenizers)
    )


def _cuts(step: dict[str, Any], one_space: bool) -> bool:
    """Whether a pre-tokenizer cuts before white space of any kind, and never looks across. one_space: all of it has
    become single spaces."""
    if step["type"] == "Metaspace":  # it knows spaces alone
        return one_space and bool(step.get("split", True))
    if step["type"] == "ByteLevel":
        return not step["add_prefix_space"] and bool(step.get("use_regex", True))
    return step["type"] in _CUTTING


def _replaces_locally(step: dict[str, Any]) -> bool:
    if step["type"] != "Replace":
        return False
    written, regex = step["pattern"].get("String"), step["pattern"].get("Regex", "")
    if written is not None:
        return not any(character.isspace() for character in written)
    return _is_one_space(step) or bool(_ONE_CLASS.fullmatch(regex))


def _is_one_space(step: dict[str, Any]) -> bool:
    return step["type"] == "Replace" and step["pattern"] == {"Regex": r"\s+"} and step["content"] == " "


def _parts_words(step: dict[str, Any]) -> bool:
    return (
        step["type"] == "Split" and not step["invert"] and bool(_LONG_WORDS.fullmatch(step["pattern"].get("Regex", "")))
    )


def _without_first(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer to encode stretches with, none of which is the first of a text to it."""
    final = tokenizer["post_processor"]
    if final and "add_prefix_space" in final:
        return tokenizer | {"post_processor": final | {"add_prefix_space": False}}
    return tokenizer


def _steps(step: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return [own for part in step[inner] for own in _steps(part, inner)] if step["type"] == "Sequence" else [step]


def _flat(found: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Encoded:
    ids, starts, ends = zip(*found)
    count_D = np.array([len(id_T) for id_T in ids], dtype=np.int64)
    return Encoded(np.concatenate(ids), np.concatenate(starts), np.concatenate(ends), count_D)


def _pieces(text: str) -> list[tuple[int, str]]:
    """A long text in portions, each with its first character's number, cut where white space begins."""
    pieces, first = [], 0
    while len(text) - first > _PORTION:
        cut = _SOLID_THEN_SPACE.search(text, first + _PORTION)
        if cut is None:
            break
        pieces.append((first, text[first : cut.start()]))
        first = cut.start()
    return [*pieces, (first, text[first:])]


def _groups(pieces: list[tuple[int, int, str]]) -> Iterator[list[tuple[int, int, str]]]:
    """Consecutive pieces of about 16 portions together."""
    group, size = [], 0
    for piece in pieces:
        group.append(piece)
        size += len(piece[2])
        if size >= 16 * _PORTION:
            yield group
            group, size = [], 0
    if group:
        yield group
