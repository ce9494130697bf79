"""How often each n-gram of words occurs: order by order, since an n-gram that occurs c times has two parts, one word
shorter, that occur as often.

Shapes: W words of the corpus in a line, N n-grams of one order.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from maskwright.annotation.artefact import artefact
from maskwright.annotation.counts import word_counts
from maskwright.annotation.passes import over_documents
from maskwright.annotation.tally import Tally
from maskwright.data.document import Document, Side, Source
from maskwright.data.flat import Appending, mapped
from maskwright.data.progress import progress

_VERSION = 1
_RARE, _BREAK = -1, -2  # in the line of words: one that is too rare to count, and what no n-gram crosses
_PORTION = 1 << 22  # words of the line that are looked at together


@dataclass(frozen=True)
class Order:
    """The n-grams of n words that occur often enough, in the order of (prefix, last).

    total: all n-grams of n words in the corpus, rare ones too.
    """

    prefix_N: np.ndarray  # int32: the row, among n - 1 words, of all words but the last; of a single word: -1
    suffix_N: np.ndarray  # int32: the row, among n - 1 words, of all words but the first
    last_N: np.ndarray  # int32: the last word's number
    count_N: np.ndarray  # int64
    total: int


class NgramCounts:
    """words: by number. orders: n-grams of 1, 2, ... words."""

    def __init__(self, words: list[str], orders: list[Order]) -> None:
        self.words, self.orders = words, orders

    def part(self, rows_N: np.ndarray, length: int, first: int, number: int) -> np.ndarray:
        """Rows, among n-grams of `number` words, of the words first..first + number - 1 of n-grams of `length`."""
        for size in range(length, first + number, -1):
            rows_N = self.orders[size - 1].prefix_N[rows_N]
        for size in range(first + number, number, -1):
            rows_N = self.orders[size - 1].suffix_N[rows_N]
        return rows_N

    def numbers(self, rows_N: np.ndarray, length: int) -> np.ndarray:
        """The words' numbers, int64 [N, length], of n-grams of `length` words."""
        return np.stack([self.part(rows_N, length, place, 1) for place in range(length)], axis=1)


def ngram_counts(
    source: Source, longest: int, minimum: int, lowercase: bool = True, punctuation: bool = False
) -> NgramCounts:
    """N-grams of 1 to `longest` words that occur `minimum` times or more on the training side, inside documents.

    punctuation: whether n-grams hold words without a letter or digit; otherwise none crosses one. Counted once per
    corpus and kept as an artefact. Memory: 1 GB for the counting, which spills to disk, and the n-grams that occur
    often enough.
    """
    settings = {"longest": longest, "minimum": minimum, "lowercase": lowercase, "punctuation": punctuation}
    build = partial(_counted, longest=longest, minimum=minimum, lowercase=lowercase, punctuation=punctuation)
    found = artefact(source, "ngram_counts", {"version": _VERSION, **settings}, build)
    words = found.table("words")
    totals = found.table("totals")["total"].to_pylist()
    single = np.arange(words.num_rows)
    nothing = np.full(words.num_rows, -1)
    orders = [Order(nothing, nothing, single, words["count"].to_numpy(), totals[0])]
    for length in range(2, longest + 1):
        table = found.table(f"order_{length}")
        prefix_N, suffix_N, last_N, count_N = (column.to_numpy() for column in table.columns)
        orders.append(Order(prefix_N, suffix_N, last_N, count_N, totals[length - 1]))
    return NgramCounts(words["word"].to_pylist(), orders)


def is_word(word: str) -> bool:
    """Whether it has a letter or a digit."""
    return any(character.isalnum() for character in word)


def numbered(document: Document, number_of: dict[str, int], lowercase: bool, other: int) -> np.ndarray:
    """The number of each word of a document, int32; words without one get `other`."""
    words = map(str.lower, document.words) if lowercase else document.words
    return np.fromiter((number_of.get(word, other) for word in words), np.int32, len(document.words))


def _counted(source: Source, longest: int, minimum: int, lowercase: bool, punctuation: bool) -> dict[str, pa.Table]:
    every = word_counts(source, lowercase)
    words = every.filter(pc.greater_equal(every["count"], minimum)).select(["word", "count"])
    if not punctuation:
        words = words.filter(pa.array(list(map(is_word, words["word"].to_pylist())), pa.bool_()))
    number_of = dict(zip(words["word"].to_pylist(), range(words.num_rows)))
    number_of[""] = _BREAK
    if not punctuation:
        number_of |= {word: _BREAK for word in every["word"].to_pylist() if not is_word(word)}
    tables = {"words": words}
    with tempfile.TemporaryDirectory(prefix=".ngrams-", dir=source.cache) as place:
        folder = Path(place)
        totals = _lined_up(source, number_of, lowercase, longest, folder)
        below_key = np.zeros(0, np.uint64)
        below = Order(np.zeros(0), np.zeros(0), np.arange(words.num_rows), words["count"].to_numpy(), totals[0])
        for length in range(2, longest + 1):
            keys, count_N = _order(folder, length, minimum, source)
            prefix_N, last_N = (keys >> np.uint64(32)).astype(np.int32), (keys & np.uint64(0xFFFFFFFF)).astype(np.int32)
            # Without the first word: the prefix without it, and the same last word.
            suffix_N = last_N if length == 2 else rows_of(packed(below.suffix_N[prefix_N], last_N), below_key)
            below_key, below = keys, Order(prefix_N, suffix_N, last_N, count_N, totals[length - 1])
            columns = {"prefix": prefix_N, "suffix": suffix_N.astype(np.int32), "last": last_N, "count": count_N}
            tables[f"order_{length}"] = pa.table(columns)
    tables["totals"] = pa.table({"words": list(range(1, longest + 1)), "total": totals})
    return tables


def _lined_up(source: Source, number_of: dict[str, int], lowercase: bool, longest: int, folder: Path) -> list[int]:
    """Write the numbers of all words, documents one after the other, to `order_1.npy`; returns how many n-grams of
    1, 2, ... words there are."""
    totals = np.zeros(longest, np.int64)
    work = partial(_line, number_of=number_of, lowercase=lowercase)
    with Appending(folder / "order_1.npy", np.int32) as line:
        for number_W in over_documents(source.train, work, "number words", source.processes):
            line.append(number_W)
            run_R = np.diff(np.flatnonzero(number_W == _BREAK), prepend=-1) - 1
            totals += [int((run_R - length + 1).clip(min=0).sum()) for length in range(1, longest + 1)]
    return totals.tolist()


def _line(side: Side, first: int, last: int, number_of: dict[str, int], lowercase: bool) -> np.ndarray:
    """The words of documents first..last - 1, a break behind each document."""
    end = np.array([_BREAK], np.int32)
    parts = (numbered(side[number], number_of, lowercase, _RARE) for number in range(first, last))
    return np.concatenate([part for numbers_W in parts for part in (numbers_W, end)])


def _order(folder: Path, length: int, minimum: int, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Keys (sorted) and counts of the n-grams of `length` words that occur often enough; writes `order_<n>.npy`, the
    row of the n-gram that begins at each word of the line, or -1."""
    word_W = mapped(folder / "order_1.npy")
    below_W = mapped(folder / f"order_{length - 1}.npy")
    with ExitStack() as stack:
        tally = stack.enter_context(Tally(folder, threads=source.processes))
        advance = stack.enter_context(progress(f"count n-grams of {length} words", 2 * len(word_W)))
        for _, keys in _keys(word_W, below_W, length):
            tally.add(*np.unique(keys, return_counts=True))
            advance(_PORTION)
        table = tally.sums(minimum)
        frequent = table["key"].to_numpy()
        rows = stack.enter_context(Appending(folder / f"order_{length}.npy", np.int32))
        for where, keys in _keys(word_W, below_W, length):
            row_W = np.full(len(where), -1, np.int32)
            row_W[where] = rows_of(keys, frequent)
            rows.append(row_W)
            advance(_PORTION)
    return frequent, table["count"].to_numpy()


def _keys(word_W: np.ndarray, below_W: np.ndarray, length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Portions of the line: where n-grams begin that may be frequent (bool), and their keys (prefix, last word)."""
    for first in range(0, len(word_W), _PORTION):
        prefix_W = below_W[first : first + _PORTION]
        behind_W = np.full(len(prefix_W), -1, np.int32)  # the n-gram that begins one word later
        found_W = below_W[first + 1 : first + 1 + _PORTION]
        behind_W[: len(found_W)] = found_W
        where = (prefix_W >= 0) & (behind_W >= 0)
        last = first + length - 1 + np.flatnonzero(where)
        yield where, packed(prefix_W[where], word_W[last])


def packed(prefix_N: np.ndarray, last_N: np.ndarray) -> np.ndarray:
    return prefix_N.astype(np.uint64) << np.uint64(32) | last_N.astype(np.uint64)


def rows_of(keys: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Where each key stands in the sorted table, int64; -1: nowhere."""
    if not len(table):
        return np.full(len(keys), -1)
    at = np.searchsorted(table, keys).clip(max=len(table) - 1)
    return np.where(table[at] == keys, at, -1)
