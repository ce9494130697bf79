"""Columns of tokens: ids, bytes of text, and the annotations that units and weights need.

A new annotation is one function and one line of `ANNOTATIONS`; a masking names the columns it wants, and nobody else
pays for them.
Shapes: T tokens of one document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.data.words import utf8_ends, word_starts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PORTION = 1 << 17  # characters that the tokenizer takes at once
_SOLID_THEN_SPACE = re.compile(r"(?<=\S)\s")


@dataclass(frozen=True)
class Annotation:
    """A column that units and weights need: `mark(text, start_T, end_T, id_T)` gives one value per token.

    `special` are the values at padding, [CLS] and [SEP].
    """

    mark: Callable[[str, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    special: tuple[int, int, int]


ANNOTATIONS: dict[str, Annotation] = {
    "word": Annotation(lambda text, start_T, end_T, id_T: word_starts(text, start_T, end_T), (True, True, True)),
}


def token_columns(batch: dict[str, list], backend: Tokenizer, annotations: Sequence[str]) -> dict[str, list]:
    """Columns of a batch of documents, without special tokens: `length`, and lists `ids`, `bytes`, annotations."""
    pieces = [(document, *piece) for document, text in enumerate(batch["text"]) for piece in _pieces(text)]
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in batch["text"]]
    for group in _groups(pieces):  # the library's encodings take 100 times the memory of these arrays
        encodings = backend.encode_batch([text for _, _, text in group], add_special_tokens=False)
        for (document, first, _), encoding in zip(group, encodings, strict=True):
            offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) + first
            parts[document].append((np.array(encoding.ids, dtype=np.uint32), offsets))
    columns: dict[str, list] = {name: [] for name in ("length", "ids", "bytes", *annotations)}
    for text, found in zip(batch["text"], parts, strict=True):
        id_T = np.concatenate([ids for ids, _ in found])
        offsets = np.concatenate([offsets for _, offsets in found])
        start_T, end_T = offsets[:, 0], np.maximum.accumulate(offsets[:, 1])
        columns["length"].append(len(id_T))
        columns["ids"].append(id_T)
        columns["bytes"].append(token_bytes(text, end_T))
        for name in annotations:
            columns[name].append(ANNOTATIONS[name].mark(text, start_T, end_T, id_T))
    return columns


def token_bytes(text: str, end_T: np.ndarray) -> np.ndarray:
    """UTF-8 bytes from the end of the token before to the end of each token: uint32 [T], summing to the text's.

    So white space belongs to the token after it, and what follows the last token to that one.
    """
    byte_T = utf8_ends(text)[end_T]
    if len(byte_T):
        byte_T[-1] = len(text.encode("utf-8"))
    return np.diff(byte_T, prepend=0).astype(np.uint32)


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
