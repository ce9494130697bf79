"""What the runs of an arm masked: the recipe's sentence, the rate that was asked for and the rate that was achieved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskwright.comparison.runs import Run


@dataclass
class Masked:
    """rate, achieved: means over training of each view that logs them ({"": the view main}), as (first, last, mean)."""

    sentence: str
    rate: dict[str, tuple[float, float, float]]
    achieved: dict[str, tuple[float, float, float]]


def masked(runs: Sequence[Run]) -> Masked:
    """Of the runs of one arm; figures are means over them."""
    curves = [run.curves for run in runs]
    sentence = next((run.sentence() for run in runs), "")
    return Masked(sentence, _over(curves, "rate"), _over(curves, "achieved_rate"))


def _over(curves: Sequence, name: str) -> dict[str, tuple[float, float, float]]:
    """First, last and mean value of the columns `name` and `name/<view>`, averaged over runs."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for rows in curves:
        for column in rows:
            if column == name or column.startswith(f"{name}/"):
                values = rows[column].dropna()
                if len(values):
                    view = column.removeprefix(name).removeprefix("/")
                    found.setdefault(view, []).append((values.iloc[0], values.iloc[-1], values.mean()))
    return {view: tuple(float(sum(part) / len(part)) for part in zip(*each)) for view, each in found.items()}  # type: ignore[misc]
