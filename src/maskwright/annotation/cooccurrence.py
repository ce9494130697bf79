"""How often tokens stand near each other, and their pointwise mutual information.

Shapes: V vocabulary, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array, csr_array

from maskwright.annotation.artefact import artefact
from maskwright.annotation.passes import over_tokens
from maskwright.annotation.tally import Tally
from maskwright.data.document import Side, Source
from maskwright.errors import RecipeError

_VERSION = 1
_DENSE = 1 << 25  # cells of a square table up to which it is kept whole (128 MB), since that is quicker to read


@dataclass(frozen=True)
class Pairs:
    """Pairs of tokens that stand at most `window` places apart in one document.

    A pair of places counts once, whichever token comes first. first <= second, sorted.
    """

    first_P: np.ndarray  # int64 token ids
    second_P: np.ndarray
    count_P: np.ndarray  # int64, `minimum` or more
    places_V: np.ndarray  # int64: pairs of places that each token is one of, rare pairs too; twice where it is both


def pairs(source: Source, window: int, minimum: int) -> Pairs:
    """The pairs that occur `minimum` times or more on the training side.

    Counted once per corpus and kept as an artefact. Memory: 1 GB for the counting, which spills to disk, some hundred
    MB for each process, and the pairs that occur often enough.
    """
    settings = {"version": _VERSION, "window": window, "minimum": minimum}
    found = artefact(source, "pairs", settings, partial(_counted, window=window, minimum=minimum))
    first_P, second_P, count_P = (column.to_numpy() for column in found.table("pairs").columns)
    return Pairs(first_P, second_P, count_P, found.table("tokens")["places"].to_numpy())


def check_pairs(window: int, minimum: int, smoothing: float, setting: str) -> None:
    """Raises RecipeError for values that make no sense."""
    if isinstance(window, bool) or window < 1:
        raise RecipeError(f"{setting}: window is {window}; tokens stand 1 place or more apart.")
    if minimum < 1:
        raise RecipeError(f"{setting}: minimum is {minimum}; pairs are counted from 1 occurrence up.")
    if smoothing < 0:
        raise RecipeError(f"{setting}: smoothing is {smoothing}; it is a count from 0 up, added to that of every pair.")


class Information:
    """PMI(a, b) = log(p(a, b) / (p(a) p(b))) of tokens that stand near each other; 0 for pairs that are too rare.

    p is a share of all (ordered) pairs. smoothing: a count added to that of every pair of tokens (Laplace), which
    lowers what rare tokens reach. positive: values below 0 become 0. Memory is bounded by the vocabulary and the least
    count: a whole table of up to 128 MB, or a sparse one of the pairs.
    """

    def __init__(self, pairs: Pairs, smoothing: float, positive: bool) -> None:
        places_V = pairs.places_V.astype(float)
        same_P = pairs.first_P == pairs.second_P
        ordered_P = pairs.count_P * np.where(same_P, 2.0, 1.0) + smoothing
        seen = np.count_nonzero(places_V)
        share_V = places_V + smoothing * seen
        total = places_V.sum() + smoothing * seen**2
        value_P = np.log(ordered_P * total / (share_V[pairs.first_P] * share_V[pairs.second_P]))
        kept_P = value_P > 0 if positive else np.ones(len(value_P), bool)
        first, second, value = pairs.first_P[kept_P], pairs.second_P[kept_P], value_P[kept_P].astype(np.float32)
        mirrored = first != second
        rows, columns = np.append(first, second[mirrored]), np.append(second, first[mirrored])
        shape = (len(places_V), len(places_V))
        table = csr_array(coo_array((np.append(value, value[mirrored]), (rows, columns)), shape))
        self._table: csr_array | np.ndarray = table.toarray() if len(places_V) ** 2 <= _DENSE else table

    def near(self, id_T: np.ndarray, reads: int) -> tuple[np.ndarray, np.ndarray]:
        """The tokens by other numbers, int64 [T], and a square table float32 of PMI by these numbers.

        reads: how many values the caller will look up, which decides whether a table of these tokens alone is made.
        """
        id_U, number_T = np.unique(id_T, return_inverse=True)
        if isinstance(self._table, np.ndarray):
            if len(id_U) ** 2 > reads:
                return id_T, self._table
            return number_T, self._table[np.ix_(id_U, id_U)]
        return number_T, self._table[id_U][:, id_U].toarray()


def _counted(source: Source, window: int, minimum: int) -> dict[str, pa.Table]:
    vocabulary = len(source.tokenizer)
    places_V = np.zeros(vocabulary, np.int64)
    work = partial(_near, window=window, vocabulary=vocabulary)
    with Tally(source.cache, threads=source.processes) as tally:
        for keys, counts, own_V in over_tokens(source.train, work, "count pairs of tokens", source.processes):
            tally.add(keys, counts)
            places_V += own_V
        table = tally.sums(minimum)
    key_P = table["key"].to_numpy()
    first_P, second_P = (part.astype(np.int64) for part in np.divmod(key_P, np.uint64(vocabulary)))
    columns = {"first": first_P, "second": second_P, "count": table["count"].to_numpy()}
    return {"pairs": pa.table(columns), "tokens": pa.table({"id": np.arange(vocabulary), "places": places_V})}


def _near(side: Side, first: int, last: int, window: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose left token is one of first..last - 1: keys lower id x V + higher id (uint64) and counts; and how
    often each token is in one."""
    stop = min(last + window, side.tokens)
    ids = np.asarray(side.ids[first:stop]).astype(np.int64)
    begins = np.zeros(stop - first, bool)
    inside = side.first_D[np.searchsorted(side.first_D, first + 1) : np.searchsorted(side.first_D, stop)]
    begins[inside - first] = True
    document = np.cumsum(begins)
    small = vocabulary**2 <= 1 << 32  # shorter keys are sorted faster
    found, places_V = [], np.zeros(vocabulary, np.int64)
    for apart in range(1, window + 1):
        number = min(last - first, len(ids) - apart)
        together = document[: max(number, 0)] == document[apart : apart + number]
        left, right = ids[: len(together)][together], ids[apart : apart + len(together)][together]
        places_V += np.bincount(left, minlength=vocabulary) + np.bincount(right, minlength=vocabulary)
        keys = np.minimum(left, right) * vocabulary + np.maximum(left, right)
        found.append(keys.astype(np.uint32 if small else np.uint64))
    keys, counts = np.unique(np.concatenate(found), return_counts=True)
    return keys.astype(np.uint64), counts, places_V
