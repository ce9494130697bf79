"""How far two distributions are apart, and how far the neighbours of words differ between two periods.

Shapes: D documents, V words, G groups of documents, N contexts.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from maskwright.annotation.neighbours import neighbour_counts
from maskwright.data.document import Source


def by_neighbours(
    source: Source, words: list[str], frequent: list[str], later_D: np.ndarray, window: int, contexts: int
) -> tuple[np.ndarray, np.ndarray]:
    """How far the neighbours of each word differ between the two periods: float64 [V], [V], in nats.

    The Jensen-Shannon divergence between the neighbours in half of the documents of one period and half of the other's,
    the mean of the four pairs; and by what it exceeds that between the two halves of a period. The second is about 0
    for a word whose use has not changed, however rare it is: few occurrences raise both alike. Not a number where a
    half shows no neighbour. later_D: int64, 0 or 1 for the period of a document, below 0: none.
    """
    half_D = np.full_like(later_D, -1)
    for period in (0, 1):
        within = np.flatnonzero(later_D == period)
        half_D[within] = 2 * period + np.arange(len(within)) % 2
    near = frequent[:contexts]
    every = [*near, *sorted({*words} - {*near})]
    counts = neighbour_counts(source, every, len(near), window, half_D, 4)
    row_of = {word: row for row, word in enumerate(every)}
    counts_GVN = counts[:, [row_of[word] for word in words]].reshape(4, len(words), -1)
    pair = {(one, other): jensen_shannon(counts_GVN[one], counts_GVN[other]) for one, other in _PAIRS}
    across_V = np.mean([pair[one, other] for one, other in product((0, 1), (2, 3))], axis=0)
    return across_V, across_V - (pair[0, 1] + pair[2, 3]) / 2


_PAIRS = ((0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3))
_ROWS = 512  # looked at together


def jensen_shannon(one_VN: np.ndarray, other_VN: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence, in nats, of two distributions given as counts, row by row: float64 [V]; not a
    number where one has no counts."""
    found = []
    for first in range(0, len(one_VN), _ROWS):
        p, q = (part[first : first + _ROWS].astype(np.float64) for part in (one_VN, other_VN))
        with np.errstate(invalid="ignore"):
            p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        found.append(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)
    return np.concatenate(found) if found else np.zeros(0)


def _entropy(p_VN: np.ndarray) -> np.ndarray:
    from scipy.special import entr

    return entr(p_VN).sum(1)
