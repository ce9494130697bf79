"""Tokens as they read."""

from __future__ import annotations

from typing import Any, NamedTuple


class Word(NamedTuple):
    """text: without the tokenizer's marks. glued: it continues the word before it. special: [CLS] and the like."""

    text: str
    glued: bool
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
            return Word(piece, False, True)
        if piece.startswith("##"):
            return Word(piece[2:], True, False)
        read = self.tokenizer.decode([token])
        joined = self.tokenizer.convert_tokens_to_string(["a", piece]).startswith("a" + piece)
        return Word(read.strip() or piece, not piece.startswith(("Ġ", "▁")) and joined, False)
