"""The numbers of evaluation/<suite>/results.json, arm by arm."""

from __future__ import annotations

import plotly.graph_objects as go

from maskwright.comparison.figures.grids import by_arm
from maskwright.comparison.figures.looks import GREY, Looks, Report, errors, measured

NOT_DRAWN = {
    "low",
    "high",
    "n",
    "count",
    "items",
    "examples",
    "seconds",
    "bytes",
    "tokens",
    "seed",
    "seeds",
    "steps",
    "rows",
    "total",
}
MANY = 12  # more numbers than this are a heat map


def suites(report: Report) -> dict[str, dict[str, str]]:
    """Each suite's numbers (full name -> name within the suite), interval ends, counts and times left out."""
    found: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys(one["figure"] for one in report["evaluations"]):
        suite, short = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
        if short.rpartition("/")[2] not in NOT_DRAWN:
            found.setdefault(suite, {})[name] = short
    return found


def suite(report: Report, names: dict[str, str], looks: Looks) -> go.Figure:
    """Few numbers as points with intervals over seeds, many as a heat map."""
    rows = {(one["arm"], one["figure"]): one for one in report["evaluations"]}
    if len(names) > MANY:
        return by_arm(report, {key: one["mean"] for key, one in rows.items()}, names)
    figure, shorts = go.Figure(), list(names.values())
    arms = [arm["arm"] for arm in measured(report) if any((arm["arm"], name) in rows for name in names)]
    for place, arm in enumerate(arms):
        own = [rows[arm, name] for name in names if (arm, name) in rows]
        beside = 0.8 * ((place + 0.5) / len(arms) - 0.5)  # so that arms do not hide each other
        figure.add_scatter(
            x=[one["mean"] for one in own],
            y=[shorts.index(names[one["figure"]]) + beside for one in own],
            text=[names[one["figure"]] for one in own],
            error_x=errors(*([one[end] for one in own] for end in ("mean", "low", "high"))),
            mode="markers",
            marker={"color": looks.colour(arm), "size": 9, "symbol": looks.symbol(arm)},
            hovertemplate=f"{arm}<br>%{{text}}: %{{x:.4g}}<extra></extra>",
            name=arm,
            meta="mean",
        )
    for place in range(1, len(shorts)):
        figure.add_hline(y=place - 0.5, line_width=1, line_color=GREY, opacity=0.4)
    figure.update_layout(height=120 + (24 + 12 * len(arms)) * len(shorts) + 16 * len(arms))
    figure.update_yaxes(tickvals=list(range(len(shorts))), ticktext=shorts, showgrid=False, zeroline=False)
    return figure.update_yaxes(range=[len(shorts) - 0.5, -0.5])
