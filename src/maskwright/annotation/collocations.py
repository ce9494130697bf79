"""Columns of n-grams: collocations as units, and the entry of a lexicon that each token belongs to.

Shapes: T tokens and W words of one document, M matches.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from maskwright.annotation.lexicon import Lexicon, Matches
from maskwright.data.annotate import Annotator
from maskwright.data.corpus import digest
from maskwright.data.document import Document, Source
from maskwright.errors import RecipeError
from maskwright.masking.noise import stream_id, uniform_at

_VERSION = 1
_OVERLAPS = ("random", "longest")


class Collocations(Annotator):
    """Units: the n-grams of a lexicon, and whole words for the rest (PMI-masking, arXiv 2010.01825).

    overlaps: `random`: of entries within each other the longest counts; of those that overlap in part one is drawn, and
    what it leaves of the others are single words. `longest`: the longest first, then whatever does not overlap
    (DALE, arXiv 2310.15799), equally long ones in random order. The draw is frozen: counter-based noise of the
    document's text and the word's number, so that a document has the same units wherever it stands.
    """

    def __init__(self, name: str, lexicon: Lexicon, overlaps: str) -> None:
        if overlaps not in _OVERLAPS:
            raise RecipeError(f"masking: overlaps is {overlaps}; choose one of {', '.join(_OVERLAPS)}.")
        self.name, self.lexicon, self.overlaps = name, lexicon, overlaps

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "overlaps": self.overlaps, "lexicon": self.lexicon.settings()}

    def fit(self, source: Source) -> None:
        self.lexicon.fit(source)
        self._memo = digest("collocations", self.settings())

    def units(self, document: Document) -> Matches:
        """The entries that are units, sorted; no two overlap."""
        if self._memo not in document.memo:
            document.memo[self._memo] = settled(self.lexicon.find(document), document, self.overlaps)
        return document.memo[self._memo]

    def mark(self, document: Document) -> np.ndarray:
        start_M, length_M, _ = self.units(document)
        begins_W = np.ones(int(document.begins_T.sum()), bool)
        begins_W[_within(start_M + 1, length_M - 1)] = False
        begins_T = document.begins_T.copy()
        begins_T[document.begins_T] = begins_W
        return begins_T


class Entries(Annotator):
    """The row in the lexicon's table of the n-gram that each token belongs to; -1: a word by itself.

    For objectives that predict n-grams as such (ERNIE-Gram, arXiv 2010.12148); `lexicon.table` has the rows.
    """

    dtype = np.int32
    outside = -1

    def __init__(self, collocations: Collocations) -> None:
        self.collocations, self.lexicon = collocations, collocations.lexicon
        self.name = f"{collocations.name}_entry"

    def settings(self) -> dict[str, Any]:
        return self.collocations.settings()

    def fit(self, source: Source) -> None:
        self.collocations.fit(source)

    def mark(self, document: Document) -> np.ndarray:
        start_M, length_M, entry_M = self.collocations.units(document)
        entry_W = np.full(int(document.begins_T.sum()), -1, np.int32)
        entry_W[_within(start_M, length_M)] = np.repeat(entry_M, length_M)
        return entry_W[document.word_T]


def settled(found: Matches, document: Document, overlaps: str) -> Matches:
    """Those matches that become units: see `Collocations`."""
    if overlaps == "random":
        found = _taken(found, _outermost(found))
    noise_M = _noise(document, found)
    rank_M = np.empty(len(noise_M), np.int64)
    first_wins = np.lexsort((noise_M, found.length_M)) if overlaps == "longest" else np.argsort(noise_M)
    rank_M[first_wins] = np.arange(1, len(noise_M) + 1)
    return _taken(found, _greedy(found, rank_M))


def _outermost(found: Matches) -> np.ndarray:
    """Bool [M]: the matches that lie in no other one."""
    stop_M = found.start_M + found.length_M
    longest_M = np.append(found.start_M[1:] != found.start_M[:-1], True)[: len(stop_M)]  # the last of each start
    before_M = np.maximum.accumulate(np.append(0, stop_M))[:-1]  # where matches before it end at the latest
    return longest_M & (stop_M > before_M)


def _greedy(found: Matches, rank_M: np.ndarray) -> np.ndarray:
    """Bool [M]: each match in the order of falling rank, if it overlaps with none taken before.

    All that have the highest rank wherever they reach are taken at once, again and again: with random ranks in about
    log(M) rounds.
    """
    taken_M = np.zeros(len(rank_M), bool)
    open_M = np.arange(len(rank_M))
    highest_W = np.zeros(int((found.start_M + found.length_M).max(initial=0)), np.int64)
    while len(open_M):
        start, length = found.start_M[open_M], found.length_M[open_M]
        words = _within(start, length)
        highest_W[words] = 0
        np.maximum.at(highest_W, words, np.repeat(rank_M[open_M], length))
        first = np.cumsum(length) - length
        wins = np.maximum.reduceat(highest_W[words], first) == rank_M[open_M]
        taken_M[open_M[wins]] = True
        gone_W = np.zeros(len(highest_W), bool)
        gone_W[_within(start[wins], length[wins])] = True
        open_M = open_M[~np.logical_or.reduceat(gone_W[words], first)]
    return taken_M


def _within(start_M: np.ndarray, length_M: np.ndarray) -> np.ndarray:
    """The words start..start + length - 1 of every match in a line."""
    first_M = np.cumsum(length_M) - length_M
    return np.arange(int(length_M.sum())) + np.repeat(start_M - first_M, length_M)


def _noise(document: Document, found: Matches) -> np.ndarray:
    """Noise float64 [M] in (0, 1) of the document's text, the match's first word and its length."""
    text = hashlib.blake2b(document.text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    key = (stream_id("annotation.collocations"), int.from_bytes(text, "little", signed=True))
    place_1M = torch.from_numpy(found.start_M * 64 + found.length_M)[None]
    return uniform_at(key, place_1M)[0].numpy()


def _taken(found: Matches, which_M: np.ndarray) -> Matches:
    return Matches(*(column[which_M] for column in found))
