"""What the masks of a run come to on its own rows, told before the first step where it is not what was asked for."""

from __future__ import annotations

import numpy as np
import torch

from maskwright.data.module import DataModule
from maskwright.data.order import Slice, SliceDataset
from maskwright.tracking.console import percent

ROWS = 256  # training rows looked at
_TOGETHER = 8  # rows side by side at each of the places, spread over the text: each place brings its pages to memory
_WHEN = (0.0, 0.5, 1.0)  # of training
_FAR = 0.1  # of the rate asked for
_ERRORS = 3.0  # standard errors of the number of masked tokens
_MANY = 0.1  # of the rows


def notes(data: DataModule, device: torch.device) -> list[str]:
    """A sentence for each view whose share of masked tokens is far from its rate or that leaves many rows without a
    token to predict."""
    sample = _sample(data.there(data.phases[0].length))
    dataset = SliceDataset(data.prepared.train)
    sums: dict[str, torch.Tensor] = {}
    for visit, when in enumerate(_WHEN):
        batch = data.as_batch(dataset[Slice(0, sample, visit + 0 * sample)], "train").to(device)
        batch.progress = when
        for name, view in data.views(batch).items():
            maskable_B, masked_BL = view.maskable_BL.sum(1).double(), view.outcome_BL > 0
            counted_B, asked_B = maskable_B > 0, view.rate_B * maskable_B
            parts = [
                asked_B.sum(),
                (masked_BL.sum(1) - asked_B).square().sum(),
                masked_BL.sum(),
                maskable_B.sum(),
                counted_B.sum(),
                (counted_B & ~view.counts_BK.any(1)).sum(),
                (counted_B & ~masked_BL.any(1)).sum(),
            ]
            sums[name] = sums.get(name, 0) + torch.stack([part.double() for part in parts])
    of_tokens = {
        name: getattr(view.masking.budget, "of", "token") == "token" for name, view in data.masks.recipes.items()
    }
    found = [_said(name, of_tokens[name], *of_view.tolist()) for name, of_view in sums.items()]
    return [said for said in found if said]


def _sample(there: int) -> np.ndarray:
    """The rows that are looked at, of so many: int64."""
    if there <= ROWS:
        return np.arange(there)
    first = np.linspace(0, there - _TOGETHER, ROWS // _TOGETHER).astype(np.int64)
    return np.unique(first[:, None] + np.arange(_TOGETHER))


def _said(
    view: str,
    of_tokens: bool,
    asked: float,
    square: float,
    masked: float,
    maskable: float,
    rows: float,
    unpredicted: float,
    unmasked: float,
) -> str:
    """One sentence, or nothing. of_tokens: whether the rate is a share of tokens."""
    name = "" if view == "main" else f"views.{view}: "
    if not maskable:
        return f"{name}no token of the rows may be masked, so nothing is learned from them."
    if not masked:
        return (
            f"{name}no token is masked: {percent(asked / maskable)} of {maskable / rows:.3g} tokens a row are asked "
            "for, and nothing is learned; python show_masks.py with the same words shows the rows."
        )
    parts = []
    if of_tokens and abs(masked - asked) > max(_FAR * asked, _ERRORS * square**0.5):
        parts.append(
            f"{percent(masked / maskable)} of the tokens are masked where {percent(asked / maskable)} are asked for"
        )
    if unmasked > _MANY * rows:
        parts.append(f"{percent(unmasked / rows)} of the rows lose no token (masking.budget.at_least=1 takes one)")
    elif unpredicted > _MANY * rows and unpredicted < rows:
        parts.append(f"{percent(unpredicted / rows)} of the rows have no token to predict")
    return f"{name}{'; '.join(parts)} (rows of {maskable / rows:.3g} tokens in the mean)." if parts else ""
