"""Words: by one fixed rule over characters, the same for every tokenizer, or by a segmenter (conf/words).

By the rule a run of letters, marks and digits is a word, apostrophes inside it included; every Han character and every
other character that is not white space is a word by itself. A token belongs to the word of its last character that is
not white space; a token of white space alone belongs to the word that follows. Everything is vectorised over a
document.
Shapes: C characters, T tokens.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Protocol

import numpy as np

_UNKNOWN, _SPACE, _LETTER, _SINGLE, _APOSTROPHE = 0, 1, 2, 3, 4
_KINDS = np.zeros(0x110000, dtype=np.uint8)  # the kind of each code point, filled in when a text first shows it
_HAN = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x32000))


class Segmenter(Protocol):
    """What `words=` chose: where words begin in a text. reads: columns of the documents that it needs."""

    reads: tuple[str, ...]

    def begins(self, text: str, fields: dict[str, Any]) -> np.ndarray:
        """Bool [C]: the characters that begin a word. `fields` are the document's other columns."""
        ...

    def settings(self) -> dict[str, Any]:
        """Plain values that say what it does: part of the cache's keys."""
        ...


class Rule:
    """The rule of this module (`words=rule`)."""

    reads: tuple[str, ...] = ()

    def begins(self, text: str, fields: dict[str, Any]) -> np.ndarray:
        return begins_by_rule(text)

    def settings(self) -> dict[str, Any]:
        return {"words": "rule"}


def begins_by_rule(text: str) -> np.ndarray:
    """Bool [C]: the characters that begin a word by the rule."""
    kind_C = _kinds(text)
    begins_C = kind_C != _SPACE
    begins_C[1:] &= ~((kind_C[1:] == _LETTER) & (kind_C[:-1] == _LETTER))
    return begins_C


def word_spans(text: str) -> list[tuple[int, int]]:
    """The words by the rule: the first character of each and the one behind its last."""
    begins_C, solid_C = begins_by_rule(text), solid(text)
    ends_C = solid_C & np.append(begins_C[1:] | ~solid_C[1:], True)
    return list(zip(np.flatnonzero(begins_C).tolist(), (np.flatnonzero(ends_C) + 1).tolist(), strict=True))


def word_numbers(text: str, start_T: np.ndarray, end_T: np.ndarray, begins_C: np.ndarray | None = None) -> np.ndarray:
    """The word of each token: int64 [T], not decreasing.

    `start_T` and `end_T` are the tokens' character offsets in `text`; a token may include the white space before it.
    begins_C: bool, where words begin; None: by the rule.
    """
    solid_C = solid(text)
    begins_C = begins_by_rule(text) if begins_C is None else begins_C & solid_C
    # Index 0 stands for "before the text", so that an empty token at offset 0 can look one character back.
    begun = np.concatenate(([0], np.cumsum(begins_C)))
    last_solid = np.concatenate(([0], np.maximum.accumulate(np.where(solid_C, np.arange(1, len(text) + 1), 0))))
    seen_T = last_solid[end_T]
    return np.maximum.accumulate(np.where(seen_T > start_T, begun[seen_T], begun[end_T] + 1))


def word_starts(text: str, start_T: np.ndarray, end_T: np.ndarray, begins_C: np.ndarray | None = None) -> np.ndarray:
    """True at the first token of every word: bool [T]."""
    if not len(end_T):
        return np.zeros(0, dtype=bool)
    return np.diff(word_numbers(text, start_T, end_T, begins_C), prepend=-1) != 0


def solid(text: str) -> np.ndarray:
    """Bool [C]: the characters that are not white space."""
    return _kinds(text) != _SPACE


def utf8_ends(text: str) -> np.ndarray:
    """Bytes of UTF-8 before each character offset 0..C: int64 [C + 1]."""
    code_C = _codes(text)
    width_C = 1 + (code_C >= 0x80).astype(np.int64) + (code_C >= 0x800) + (code_C >= 0x10000)
    return np.concatenate(([0], np.cumsum(width_C)))


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _kinds(text: str) -> np.ndarray:
    """The kind of each character; an apostrophe between two letters counts as a letter."""
    code_C = _codes(text)
    kind_C = _KINDS[code_C]
    if not kind_C.all():
        for code in np.unique(code_C[kind_C == _UNKNOWN]).tolist():
            _KINDS[code] = _kind(code)
        kind_C = _KINDS[code_C]
    apostrophe_C = kind_C == _APOSTROPHE
    letter_C = kind_C == _LETTER
    inner_C = np.zeros_like(apostrophe_C)
    inner_C[1:-1] = apostrophe_C[1:-1] & letter_C[:-2] & letter_C[2:]
    return np.where(inner_C, _LETTER, np.where(apostrophe_C, _SINGLE, kind_C))


def _kind(code: int) -> int:
    character = chr(code)
    category = unicodedata.category(character)
    if character.isspace() or category in ("Zs", "Zl", "Zp", "Cc"):
        return _SPACE
    if character == "\u200b":  # zero-width space: it parts words though Unicode calls it a format character
        return _SPACE
    if character in "'’":
        return _APOSTROPHE
    if any(code in block for block in _HAN):
        return _SINGLE
    return _LETTER if category[0] in "LMN" or category == "Cf" else _SINGLE  # Cf: joiners, soft hyphens
