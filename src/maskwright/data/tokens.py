"""Documents as tokens: ids, character offsets and bytes, as flat columns on disk.

Shapes: D documents, T tokens of all documents of a portion.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.data.encode import Encoder
from maskwright.data.flat import Appending
from maskwright.data.progress import progress
from maskwright.data.split import PREFIX
from maskwright.data.texts import Texts, runs
from maskwright.data.tokenizers.reading import Read, read
from maskwright.data.words import utf8_ends
from maskwright.data.workers import in_order
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOGETHER = 1 << 21  # bytes of text that are encoded at once
_SMALL = 1 << 23  # bytes below which one process is quicker than several
_SOLID_THEN_SPACE = re.compile(rb"(?<=[!-~]) ")


class _Portion(NamedTuple):
    """Documents first..last - 1; or of a single long one the bytes begin..end - 1, `more` of it following."""

    first: int
    last: int
    begin: int = 0
    end: int | None = None
    more: bool = False


class _Tokens(NamedTuple):
    """The tokens of a portion, with offsets and bytes from its beginning."""

    id_T: np.ndarray
    start_T: np.ndarray
    end_T: np.ndarray
    bytes_T: np.ndarray
    count_D: np.ndarray
    prefix_D: np.ndarray  # int64: tokens of what stands in front of each text
    characters: int
    bytes: int
    read: Read


def tokenise(
    folder: Path, texts: Path, backend: Tokenizer, label: str, rows: int, unknown: int | None, processes: int = 1
) -> tuple[Read, int]:
    """Write the tokens of a file of texts to `folder`; returns what they read of it and the documents that have none.

    rows: the highest id + 1; unknown: the id of unknown text.
    Columns, one value a token: ids (uint16, or uint32 in large vocabularies), start and end (uint32 character
    offsets in the document), bytes (uint32, summing to the document's). One value a document that has tokens:
    number (its place in the file), length, and where something stands in front of the text, prefix: the tokens of
    that. Only portions of the text are held in memory. Raises RecipeError when there is no token.
    """
    backend = type(backend).from_str(backend.to_str())
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True  # a "[MASK]" written in the text is text
    table = Texts(texts)
    prefixed = PREFIX in table.names
    kinds: dict[str, type] = {
        "ids": np.uint16 if rows <= 1 << 16 else np.uint32,
        "start": np.uint32,
        "end": np.uint32,
        "bytes": np.uint32,
    }
    kinds |= {"number": np.int64, "length": np.int64} | ({"prefix": np.int64} if prefixed else {})
    size_D = table.bytes_D()
    total, empty = Read(), 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(Appending(folder / f"{name}.npy", kind)) for name, kind in kinds.items()}
        whole = int(size_D.sum())
        advance = stack.enter_context(progress(f"tokenize {label} documents", whole, "B"))
        processes = processes if whole >= _SMALL else 1
        found = in_order(_encode, _portions(table, size_D), processes, _begin, (texts, backend, unknown, processes))
        for first, part in _joined(_portions(table, size_D), found):
            has_D = part.count_D > 0
            values = {"ids": part.id_T, "start": part.start_T, "end": part.end_T, "bytes": part.bytes_T}
            values |= {"number": first + np.flatnonzero(has_D), "length": part.count_D[has_D]}
            if prefixed:
                values["prefix"] = part.prefix_D[has_D]
            for name, column in values.items():
                files[name].append(column)
            total, empty = total + part.read, empty + int(np.count_nonzero(~has_D))
            advance(part.bytes)
    if not total.tokens:
        raise RecipeError(f"the tokenizer finds no token in the {label} documents; give more or other text.")
    return total, empty


def _portions(table: Texts, size_D: np.ndarray) -> Iterator[_Portion]:
    """All documents: several short ones together, a long one in several portions, cut where a word begins."""
    for first, last in runs(size_D, _TOGETHER):
        if size_D[first] <= 2 * _TOGETHER:
            yield _Portion(first, last)
            continue
        text, begin = table.utf8(first), 0
        while begin < len(text):
            cut = _SOLID_THEN_SPACE.search(text, begin + _TOGETHER)
            end = cut.start() if cut else len(text)
            yield _Portion(first, last, begin, end, more=end < len(text))
            begin = end


class _Worker(NamedTuple):
    """What a process needs to encode portions."""

    table: Texts
    encoder: Encoder
    unknown: int | None


_worker: list[_Worker] = []  # of this process: one


def _begin(texts: Path, backend: Tokenizer, unknown: int | None, processes: int) -> None:
    if processes > 1:  # the library's threads do not outlive a fork, and each core has a process of its own
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker[:] = [_Worker(Texts(texts), Encoder(backend), unknown)]


def _encode(portion: _Portion) -> _Tokens:
    table, encoder, unknown = _worker[0]
    first, last = portion.first, portion.last
    if portion.end is None:
        texts = table.column("text", first, last)
    else:
        texts = [str(table.utf8(first)[portion.begin : portion.end], "utf-8")]
    id_T, start_T, end_T, count_D = encoder(texts)
    prefix_D = np.zeros(len(texts), dtype=np.int64)
    if PREFIX in table.names and not portion.begin:
        before_D = np.array(table.column(PREFIX, first, last), dtype=np.int64)
        document_T = np.repeat(np.arange(len(texts)), count_D)
        prefix_D = np.bincount(document_T[end_T <= before_D[document_T]], minlength=len(texts))
    bytes_T = token_bytes(texts, end_T, count_D, rest=portion.end is None)
    table.release()
    return _Tokens(
        id_T=id_T,
        start_T=start_T.astype(np.uint32),
        end_T=end_T.astype(np.uint32),
        bytes_T=bytes_T,
        count_D=count_D,
        prefix_D=prefix_D,
        characters=sum(map(len, texts)),
        bytes=sum(len(text.encode()) for text in texts),
        read=_read(texts, id_T, start_T, end_T, count_D, unknown),
    )


def _read(
    texts: list[str],
    id_T: np.ndarray,
    start_T: np.ndarray,
    end_T: np.ndarray,
    count_D: np.ndarray,
    unknown: int | None,
) -> Read:
    """What the tokens of several texts read of them."""
    size_D = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    before_T = np.repeat(np.cumsum(size_D) - size_D, count_D)
    return read("".join(texts), id_T, start_T + before_T, end_T + before_T, unknown)


def _joined(portions: Iterator[_Portion], found: Iterator[_Tokens]) -> Iterator[tuple[int, _Tokens]]:
    """The tokens of portions, each with its first document.

    Those of a long document count from its beginning, and it is counted itself with the last of them.
    """
    held, carry, characters, tokens, prefix = None, 0, 0, 0, 0
    for portion, part in zip(portions, found, strict=True):
        if portion.end is None:
            yield portion.first, part
            continue
        if not portion.begin:
            held, carry, characters, tokens, prefix = None, 0, 0, 0, 0
        start_T, end_T = (part.start_T + np.uint32(characters)), (part.end_T + np.uint32(characters))
        characters, tokens, prefix = characters + part.characters, tokens + len(end_T), prefix + int(part.prefix_D[0])
        behind = part.bytes - int(part.bytes_T.sum())  # bytes behind the last token: they belong to the next one
        if len(end_T):
            part.bytes_T[0] += carry
            carry = 0
            if held is not None:
                yield portion.first, held
            held = part._replace(start_T=start_T, end_T=end_T, count_D=part.count_D[:0], prefix_D=part.prefix_D[:0])
        elif held is not None:
            held = held._replace(read=held.read + part.read, bytes=held.bytes + part.bytes)
        carry += behind
        if not portion.more:
            held = part if held is None else held
            if len(held.bytes_T):
                held.bytes_T[-1] += carry
            yield portion.first, held._replace(count_D=np.array([tokens]), prefix_D=np.array([prefix]))


def token_bytes(texts: list[str], end_T: np.ndarray, count_D: np.ndarray, rest: bool = True) -> np.ndarray:
    """UTF-8 bytes from the end of the token before to the end of each token: uint32 [T].

    So white space belongs to the token after it; with `rest`, what follows the last token of a text belongs to that
    one, and the bytes sum to the text's.
    """
    size_D = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    first_D = np.cumsum(size_D) - size_D
    end_T = end_T + np.repeat(first_D, count_D)
    joined = "".join(texts)
    byte_C = None if joined.isascii() else utf8_ends(joined)
    byte_T = end_T if byte_C is None else byte_C[end_T]
    has_D = count_D > 0
    last_T = (np.cumsum(count_D) - 1)[has_D]
    begin_D, behind_D = first_D[has_D], (first_D + size_D)[has_D]
    if byte_C is not None:
        begin_D, behind_D = byte_C[begin_D], byte_C[behind_D]
    if rest:
        byte_T[last_T] = behind_D
    before_T = np.concatenate(([0], byte_T))[: len(byte_T)]
    before_T[np.concatenate(([0], last_T + 1))[: len(last_T)]] = begin_D
    return (byte_T - before_T).astype(np.uint32)
