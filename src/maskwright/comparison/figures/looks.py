"""How arms look in every figure, and which of them are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PALETTE = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#72b7b2", "#eeca3b", "#9d755d", "#ff9da6", "#7f7f7f")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")
GREY = "#888"

Report = Mapping[str, Any]  # what comparison.json holds
Row = Mapping[str, Any]  # of one of its tables


class Looks:
    """Each arm's colour, dash and symbol.

    Where several settings differ, the first gives the colour and the others the dash and the symbol, so that a family
    of recipes is seen as one; otherwise each arm has a colour of its own.
    """

    def __init__(self, report: Report) -> None:
        arms, columns = report["arms"], report["columns"]
        colours = list(dict.fromkeys(str(arm["settings"][columns[0]]) for arm in arms)) if len(columns) > 1 else []
        families = 1 < len(colours) <= len(PALETTE)
        others = list(dict.fromkeys(_rest(arm, columns) for arm in arms))
        self._look: dict[str, tuple[str, int]] = {}
        for place, arm in enumerate(arms):
            if families:
                at = colours.index(str(arm["settings"][columns[0]])), others.index(_rest(arm, columns))
            else:
                at = place % len(PALETTE), place // len(PALETTE)
            self._look[arm["arm"]] = PALETTE[at[0]], at[1]

    def colour(self, arm: str) -> str:
        return self._look[arm][0]

    def dash(self, arm: str) -> str:
        return DASHES[self._look[arm][1] % len(DASHES)]

    def symbol(self, arm: str) -> str:
        return SYMBOLS[self._look[arm][1] % len(SYMBOLS)]


def measured(report: Report) -> list[Row]:
    """The arms with figures, best first."""
    return [arm for arm in report["arms"] if arm["n"]]


def places(report: Report) -> dict[str, int]:
    """Each arm's place in the ranking, from 1."""
    return {arm["arm"]: place for place, arm in enumerate(measured(report), start=1)}


def counted(report: Report, arm: str) -> list[Row]:
    """The runs in an arm's mean."""
    return [run for run in report["runs"] if run["arm"] == arm and run["counted"]]


def sign(report: Report) -> int:
    """1 where less is better, else -1."""
    return 1 if report["metric"]["better"] == "lower" else -1


def errors(middle: Sequence[float | None], low: Sequence[float | None], high: Sequence[float | None]) -> dict[str, Any]:
    """Plotly's error bars for intervals; none where an end is unknown."""
    known = [None not in ends for ends in zip(middle, low, high)]
    above = [h - m if here else 0.0 for here, m, h in zip(known, middle, high)]  # type: ignore[operator]
    below = [m - w if here else 0.0 for here, m, w in zip(known, middle, low)]  # type: ignore[operator]
    return {"type": "data", "symmetric": False, "thickness": 2, "width": 0, "array": above, "arrayminus": below}


def _rest(arm: Row, columns: Sequence[str]) -> str:
    return str([arm["settings"][name] for name in columns[1:]])
