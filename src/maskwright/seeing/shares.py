"""How much of each class is masked: parts of speech, entity types, strata, bands of token frequency, bands of weight.

Shapes: B rows, L positions, V vocabulary, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskwright.data.document import Side
from maskwright.masking import View
from maskwright.masking.columns import Classes
from maskwright.seeing.look import Look
from maskwright.seeing.steering import Steering

FREQUENCY, WEIGHT, ELSE = "frequency", "weight", "(none)"
_PORTION = 1 << 22  # tokens counted at once
_FEW = 10  # values of a weight that are told apart
_MOST = 1 << 26  # tokens that are counted; of a larger corpus, portions spread over it


class Classed(NamedTuple):
    """A class of every position. names: of the classes, in order."""

    names: Sequence[str]
    class_BL: Tensor  # int64


def shares(view: View, classed: Classed) -> list[dict[str, Any]]:
    """For each class that the rows show, its maskable tokens, how many are masked, and their share."""
    maskable_BL = view.maskable_BL
    number = len(classed.names)
    tokens_C = torch.bincount(classed.class_BL[maskable_BL], minlength=number).tolist()
    masked_C = torch.bincount(classed.class_BL[maskable_BL & (view.outcome_BL > 0)], minlength=number).tolist()
    return [
        {"class": name, "tokens": tokens, "masked": masked, "share": masked / tokens}
        for name, tokens, masked in zip(classed.names, tokens_C, masked_C, strict=True)
        if tokens
    ]


def columns_of(looks: Iterable[Look]) -> dict[str, Classed]:
    """Every column of classes that some recipe reads, by name. The rows being the same, it serves all of them."""
    found: dict[str, Classed] = {}
    for look in looks:
        for name, annotator in look.annotators.items():
            if isinstance(annotator, Classes) and not look.rows[name].is_floating_point():
                names = [str(each) for each in annotator.names]
                found.setdefault(name, Classed([names[0] or ELSE, *names[1:]], look.rows[name]))
    return found


def frequencies(look: Look) -> Classed:
    """Bands of the rank of each token by its frequency in the training text: 1-10, 11-100, and so on."""
    ids_BL, size = look.rows["ids"], look.views.vocabulary.size
    rank_V = torch.empty(size, dtype=torch.int64)
    rank_V[torch.from_numpy(counts(look.prepared.source.train, size)).argsort(descending=True, stable=True)] = (
        torch.arange(size)
    )
    ends = [10]
    while ends[-1] < size:
        ends.append(ends[-1] * 10)
    names = [f"rank {first + 1:,}-{min(end, size):,}" for first, end in zip([0, *ends], ends)]
    return Classed(names, torch.bucketize(rank_V[ids_BL], torch.tensor(ends), right=True))


def counts(side: Side, size: int) -> np.ndarray:
    """How often each token id stands in the training text, int64 [V]."""
    portions = -(-side.tokens // _PORTION)
    step = max(1, -(-side.tokens // _MOST))
    total = np.zeros(size, np.int64)
    for portion in range(0, portions, step):
        total += np.bincount(side.ids[portion * _PORTION : (portion + 1) * _PORTION], minlength=size)
    return total


def bands(steering: Steering, view: View) -> Classed | None:
    """The maskable positions by weight (or by rate): by value where there are few, else fifths; None where all weigh
    alike."""
    values = steering.value_BL[view.maskable_BL & steering.value_BL.isfinite()]
    distinct = values.unique()
    if len(distinct) < 2:
        return None
    if len(distinct) <= _FEW:
        return Classed(
            [steering.shown(value) for value in distinct.tolist()],
            torch.searchsorted(distinct, steering.value_BL).clamp(max=len(distinct) - 1),
        )
    inner = torch.quantile(_thinned(values), torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=values.dtype)).unique()
    least, most = values.min(), values.max()
    ends = [end for end in inner.tolist() if end > least]
    edges = [least.item(), *ends, most.item()]
    names = [f"{steering.shown(low)} to {steering.shown(high)}" for low, high in pairwise(edges)]
    return Classed(names, torch.bucketize(steering.value_BL, torch.tensor(ends, dtype=values.dtype), right=True))


def _thinned(values: Tensor) -> Tensor:
    """torch.quantile takes 16 million values at most."""
    return values[:: -(-len(values) // 1_000_000)]


def masked_by(view: View, classes: Mapping[str, Classed]) -> dict[str, list[dict[str, Any]]]:
    """`shares` by the name of each column."""
    return {name: shares(view, classed) for name, classed in classes.items()}
