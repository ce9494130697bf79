"""The numbers of evaluation/<suite>/results.json, arm by arm."""

from __future__ import annotations

import plotly.graph_objects as go

from maskwright.comparison.figures.grids import by_arm
from maskwright.comparison.figures.looks import Looks, Report, errors, measured

COUNTS = {"n", "count", "items", "examples", "seconds", "bytes", "tokens", "seed", "seeds", "steps", "rows", "total"}
MANY = 12  # more numbers than this are a heat map


def suites(report: Report) -> dict[str, dict[str, str]]:
    """Each suite's numbers (full name -> name within the suite), counts and times left out."""
    found: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys(one["figure"] for one in report["evaluations"]):
        suite, short = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
        if short.rpartition("/")[2] not in COUNTS:
            found.setdefault(suite, {})[name] = short
    return found


def suite(report: Report, names: dict[str, str], looks: Looks) -> go.Figure:
    """Few numbers as points with intervals over seeds, many as a heat map."""
    rows = {(one["arm"], one["figure"]): one for one in report["evaluations"]}
    if len(names) > MANY:
        return by_arm(report, {key: one["mean"] for key, one in rows.items()}, names)
    figure = go.Figure()
    for arm in (arm["arm"] for arm in measured(report)):
        own = [rows[arm, name] for name in names if (arm, name) in rows]
        if not own:
            continue
        figure.add_scatter(
            x=[one["mean"] for one in own],
            y=[names[one["figure"]] for one in own],
            error_x=errors(*([one[end] for one in own] for end in ("mean", "low", "high"))),
            mode="markers",
            marker={"color": looks.colour(arm), "size": 10, "symbol": looks.symbol(arm)},
            hovertemplate=f"{arm}<br>%{{y}}: %{{x:.4g}}<extra></extra>",
            name=arm,
            meta="mean",
        )
    figure.update_layout(scattermode="group", height=160 + (30 + 12 * len(figure.data)) * len(names))
    return figure.update_yaxes(autorange="reversed", type="category")
