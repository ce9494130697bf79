"""Relative distances in buckets that grow logarithmically (DeBERTa v2, as in LTG-BERT, arXiv 2303.09859)."""

from __future__ import annotations

import math


def buckets(positions: int, size: int) -> list[int]:
    """The bucket of every distance 0..positions-1, in 0..size-1; a negative distance has the negated bucket.

    Distances up to size / 2 are buckets of their own; the others share the remaining ones up to the distance
    `positions` - 1, in equal steps of their logarithm.
    """
    middle = size // 2
    found = list(range(min(positions, middle + 1)))
    steps = math.log((positions - 1) / middle) if positions - 1 > middle else 1.0
    for distance in range(middle + 1, positions):
        share = math.log(distance / middle) / steps * (middle - 1)
        found.append(min(math.ceil(share - 1e-9) + middle, size - 1))  # the last distance gives middle - 1 exactly
    return found
