"""Learning curves: the figure of every validation, by steps, tokens, FLOPs and seconds of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from maskwright.comparison.comparison import Comparison
from maskwright.comparison.runs import Run

AXES = ("step", "tokens", "flops", "seconds")


@dataclass
class Curves:
    """figure: what is drawn, None when no run logged any. rows: one for each validation of each run. means: one for
    each step of each arm that all its counted runs reached."""

    figure: str | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    means: list[dict[str, Any]] = field(default_factory=list)


def learning_curves(result: Comparison) -> Curves:
    """Of the figure compared by where runs log it along the way, else of ruler/loss."""
    figure = _figure([entry.run for entry in result.entries], result.metric.name)
    curves = Curves(figure)
    if figure is None:
        return curves
    for entry in result.entries:
        logged = entry.run.curves
        if figure not in logged:
            continue
        for row in logged[logged[figure].notna()].to_dict("records"):
            at = {axis: _known(row.get(axis)) for axis in AXES}
            who = {"run": entry.name, "arm": entry.arm, "seed": entry.seed, "counted": entry.counted}
            curves.rows.append({**who, "state": entry.run.state, **at, "value": float(row[figure])})
    for arm in result.measured:
        own = [row for row in curves.rows if row["arm"] == arm.arm and row["counted"]]
        counted = sum(entry.arm == arm.arm and entry.counted for entry in result.entries)
        for step in sorted({row["step"] for row in own}):
            here = [row for row in own if row["step"] == step]
            if len(here) == counted:
                means = {name: _mean([row[name] for row in here]) for name in (*AXES, "value")}
                curves.means.append({"arm": arm.arm, "n": len(here), **means})
    return curves


def _figure(runs: Sequence[Run], name: str) -> str | None:
    return next((wanted for wanted in (name, "ruler/loss") if any(wanted in run.curves for run in runs)), None)


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
