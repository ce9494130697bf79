"""How much each token shares with the tokens around it.

Shapes: T tokens of one document.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from maskwright.annotation.cooccurrence import Information, check_pairs, pairs
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Source

_VERSION = 1
_PORTION = 1 << 12  # tokens that are looked at together


class PMIImportance(Annotator):
    """The mean, over the tokens at most `window` places away, of max(0, PMI(token, other)) (arXiv 2305.13197).

    Tokens that their surroundings make easy to guess score high. PMI is that of the training side within the same
    window, of pairs that occur `minimum` times or more; other pairs share nothing. smoothing: see `Information`. The
    window reaches over the edges of packed rows, not over those of documents.
    """

    name = "pmi_importance"
    dtype = np.float32
    outside = 0.0

    def __init__(self, window: int, minimum: int, smoothing: float) -> None:
        check_pairs(window, minimum, smoothing, "masking.weight")
        self.window, self.minimum, self.smoothing = window, minimum, float(smoothing)

    def settings(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "window": self.window,
            "minimum": self.minimum,
            "smoothing": self.smoothing,
        }

    def fit(self, source: Source) -> None:
        self._information = Information(pairs(source, self.window, self.minimum), self.smoothing, positive=True)

    def mark(self, document: Document) -> np.ndarray:
        id_T = document.id_T.astype(np.int64)
        sum_T, number_T = np.zeros(len(id_T)), np.zeros(len(id_T))
        for first in range(0, len(id_T), _PORTION):
            stop = min(first + _PORTION, len(id_T))
            own_T, table = self._information.near(id_T[first : stop + self.window], self.window * (stop - first))
            for apart in range(1, self.window + 1):
                pairs_here = min(stop - first, len(own_T) - apart)
                if pairs_here <= 0:
                    break
                shared = table[own_T[:pairs_here], own_T[apart : apart + pairs_here]]
                for begin in (first, first + apart):
                    sum_T[begin : begin + pairs_here] += shared
                    number_T[begin : begin + pairs_here] += 1
        return (sum_T / np.maximum(number_T, 1)).astype(np.float32)
