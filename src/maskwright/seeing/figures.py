"""Figures of one view over many rows: rates asked for and achieved, units and runs by length, shares of each outcome.

Shapes: B rows, L positions of the clean row, N runs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from maskwright.masking import Outcome, View
from maskwright.seeing.outcomes import said

LONGEST = 12  # units and runs longer than this share one line of the statistics
_WIDTHS = (0.0025, 0.005, 0.01, 0.02, 0.05)  # of the bins of rows by rate
_BINS = 24  # at most


def figures(view: View, real_BL: Tensor, word_BL: Tensor | None) -> dict[str, Any]:
    """Plain numbers of one view. real_BL: not padding. word_BL: where words begin, if the data says so."""
    masked_BL = view.outcome_BL > 0
    maskable_B = view.maskable_BL.sum(1).clamp(min=1)
    achieved_B = masked_BL.sum(1) / maskable_B
    chosen = view.outcome_BL[masked_BL]
    unit_N = runs(view.unit_BL, masked_BL)
    return {
        "rows": len(masked_BL),
        "capacity": view.place_BK.shape[1],
        "width": view.ids_BM.shape[1],
        "rate": _mean(view.rate_B),
        "rate_by_row": _spread(view.rate_B),
        "achieved_rate": (masked_BL.sum() / view.maskable_BL.sum().clamp(min=1)).item(),
        "achieved_rate_by_row": _spread(achieved_B),
        "rows_by_achieved_rate": _rows_by(achieved_B, view.rate_B),
        "predicted_rate": (view.counts_BK.sum() / view.maskable_BL.sum().clamp(min=1)).item(),
        "masked_per_row": _mean(masked_BL.sum(1)),
        "predicted_per_row": _mean(view.counts_BK.sum(1)),
        "tokens_per_row": _mean(real_BL.sum(1)),
        "read_per_row": _mean(view.valid_BM.sum(1)),
        "inserted_per_row": _mean((view.valid_BM & (view.origin_BM < 0)).sum(1)),
        "loss_weight": _loss_weight(view),
        "outcomes": {said(o): (chosen == o).double().mean().item() if len(chosen) else 0.0 for o in Outcome if o},
        "units": len(unit_N),
        "mean_unit_tokens": _mean(unit_N),
        "units_by_tokens": by_length(unit_N),
        "units_by_words": None if word_BL is None else by_length(runs(view.unit_BL, masked_BL, word_BL)),
        "runs_by_tokens": by_length(runs(torch.zeros_like(view.unit_BL), masked_BL)),
    }


def runs(unit_BL: Tensor, masked_BL: Tensor, counted_BL: Tensor | None = None) -> Tensor:
    """Int64 [N]: tokens of each maximal run of masked neighbours of one unit; with `counted_BL` (bool, where words
    begin), the words that each run touches."""
    joined_BL = torch.zeros_like(masked_BL)
    joined_BL[:, 1:] = masked_BL[:, 1:] & masked_BL[:, :-1] & (unit_BL[:, 1:] == unit_BL[:, :-1])
    begins_BL = masked_BL & ~joined_BL
    run_P = begins_BL.flatten().cumsum(0)[masked_BL.flatten()] - 1  # the run of each masked position
    one_BL = torch.ones_like(masked_BL) if counted_BL is None else counted_BL | begins_BL
    number = int(begins_BL.sum())
    return torch.zeros(number, dtype=torch.int64).scatter_add(0, run_P, one_BL.flatten()[masked_BL.flatten()].long())


def by_length(length_N: Tensor) -> dict[str, int]:
    """How many have each length; the long ones together, as `>12`."""
    counts = torch.bincount(length_N).tolist() if len(length_N) else []
    lengths = {str(length): count for length, count in enumerate(counts) if count and length <= LONGEST}
    more = sum(counts[LONGEST + 1 :])
    return lengths | ({f">{LONGEST}": more} if more else {})


def _rows_by(achieved_B: Tensor, asked_B: Tensor) -> dict[str, list[float] | list[int]]:
    """Rows by the rate achieved in them, and by the rate asked for, in the same bins."""
    least = min(achieved_B.min().item(), asked_B.min().item())
    most = max(achieved_B.max().item(), asked_B.max().item())
    width = next((w for w in _WIDTHS if (most - least) / w < _BINS - 2), _WIDTHS[-1])
    first = math.floor(least / width + 1e-9)
    number = max(1, math.floor(most / width + 1e-9) - first + 1)

    def counted(rate_B: Tensor) -> list[int]:
        bin_B = (rate_B.double() / width + 1e-9).floor().long() - first
        return torch.bincount(bin_B.clamp(0, number - 1), minlength=number).tolist()

    edges = [round((first + k) * width, 6) for k in range(number + 1)]
    return {"edges": edges, "achieved": counted(achieved_B), "asked": counted(asked_B)}


def _loss_weight(view: View) -> dict[str, float] | None:
    """Of the predicted places; None where nothing is predicted."""
    weights = view.weight_BK[view.counts_BK].double()
    if not len(weights):
        return None
    return {"least": weights.min().item(), "mean": weights.mean().item(), "most": weights.max().item()}


def _spread(values_B: Tensor) -> dict[str, float]:
    return {
        "least": values_B.min().item(),
        "most": values_B.max().item(),
        "sd": values_B.double().std(correction=0).item(),
    }


def _mean(values: Tensor) -> float:
    return values.double().mean().item() if len(values) else 0.0
