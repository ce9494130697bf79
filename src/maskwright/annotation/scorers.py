"""What makes an n-gram a collocation: scores from its count and those of its parts.

p(g) is the count of g over the number of all n-grams of as many words.
Shapes: N n-grams of one order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from maskwright.annotation.ngrams import NgramCounts
from maskwright.errors import RecipeError


class Scorer(ABC):
    """Ranks the n-grams of one order among each other."""

    @abstractmethod
    def __call__(self, counts: NgramCounts, length: int) -> np.ndarray:
        """Scores float64 [N] of the n-grams of `length` words; -inf: not to be chosen."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that shape the scores."""


class PMI(Scorer):
    """Pointwise mutual information of n words: the least, over all ways to cut the n-gram into two parts or more, of
    log(p(w1..wn) / product of p(part)) (arXiv 2010.01825).

    square: p(w1..wn)^2 above the line, which favours frequent n-grams, as in the lists that the authors released.
    """

    def __init__(self, square: bool) -> None:
        self.square = square

    def __call__(self, counts: NgramCounts, length: int) -> np.ndarray:
        return self.of(counts, length, np.arange(len(counts.orders[length - 1].count_N)))

    def of(self, counts: NgramCounts, length: int, rows_N: np.ndarray) -> np.ndarray:
        """Scores of some of the n-grams only."""
        own_N = _log_share(counts, rows_N, length)
        return (2 if self.square else 1) * own_N - likeliest_cut(counts, length, rows_N)

    def settings(self) -> dict[str, Any]:
        return {"scorer": "pmi", "square": self.square}


class DiscountedPMI(PMI):
    """PMI times log f / (log c + log f) for an n-gram that occurs f times, where c is a percentile of the counts; only
    n-grams with f > c (DALE, arXiv 2310.15799).

    percentile: of the counts of those n-grams of one order that occur often enough to be counted.
    """

    def __init__(self, percentile: float) -> None:
        super().__init__(square=False)
        if not 0 <= percentile < 100:
            raise RecipeError(f"masking: percentile is {percentile}; it lies between 0 and 100, 100 excluded.")
        self.percentile = float(percentile)

    def __call__(self, counts: NgramCounts, length: int) -> np.ndarray:
        count_N = counts.orders[length - 1].count_N
        if not len(count_N):
            return np.zeros(0)
        least = np.percentile(count_N, self.percentile)
        often_N = np.flatnonzero(count_N > least)
        log_N = np.log(count_N[often_N])
        score_N = np.full(len(count_N), -np.inf)
        score_N[often_N] = self.of(counts, length, often_N) * log_N / (np.log(least) + log_N)
        return score_N

    def settings(self) -> dict[str, Any]:
        return {"scorer": "discounted_pmi", "percentile": self.percentile}


class TTest(Scorer):
    """Student's t of the hypothesis that the words are independent: (p(g) - product of p(word)) / sqrt(p(g) (1 - p(g))
    / N) with N n-grams of as many words (ERNIE-Gram, arXiv 2010.12148)."""

    def __call__(self, counts: NgramCounts, length: int) -> np.ndarray:
        order = counts.orders[length - 1]
        every_N = np.arange(len(order.count_N))
        alone_N = sum(_log_share(counts, words_N, 1) for words_N in counts.numbers(every_N, length).T)
        share_N = order.count_N / order.total
        spread_N = np.sqrt(np.maximum(share_N * (1 - share_N), 1e-300) / order.total)
        return (share_N - np.exp(alone_N)) / spread_N

    def settings(self) -> dict[str, Any]:
        return {"scorer": "t_test"}


def likeliest_cut(counts: NgramCounts, length: int, rows_N: np.ndarray) -> np.ndarray:
    """The greatest sum of log p(part) over all ways to cut n-grams of `length` words into two parts or more."""

    def best(rows_N: np.ndarray, size: int) -> np.ndarray:
        """Of `size` words in any number of parts, one too."""
        whole_N = _log_share(counts, rows_N, size)
        return whole_N if size == 1 else np.maximum(whole_N, cut(rows_N, size))

    def cut(rows_N: np.ndarray, size: int) -> np.ndarray:
        found_N = np.full(len(rows_N), -np.inf)
        for first in range(1, size):  # words in the first part
            head_N = _log_share(counts, counts.part(rows_N, size, 0, first), first)
            tail_N = best(counts.part(rows_N, size, first, size - first), size - first)
            found_N = np.maximum(found_N, head_N + tail_N)
        return found_N

    return cut(rows_N, length)


def _log_share(counts: NgramCounts, rows_N: np.ndarray, length: int) -> np.ndarray:
    order = counts.orders[length - 1]
    return np.log(order.count_N[rows_N] / order.total)
