"""A small objective, built, and the mean of one of its terms."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskwright.objectives import RowLayout

LENGTH = 12
LAYOUT = RowLayout(LENGTH, padded=True, blocks=False)


def built(objective, recipe, tokenizer):
    torch.manual_seed(0)
    objective.build(recipe, tokenizer, LAYOUT, LENGTH)
    return objective.eval()


def mean(objective, batch, name):
    where = objective.where(batch)[name]
    return (objective.terms(batch)[name] * where).sum() / where.sum()


def counted_share(objective, batch):
    """What `objective.flops` counts of what a forward and backward pass over the batch takes."""
    counter = FlopCounterMode(display=False)
    with counter:
        terms, where = objective.terms(batch), objective.where(batch)
        sum((terms[name] * where[name]).sum() for name in terms if objective.weights[name]).backward()
    rows = len(batch.rows["ids"])
    predicted = {name: view.place_BK.shape[1] for name, view in batch.views.items()}
    return objective.flops(rows, predicted) / counter.get_total_flops()
