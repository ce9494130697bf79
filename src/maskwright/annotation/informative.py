"""A masking rate for each token: how often it is hidden by the most informative of many random masks.

Shapes: V vocabulary, L tokens of one text, C candidates.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from maskwright.annotation.artefact import artefact, contents
from maskwright.annotation.cooccurrence import Information, check_pairs, pairs
from maskwright.annotation.passes import in_order
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Side, Source
from maskwright.errors import RecipeError
from maskwright.masking.noise import stream_id, uniform
from maskwright.tokenids import table_rows

_VERSION = 1
_TEXTS = 256  # texts that one call of the work sees


class Informative(Annotator):
    """Each token's masked share among the winners of InforMask (arXiv 2210.11771), as a column of scores.

    Of `candidates` random masks of a text, each hiding the share `share` of its tokens, the one wins that maximises the
    sum, over hidden places i and visible places j, of PMI(i, j): what is hidden could be told from what is seen.
    `texts` stretches of up to `length` tokens are drawn evenly over the training side, by counter-based noise (all, if
    there are not so many). PMI is that of tokens at most `window` places apart, of pairs that occur `minimum` times or
    more; other pairs count 0. table: the folder of a table made before, used instead, by the tokens' names.

    After `fit`: `table` (columns token, id, count, rate, seen: its occurrences on the training side, and those in the
    drawn texts), rate_V (float64) and count_V (int64), for `rate=informative`. Tokens that no drawn text shows have the
    rate 0.
    """

    name = "informative"
    dtype = np.float32
    outside = 0.0

    def __init__(
        self,
        window: int,
        minimum: int,
        smoothing: float,
        texts: int,
        length: int,
        candidates: int,
        share: float,
        table: str | None,
    ) -> None:
        check_pairs(window, minimum, smoothing, "informative")
        if not 0 < share < 1:
            raise RecipeError(f"informative: share is {share}; a mask hides a share between 0 and 1, both excluded.")
        for name, value, least in (("texts", texts, 1), ("candidates", candidates, 1), ("length", length, 2)):
            if isinstance(value, bool) or value < least:
                raise RecipeError(f"informative: {name} is {value}; give a whole number from {least} up.")
        self.window, self.minimum, self.smoothing = window, minimum, float(smoothing)
        self.texts, self.length, self.candidates, self.share = texts, length, candidates, float(share)
        self.given = table

    def settings(self) -> dict[str, Any]:
        if self.given is not None:
            return {"version": _VERSION, "table": contents(self.given)}
        own: dict[str, Any] = {"version": _VERSION, "window": self.window, "minimum": self.minimum}
        own |= {"smoothing": self.smoothing, "texts": self.texts, "length": self.length}
        return own | {"candidates": self.candidates, "share": self.share}

    def fit(self, source: Source) -> None:
        self.table = artefact(source, "informative", self.settings(), self._learned, self.given).table("tokens")
        id_of = source.tokenizer.get_vocab()
        known = [(id_of[token], row) for row, token in enumerate(self.table["token"].to_pylist()) if token in id_of]
        if not known:
            raise RecipeError(f"table={self.given} names no token of this tokenizer; make the table with it.")
        id_N, row_N = np.array(known).T
        rows = table_rows(source.tokenizer)
        rate_V, count_V = np.zeros(rows), np.zeros(rows, np.int64)
        rate_V[id_N] = self.table["rate"].to_numpy()[row_N]
        count_V[id_N] = self.table["count"].to_numpy()[row_N]
        self.rate_V, self.count_V = torch.from_numpy(rate_V), torch.from_numpy(count_V)

    def mark(self, document: Document) -> np.ndarray:
        return self.rate_V.numpy()[document.id_T].astype(np.float32)

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        information = Information(pairs(source, self.window, self.minimum), self.smoothing, positive=False)
        ordinary_V = np.ones(table_rows(source.tokenizer), bool)
        ordinary_V[source.tokenizer.all_special_ids] = False
        begin_N, length_N = drawn(source.train, self.texts, self.length)
        work = partial(self._mask, begin_N=begin_N, length_N=length_N, information=information, ordinary_V=ordinary_V)
        runs = [(first, min(first + _TEXTS, len(begin_N))) for first in range(0, len(begin_N), _TEXTS)]
        sizes = [int(length_N[first:last].sum()) for first, last in runs]
        hidden_V, seen_V = np.zeros(len(ordinary_V), np.int64), np.zeros(len(ordinary_V), np.int64)
        for hidden, seen in in_order(source.train, work, runs, sizes, "choose informative masks", source.processes):
            hidden_V += np.bincount(hidden, minlength=len(hidden_V))
            seen_V += np.bincount(seen, minlength=len(seen_V))
        count_V = np.zeros(len(ordinary_V), np.int64)
        for first in range(0, source.train.tokens, 1 << 22):
            count_V += np.bincount(source.train.ids[first : first + (1 << 22)], minlength=len(count_V))
        id_N = np.flatnonzero(ordinary_V & (count_V > 0))
        columns: dict[str, Any] = {
            "token": source.tokenizer.convert_ids_to_tokens(id_N.tolist()),
            "id": id_N,
            "count": count_V[id_N],
        }
        columns |= {"rate": hidden_V[id_N] / np.maximum(seen_V[id_N], 1), "seen": seen_V[id_N]}
        return {"tokens": pa.table(columns)}

    def _mask(
        self,
        side: Side,
        first: int,
        last: int,
        begin_N: np.ndarray,
        length_N: np.ndarray,
        information: Information,
        ordinary_V: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of the texts first..last - 1: the ids that the winning masks hide, and those that they could have hidden."""
        hidden, seen = [], []
        for number in range(first, last):
            id_L = np.asarray(side.ids[begin_N[number] : begin_N[number] + length_N[number]]).astype(np.int64)
            free_L = ordinary_V[id_L]
            most = round(self.share * int(free_L.sum()))
            if most == 0:
                continue
            mask_CL = random_masks(int(begin_N[number]), free_L, most, self.candidates)
            number_L, table = information.near(id_L, len(id_L) ** 2)
            value_C = told(mask_CL, table[np.ix_(number_L, number_L)])
            hidden.append(id_L[mask_CL[value_C.argmax()]])
            seen.append(id_L[free_L])
        nothing = [np.zeros(0, np.int64)]
        return np.concatenate(hidden + nothing), np.concatenate(seen + nothing)


def drawn(side: Side, texts: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the drawn texts begin in `side.ids`, and how long they are: int64 each.

    Documents are cut into stretches of `length` tokens; of the S stretches in a line, one is drawn from each of `texts`
    equally long runs.
    """
    stretches_D = -(-side.length_D.astype(np.int64) // length)
    until_D = np.cumsum(stretches_D)
    every = int(until_D[-1]) if len(until_D) else 0
    number_N = np.arange(every)
    if texts < every:
        edge = np.arange(texts + 1) * every // texts
        u_N = uniform((stream_id("annotation.informative.texts"),), texts)[0].numpy()
        number_N = edge[:-1] + (u_N * np.diff(edge)).astype(np.int64)
    document_N = np.searchsorted(until_D, number_N, side="right")
    inside_N = (number_N - (until_D - stretches_D)[document_N]) * length
    return side.first_D[document_N] + inside_N, np.minimum(length, side.length_D[document_N] - inside_N)


def random_masks(text: int, free_L: np.ndarray, most: int, candidates: int) -> np.ndarray:
    """Bool [C, L]: masks of `most` of the places `free_L`, uniform and without replacement, by counter-based noise of
    the text's first place in the corpus and the candidate's number."""
    key = (stream_id("annotation.informative.masks"), text, torch.arange(candidates))
    noise_CL = uniform(key, len(free_L)).numpy()
    noise_CL[:, ~free_L] = np.inf
    chosen = np.argpartition(noise_CL, most - 1, axis=1)[:, :most]
    mask_CL = np.zeros(noise_CL.shape, bool)
    np.put_along_axis(mask_CL, chosen, True, axis=1)
    return mask_CL


def told(mask_CL: np.ndarray, value_LL: np.ndarray) -> np.ndarray:
    """The sum of `value_LL` over hidden places i and visible places j: float64 [C]."""
    hidden_CL = mask_CL.astype(float)
    return ((hidden_CL @ value_LL.astype(float)) * ~mask_CL).sum(1)
