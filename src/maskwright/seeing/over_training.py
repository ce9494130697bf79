"""The rate over training: what is asked for and what is achieved on the same rows, at several moments."""

from __future__ import annotations

from typing import Any

from maskwright.seeing.figures import runs
from maskwright.seeing.look import Look

STEPS = 20
_ALIKE = 1e-6


def over_training(look: Look) -> dict[str, list[dict[str, float]]]:
    """By view: progress 0, 1/20 .. 1, with the rate asked for, those achieved and predicted, and the mean tokens of a
    unit."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in look.views.recipes}
    for step in range(STEPS + 1):
        for name, view in look.at(step / STEPS).items():
            masked_BL, maskable = view.outcome_BL > 0, view.maskable_BL.sum().clamp(min=1)
            length_N = runs(view.unit_BL, masked_BL).double()
            found[name].append(
                {
                    "progress": step / STEPS,
                    "rate": view.rate_B.mean().item(),
                    "achieved_rate": (masked_BL.sum() / maskable).item(),
                    "predicted_rate": (view.counts_BK.sum() / maskable).item(),
                    "mean_unit_tokens": length_N.mean().item() if len(length_N) else 0.0,
                }
            )
    return found


def moves(points: list[dict[str, Any]], key: str = "rate") -> bool:
    """Whether training changes it."""
    values = [point[key] for point in points]
    return max(values) - min(values) > _ALIKE
