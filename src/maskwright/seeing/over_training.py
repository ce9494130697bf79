"""The rate over training: what is asked for and what is achieved on the same rows, at several moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.masking import View
from maskwright.seeing.figures import runs
from maskwright.seeing.look import Look

STEPS = 20
_ALIKE = 1e-6
_FEW = 16  # rows that show whether anything changed since another moment


def over_training(look: Look) -> dict[str, list[dict[str, float]]]:
    """By view: progress 0, 1/20 .. 1, with the rate asked for, those achieved and predicted, and the mean tokens of a
    unit."""
    few = {name: values[:_FEW] for name, values in look.rows.items()}
    known: dict[tuple[bytes, ...], dict[str, dict[str, float]]] = {}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in look.views.recipes}
    for step in range(STEPS + 1):
        state = _state(look.views(few, step / STEPS))
        if state not in known:  # masks that do not follow training are made once
            known[state] = {name: _point(view) for name, view in look.at(step / STEPS).items()}
        for name, point in known[state].items():
            found[name].append({"progress": step / STEPS, **point})
    return found


def _state(made: Mapping[str, View]) -> tuple[bytes, ...]:
    """What follows training in the views of a few rows."""
    parts = [part for view in made.values() for part in (view.rate_B, view.outcome_BL, view.counts_BK, view.place_BK)]
    return tuple(part.numpy().tobytes() for part in parts)


def _point(view: View) -> dict[str, float]:
    masked_BL, maskable = view.outcome_BL > 0, view.maskable_BL.sum().clamp(min=1)
    length_N = runs(view.unit_BL, masked_BL).double()
    return {
        "rate": view.rate_B.mean().item(),
        "achieved_rate": (masked_BL.sum() / maskable).item(),
        "predicted_rate": (view.counts_BK.sum() / maskable).item(),
        "mean_unit_tokens": length_N.mean().item() if len(length_N) else 0.0,
    }


def moves(points: list[dict[str, Any]], key: str = "rate") -> bool:
    """Whether training changes it."""
    values = [point[key] for point in points]
    return max(values) - min(values) > _ALIKE
