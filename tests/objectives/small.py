"""A small objective, built, and the mean of one of its terms."""

from __future__ import annotations

import torch

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
