"""Which rows of an old vocabulary a new token's row is made of (RuBERT, arXiv 1905.07213).

A token that both vocabularies have keeps its row; any other is split by the old tokenizer as the same text in the same
place: at the beginning of a word, or inside one. Tokenizers say that place each in its own way (`##ing` in WordPiece,
`Ġthe` in byte-level BPE, `▁the` in Unigram), so a token is first read as text and place, then split.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import RecipeError

_CARRIER = "q"  # stands before text inside a word; no accent composes with it
_ROLES = {
    "pad": ("pad",), "unk": ("unk",), "mask": ("mask",), "cls": ("cls", "bos"), "sep": ("sep", "eos"),
    "bos": ("bos", "cls"), "eos": ("eos", "sep"),
}  # fmt: skip
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def sources(new: Any, old: Any) -> list[list[int]]:
    """For each id of `new` the ids of `old` whose rows' mean it takes; none where the old vocabulary knows no piece.

    Special tokens follow their role ([CLS] takes the row of <s>), then their name. Both are fast tokenizers of
    transformers. Raises RecipeError for a kind of tokenizer whose pieces do not tell their place.
    """
    theirs, ours = Pieces(old), Pieces(new)
    found: list[list[int]] = [[] for _ in range(max(new.get_vocab().values()) + 1)]
    for token, id_ in new.get_vocab().items():
        if token in ours.special:
            found[id_] = [theirs.all[token]] if token in theirs.all else []
        else:
            found[id_] = _pieces(token, ours, theirs)
    for role, others in _ROLES.items():
        id_ = getattr(new, f"{role}_token_id")
        row = next((row for other in others if (row := getattr(old, f"{other}_token_id")) is not None), None)
        if id_ is not None and row is not None:
            found[id_] = [row]
    return found


def grown(new: Any, old: Any) -> list[list[int]] | None:
    """As `sources`, where `new` is `old` with added tokens, which have no sources; None where it is not.

    Ids up to the end of the new vocabulary; an old token has itself.
    """
    before, after = old.get_vocab(), new.get_vocab()
    extra = after.keys() - before.keys()
    added = {str(token) for token in new.added_tokens_decoder.values()}
    if not before.items() <= after.items() or not extra <= added:
        return None
    fresh = {after[token] for token in extra}
    return [[] if id_ in fresh else [id_] for id_ in range(max(after.values()) + 1)]


def _pieces(token: str, ours: Pieces, theirs: Pieces) -> list[int]:
    alike = (ours.kind, ours.prefix) == (theirs.kind, theirs.prefix)
    if alike and token in theirs.ordinary:
        return [theirs.ordinary[token]]
    text, inside = ours.read(token)
    if text is None:  # part of a character's bytes
        return theirs.tokenize(token, False) if alike and theirs.kind == "bytes" else []
    return theirs.split(text, inside)


class Pieces:
    """How a tokenizer's pieces spell text and place."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise RecipeError("A vocabulary can be transplanted between fast tokenizers (tokenizer.json) only.")
        self.backend = tokenizer.backend_tokenizer
        spec = json.loads(self.backend.to_str())
        self.model = spec["model"]
        self.all: dict[str, int] = tokenizer.get_vocab()
        self.special = set(tokenizer.all_special_tokens) | {
            str(token) for token in tokenizer.added_tokens_decoder.values() if token.special
        }
        self.ordinary = {token: id_ for token, id_ in self.all.items() if token not in self.special}
        self.prefix = self.model.get("continuing_subword_prefix") or ""
        self.kind = self._kind(spec)
        self.mark = {"bytes": "Ġ", "metaspace": "▁"}.get(self.kind, "")
        self._unknown = {tokenizer.unk_token_id, self.model.get("unk_id")} - {None}
        self._inside = self._inner_model() if self.kind == "wordpiece" else self.backend.model

    def _kind(self, spec: dict[str, Any]) -> str:
        if self.model["type"] == "WordPiece":
            return "wordpiece"
        if self.prefix or self.model.get("end_of_word_suffix"):
            raise RecipeError(
                "The tokenizer is a BPE that marks the ends of words; a vocabulary can be transplanted between "
                "WordPiece, byte-level BPE and SentencePiece tokenizers only."
            )
        if any('"ByteLevel"' in json.dumps(spec.get(part)) for part in ("pre_tokenizer", "decoder")):
            return "bytes"
        return "metaspace" if any(token.startswith("▁") for token in self.ordinary) else "plain"

    def _inner_model(self) -> Any:
        """A WordPiece that splits text inside a word: continuing pieces may begin, too."""
        from tokenizers.models import WordPiece

        length = len(self.prefix)
        begins = {token[length:]: id_ for token, id_ in self.all.items() if token.startswith(self.prefix)}
        continues = {token: id_ for token, id_ in self.all.items() if token.startswith(self.prefix)}
        unknown = self.model["unk_token"]
        return WordPiece(
            {**begins, **continues, unknown: self.all[unknown]},
            unk_token=unknown,
            max_input_chars_per_word=self.model["max_input_chars_per_word"],
            continuing_subword_prefix=self.prefix,
        )

    def read(self, token: str) -> tuple[str | None, bool]:
        """A piece's text without the space before it (None: no whole characters), and whether it is inside a word."""
        if self.kind == "wordpiece":
            inside = token.startswith(self.prefix) and token != self.prefix
            return token.removeprefix(self.prefix) if inside else token, inside
        if self.kind == "plain":
            return token, False
        if self.kind == "bytes":
            text = _decoded(token)
        elif byte := _BYTE.fullmatch(token):
            text = chr(int(byte[1], 16)) if int(byte[1], 16) < 128 else None
        else:
            text = token.replace("▁", " ")
        return (None, True) if text is None else (text.removeprefix(" "), not text.startswith(" "))

    def split(self, text: str, inside: bool) -> list[int]:
        """The ids of the known pieces of a text."""
        parts, continued = self._parts(text, inside)
        if len(parts) == 1 and (token := (self.prefix if continued else "") + parts[0]) in self.ordinary:
            return [self.ordinary[token]]
        return [id_ for i, part in enumerate(parts) for id_ in self.tokenize(part, continued and i == 0)]

    def tokenize(self, part: str, continued: bool) -> list[int]:
        """The ids of the known pieces of one pre-token, as the tokenizer's model sees it."""
        model = self._inside if continued else self.backend.model
        return [piece.id for piece in model.tokenize(part) if piece.id not in self._unknown] if part else []

    def _parts(self, text: str, inside: bool) -> tuple[list[str], bool]:
        """The pre-tokens of a text, and whether the first one continues a word."""
        if not inside:
            parts = self._pre_tokens(text)
            if self.mark and not (parts and parts[0].startswith(self.mark)):
                parts = self._pre_tokens(" " + text)
            return parts, False
        first, *rest = self._pre_tokens(_CARRIER + text) or [""]
        first = first.removeprefix(self.mark)
        # Where the tokenizer cuts before the text, as before a comma, the carrier stands alone and leaves nothing.
        return ([first.removeprefix(_CARRIER), *rest], True) if first.startswith(_CARRIER) else ([], False)

    def _pre_tokens(self, text: str) -> list[str]:
        if self.backend.normalizer is not None:
            text = self.backend.normalizer.normalize_str(text)
        if self.backend.pre_tokenizer is None:
            return [text] if text else []
        return [part for part, _ in self.backend.pre_tokenizer.pre_tokenize_str(text)]


def _decoded(token: str) -> str | None:
    """The text of a byte-level piece, or None where its bytes are no whole characters."""
    try:
        return bytes(_BYTES[character] for character in token).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return None


def _byte_alphabet() -> dict[str, int]:
    """The byte of each character of byte-level BPE: printable bytes stand for themselves, the rest from U+0100 up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()
