"""Tokens as they read."""

from __future__ import annotations

import unicodedata
from typing import Any, NamedTuple


class Word(NamedTuple):
    """text: without the tokenizer's marks. glued: it continues the word before it. spaced: a space stands before it, as
    far as the token tells: scripts without spaces have none. special: [CLS] and the like."""

    text: str
    glued: bool
    spaced: bool
    special: bool


class Reader:
    """Token ids as text, each looked up once."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)
        self._known: dict[int, Word] = {}

    def __getitem__(self, token: int) -> Word:
        if token not in self._known:
            self._known[token] = self._read(token)
        return self._known[token]

    def piece(self, token: int) -> str:
        """As the vocabulary writes it."""
        return self.tokenizer.convert_ids_to_tokens(token)

    def _read(self, token: int) -> Word:
        piece = self.piece(token)
        if token in self._special:
            return Word(piece, False, True, True)
        if piece.startswith("##"):
            return Word(piece[2:], True, False, False)
        text = self.tokenizer.decode([token]).strip() or piece
        if piece.startswith(("Ġ", "▁")):
            return Word(text, False, True, False)
        glued = self.tokenizer.convert_tokens_to_string(["a", piece]).startswith("a" + piece)
        return Word(text, glued, not glued and not _unspaced(text[0]), False)


def apart(before: Word | None, word: Word) -> bool:
    """Whether a space stands between two tokens of a row."""
    return before is not None and (word.spaced or before.special)


def _unspaced(character: str) -> bool:
    """Han, kana and their signs are written without spaces; Hangul, as wide, is not."""
    return unicodedata.east_asian_width(character) in "WF" and not unicodedata.name(character, "").startswith("HANGUL")
