"""Documents as tokens: ids, character offsets and bytes, as flat columns on disk.

Shapes: T tokens of one document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskwright.data.flat import Appending
from maskwright.data.progress import progress
from maskwright.data.split import PREFIX
from maskwright.data.tokenizers.reading import Read, encodings, read
from maskwright.data.words import utf8_ends
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PORTION = 1 << 17  # characters that the tokenizer takes at once
_SOLID_THEN_SPACE = re.compile(r"(?<=\S)\s")


def tokenise(
    folder: Path, texts: Path, backend: Tokenizer, label: str, rows: int, unknown: int | None
) -> tuple[Read, int]:
    """Write the tokens of a file of texts to `folder`; returns what they read of it and the documents that have none.

    rows: the highest id + 1; unknown: the id of unknown text.
    Columns, one value a token: ids (uint16, or uint32 in large vocabularies), start and end (uint32 character
    offsets in the document), bytes (uint32, summing to the document's). One value a document that has tokens:
    number (its place in the file), length, and where something stands in front of the text, prefix: the tokens of
    that. Only a portion of the text is held in memory. Raises RecipeError when there is no token.
    """
    from datasets import Dataset

    backend = type(backend).from_str(backend.to_str())
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True  # a "[MASK]" written in the text is text
    table = Dataset.from_file(str(texts))
    prefixed = PREFIX in table.column_names
    table = table.select_columns(["text", PREFIX] if prefixed else ["text"])
    kinds: dict[str, type] = {
        "ids": np.uint16 if rows <= 1 << 16 else np.uint32,
        "start": np.uint32,
        "end": np.uint32,
        "bytes": np.uint32,
    }
    kinds |= {"number": np.int64, "length": np.int64} | ({"prefix": np.int64} if prefixed else {})
    total, empty = Read(), 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(Appending(folder / f"{name}.npy", kind)) for name, kind in kinds.items()}
        advance = stack.enter_context(progress(f"tokenize {label} documents", len(table)))
        number = 0
        for batch in table.iter(50):
            before = batch[PREFIX] if prefixed else [0] * len(batch["text"])
            for text, prefix, (id_T, start_T, end_T) in zip(batch["text"], before, encoded(batch["text"], backend)):
                if len(id_T):
                    values = {"ids": id_T, "start": start_T, "end": end_T, "bytes": token_bytes(text, end_T)}
                    values |= {"number": np.array([number]), "length": np.array([len(id_T)])}
                    if prefixed:
                        values["prefix"] = np.searchsorted(end_T, [prefix], side="right")
                    for name, column in values.items():
                        files[name].append(column)
                total += read(text, id_T, start_T, end_T, unknown)
                empty, number = empty + (not len(id_T)), number + 1
            advance(len(batch["text"]))
    if not total.tokens:
        raise RecipeError(f"the tokenizer finds no token in the {label} documents; give more or other text.")
    return total, empty


def encoded(texts: list[str], backend: Tokenizer) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ids and character offsets of each text, without special tokens; ends never decrease."""
    pieces = [(document, *piece) for document, text in enumerate(texts) for piece in _pieces(text)]
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in texts]
    for group in _groups(pieces):  # the library's encodings take 100 times the memory of these arrays
        for (document, first, _), encoding in zip(
            group, encodings(backend, [text for _, _, text in group]), strict=True
        ):
            offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) + first
            parts[document].append((np.array(encoding.ids, dtype=np.uint32), offsets))
    for found in parts:
        offsets = np.concatenate([offsets for _, offsets in found])
        yield np.concatenate([ids for ids, _ in found]), offsets[:, 0], np.maximum.accumulate(offsets[:, 1])


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
