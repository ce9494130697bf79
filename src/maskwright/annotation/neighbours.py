"""Which words stand near which: counts over the training side.

Shapes: G groups of documents, V words, C context words, W words of one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from maskwright.annotation.ngrams import numbered
from maskwright.annotation.passes import over_documents
from maskwright.data.document import Side, Source


def neighbour_counts(
    source: Source, words: Sequence[str], contexts: int, window: int, group_D: np.ndarray | None = None, groups: int = 1
) -> np.ndarray:
    """How often each of the first `contexts` words stands at most `window` words before each word (side 0) or behind it
    (side 1), inside a document: uint32 [G, V, 2, C]. Other words are left out before distances are counted, as in
    word2vec; small letters and capitals are one.

    group_D: int64, the group of each training document, below 0: none; None: all are of group 0. Memory: 8 G V C bytes
    and a few runs of documents, however large the corpus is.
    """
    number_of = {word: row for row, word in enumerate(words)}
    counts = np.zeros((groups, len(words), 2, min(contexts, len(words))), np.uint32)
    flat = counts.reshape(-1)
    work = partial(_pairs, number_of=number_of, shape=counts.shape, window=window, group_D=group_D)
    for portions in over_documents(source.train, work, "count neighbours", source.processes):
        for places, number in portions:
            flat[places] += number
    return counts


def _pairs(
    side: Side, first: int, last: int, number_of: dict[str, int], shape: tuple[int, ...], window: int,
    group_D: np.ndarray | None,
) -> list[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Places (int64, in the flat counts, each once a portion) and counts (uint32) of the pairs of documents
    first..last - 1."""
    _, words, _, contexts = shape
    line_W, base_W = _line(side, first, last, number_of, words, window, group_D)
    found = []
    for begin in range(0, len(line_W), _PORTION):
        keys = []
        for distance in range(1, window + 1):
            right = line_W[begin + distance : begin + distance + _PORTION]
            left, base = line_W[begin : begin + len(right)], base_W[begin : begin + len(right)]
            for side_of, word, context in ((0, right, left), (1, left, right)):
                near = (word >= 0) & (context >= 0) & (context < contexts)
                keys.append(((base[near] + word[near]) * 2 + side_of) * contexts + context[near])
        places, counts = np.unique(np.concatenate(keys), return_counts=True)
        found.append((places, counts.astype(np.uint32)))
    return found


_PORTION = 1 << 18  # words looked at together


def _line(
    side: Side, first: int, last: int, number_of: dict[str, int], words: int, window: int, group_D: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the words that have one, int64 [W], with a gap of -1 as wide as the window behind each document, and
    the first row of the document's group."""
    gap = np.full(window, -1)
    rows, bases = [], []
    for number in range(first, last):
        group = 0 if group_D is None else int(group_D[number])
        if group >= 0:
            row_W = numbered(side[number], number_of, lowercase=True, other=-1)
            rows.append(np.concatenate([row_W[row_W >= 0], gap]))
            bases.append(np.full(len(rows[-1]), group * words))
    nothing = [np.zeros(0, np.int64)]
    return np.concatenate(rows or nothing), np.concatenate(bases or nothing)


def counts_by_group(source: Source, words: Sequence[str], group_D: np.ndarray, groups: int) -> np.ndarray:
    """How often each word occurs in the training documents of each group: int64 [G, V]; small letters and capitals are
    one. group_D: int64, below 0: none."""
    number_of = {word: row for row, word in enumerate(words)}
    work = partial(_occurrences, number_of=number_of, group_D=group_D, groups=groups)
    counts_GV = np.zeros((groups, len(words)), np.int64)
    for found_GV in over_documents(source.train, work, "count words by period", source.processes):
        counts_GV += found_GV
    return counts_GV


def _occurrences(
    side: Side, first: int, last: int, number_of: dict[str, int], group_D: np.ndarray, groups: int
) -> np.ndarray:
    counts_GV = np.zeros((groups, len(number_of)), np.int64)
    for number in range(first, last):
        if group_D[number] >= 0:
            row_W = numbered(side[number], number_of, lowercase=True, other=-1)
            counts_GV[group_D[number]] += np.bincount(row_W[row_W >= 0], minlength=len(number_of))
    return counts_GV
