"""Words as the tokens that they are made of: how a word splits, and which row of a table a word of the text is.

Shapes: T tokens and W words of one document, N rows of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from maskwright.data.document import Document

Pieces = tuple[int, ...]

_BEFORE = '"'  # what stands before a word that is spelled: a mark that tokenizers part from letters
_GOLDEN, _M1, _M2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # splitmix64


def spelled(words: Sequence[str], spaced: bool, tokenizer: PreTrainedTokenizerFast) -> list[Pieces | None]:
    """The token ids of each word as it stands inside a text, behind a space or directly behind a mark; None where the
    tokenizer does not part it from the mark, or does not know all of it."""
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True  # a written "[MASK]" is text
    special = set(tokenizer.all_special_ids)
    before = _BEFORE + " " * spaced
    found: list[Pieces | None] = []
    for first in range(0, len(words), _AT_ONCE):
        texts = [before + word for word in words[first : first + _AT_ONCE]]
        for encoding in backend.encode_batch(texts, add_special_tokens=False):
            own = [
                (token, begin)
                for token, (begin, end) in zip(encoding.ids, encoding.offsets)
                if end > len(_BEFORE) and token not in special
            ]
            marks = sum(end <= len(_BEFORE) for _, end in encoding.offsets)
            clean = own and len(own) + marks == len(encoding.ids) and own[0][1] >= len(_BEFORE)
            found.append(tuple(token for token, _ in own) if clean else None)
    return found


def tells_spaces(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a word has other tokens behind a space than elsewhere, as in byte-level BPE and SentencePiece."""
    return spelled(["a"], True, tokenizer) != spelled(["a"], False, tokenizer)


def word_keys(id_T: np.ndarray, begins_T: np.ndarray) -> np.ndarray:
    """A hash of the tokens of each word: uint64 [W]."""
    first_W = np.flatnonzero(begins_T)
    if not len(first_W):
        return np.zeros(0, np.uint64)
    piece_T = np.arange(len(id_T)) - np.repeat(first_W, np.diff(first_W, append=len(id_T)))
    return np.add.reduceat(mixed(id_T.astype(np.uint64) << np.uint64(16) | piece_T.astype(np.uint64)), first_W)


class PieceTable:
    """Finds words by their tokens. Equal entries: the first counts. 64-bit hashes stand for the tokens: two of a
    million entries collide once in 10^7 tables."""

    def __init__(self, entries: Sequence[Pieces]) -> None:
        size_N = np.fromiter(map(len, entries), np.int64, len(entries))
        id_T = np.fromiter((token for entry in entries for token in entry), np.int64, int(size_N.sum()))
        begins_T = np.zeros(len(id_T), bool)
        begins_T[np.cumsum(size_N) - size_N] = True
        self._key_N, self._row_N = np.unique(word_keys(id_T, begins_T), return_index=True)

    def rows(self, document: Document) -> np.ndarray:
        """The row of each token's word, -1: none: int32 [T]."""
        key_W = word_keys(document.id_T, document.begins_T)
        if not len(key_W) or not len(self._key_N):
            return np.full(len(document), -1, np.int32)
        at_W = np.searchsorted(self._key_N, key_W).clip(max=len(self._key_N) - 1)
        row_W = np.where(self._key_N[at_W] == key_W, self._row_N[at_W], -1)
        return row_W.astype(np.int32)[document.word_T]


def whole_words(document: Document, start: int, end: int) -> slice:
    """The tokens of all words that overlap the characters start..end: a unit has the class of its first token, which
    may be a white space."""
    inside = document.first_tokens(start, end)
    if inside.start == inside.stop:
        return inside
    first, last = document.word_T[inside.start], document.word_T[inside.stop - 1]
    return slice(*np.searchsorted(document.word_T, (first, last + 1)).tolist())


def mixed(z: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: uint64 values whose bits look independent."""
    z = z + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_M1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_M2)
    return z ^ (z >> np.uint64(31))


_AT_ONCE = 20_000  # texts that the tokenizer takes at once
