"""Texts as tokens, quickly: what stands between two white spaces is encoded once and looked up from then on.

The library spends most of its time on finding the same words again, and hands its results over one Python object at a
time. Where a tokenizer treats every stretch between white spaces on its own, the tokens of a text are those of its
stretches, each known after its first occurrence; the rest is numpy. Other tokenizers encode the text as it stands.
Shapes: C characters, S stretches, U different ones, T tokens of a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from maskwright.data.tokenizers.reading import encodings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PORTION = 1 << 17  # characters that the tokenizer takes at once
_SOLID_THEN_SPACE = re.compile(r"(?<=\S)\s")
_KNOWN = 1 << 18  # stretches that are remembered
_LONGEST = 48  # characters of a stretch that is remembered
_WHITE = np.zeros(0x110000, dtype=bool)  # what Python calls white space
_WHITE[[code for code in range(0x3001) if chr(code).isspace()]] = True
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
        stretches, first_S, text_S = _stretches(texts)
        indexed = pa.array(stretches, pa.string()).dictionary_encode()
        unique = indexed.dictionary.to_pylist()
        if not all(stretch in self._number or self._stays_solid(stretch) for stretch in unique):
            return _flat(encoded(texts, self.backend))
        number_U = self._numbers(unique)
        before_U = (np.cumsum(self._count_U) - self._count_U)[number_U]
        unique_S = indexed.indices.to_numpy()
        count_S = self._count_U[number_U][unique_S]
        first_T = np.cumsum(count_S) - count_S
        source_T = np.repeat(before_U[unique_S] - first_T, count_S) + np.arange(int(count_S.sum()))
        shift_T = np.repeat(first_S, count_S)
        count_D = np.bincount(text_S, weights=count_S, minlength=len(texts)).astype(np.int64)
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

    def _numbers(self, unique: list[str]) -> np.ndarray:
        """The numbers of stretches, int64 [U]; those met for the first time are encoded."""
        new = [stretch for stretch in unique if stretch not in self._number]
        if new:
            # Long ones last: they are not remembered, and the end is easily cut off.
            new.sort(key=lambda stretch: (len(stretch) > _LONGEST, _follows(stretch)))
            parts = [self._encoded(list(part), follows) for follows, part in groupby(new, _follows)]
            own = Encoded(*map(np.concatenate, zip(*parts)))
            self._number.update(zip(new, range(len(self._number), len(self._number) + len(new))))
            self._count_U = np.concatenate([self._count_U, own.count_D])
            self._ids = np.concatenate([self._ids, own.id_T])
            self._start = np.concatenate([self._start, own.start_T])
            self._end = np.concatenate([self._end, own.end_T])
        return np.fromiter(map(self._number.__getitem__, unique), dtype=np.int64, count=len(unique))

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


def _follows(stretch: str) -> bool:
    """It begins with white space and goes on with something else, so that it is the same behind any other."""
    return stretch[0].isspace() and not stretch.isspace()


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


def _stretches(texts: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The texts cut before all white space that follows something else; and of each stretch the first character in its
    text and the text's number, int64 [S]."""
    joined = "\n".join(texts)
    size_D = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    first_D = np.cumsum(size_D + 1) - (size_D + 1)
    code_C = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    solid_C = ~_WHITE[code_C]
    begin_W = np.flatnonzero(solid_C & np.concatenate(([True], ~solid_C[:-1])))
    end_W = np.flatnonzero(solid_C & np.concatenate((~solid_C[1:], [True]))) + 1
    text_W = np.searchsorted(first_D, begin_W, side="right") - 1
    opens_W = np.diff(text_W, prepend=-1) > 0
    first_W = np.where(opens_W, first_D[text_W], np.concatenate(([0], end_W))[: len(end_W)])
    # Nearly all are a space and a word; the others are read from the text.
    spaced_W = (begin_W - first_W == 1) & (code_C[first_W] == 0x20)
    stretches = [f" {word}" for word in joined.split()]
    for place in np.flatnonzero(~spaced_W).tolist():
        stretches[place] = joined[first_W[place] : end_W[place]]
    # White space at the end of a text is a stretch of its own, and so is a text of white space alone.
    last_D = first_D.copy()
    last_D[text_W] = end_W  # the last of a text's words is written last
    there = np.flatnonzero(last_D < first_D + size_D)
    stretches += [joined[last_D[number] : first_D[number] + size_D[number]] for number in there.tolist()]
    first_S, text_S = np.concatenate((first_W, last_D[there])), np.concatenate((text_W, there))
    order = np.argsort(first_S, kind="stable")
    if len(there):
        stretches = [stretches[place] for place in order.tolist()]
    return stretches, (first_S - first_D[text_S])[order], text_S[order]


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
