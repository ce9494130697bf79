"""Quality against what it costs: learning curves, and the arms that no other beats in both."""

from __future__ import annotations

import plotly.graph_objects as go

from maskwright.comparison.curves import Curves
from maskwright.comparison.figures.looks import GREY, Looks, Report, Row, counted, measured, sign

AXES = {
    "step": "optimizer steps",
    "tokens": "training tokens",
    "flops": "model FLOPs",
    "seconds": "seconds of training",
}


def curves(drawn: Curves, axis: str, looks: Looks) -> go.Figure:
    """Every run thin (dotted where it did not finish), every arm's mean bold."""
    figure = go.Figure()
    for run in dict.fromkeys(row["run"] for row in drawn.rows):
        own = [row for row in drawn.rows if row["run"] == run and row[axis] is not None]
        if not own or not (own[0]["counted"] or own[0]["state"] != "finished"):
            continue
        arm, done = own[0]["arm"], own[0]["state"] == "finished"
        figure.add_scatter(
            x=[row[axis] for row in own],
            y=[row["value"] for row in own],
            mode="lines",
            line={"color": looks.colour(arm), "width": 1, "dash": "solid" if done else "dot"},
            opacity=0.35 if done else 0.8,
            hovertemplate=f"{arm} seed {own[0]['seed']}, {own[0]['state']}<br>%{{x:.4s}}: %{{y:.5g}}<extra></extra>",
            legendgroup=arm,
            showlegend=False,
            name=run,
            meta="run",
        )
    for arm in dict.fromkeys(row["arm"] for row in drawn.means):
        own = [row for row in drawn.means if row["arm"] == arm and row[axis] is not None]
        figure.add_scatter(
            x=[row[axis] for row in own],
            y=[row["value"] for row in own],
            mode="lines+markers",
            line={"color": looks.colour(arm), "width": 3, "dash": looks.dash(arm)},
            marker={"symbol": looks.symbol(arm), "size": 6},
            hovertemplate=f"{arm}, mean<br>%{{x:.4s}}: %{{y:.5g}}<extra></extra>",
            legendgroup=arm,
            name=arm,
            meta="mean",
        )
    return figure.update_yaxes(title=drawn.figure).update_xaxes(title=AXES[axis], exponentformat="SI")


def pareto(report: Report, axis: str, looks: Looks) -> go.Figure:
    """Means against cost; where arms compare, a line joins those that no other arm beats in both."""
    figure, arms = go.Figure(), [arm for arm in measured(report) if arm["costs"].get(axis) is not None]
    if len({arm["group"] for arm in arms}) == 1:
        best = front(report, axis)
        figure.add_scatter(
            x=[arm["costs"][axis] for arm in best],
            y=[arm["mean"] for arm in best],
            mode="lines",
            line={"color": GREY, "width": 1, "dash": "dot", "shape": "hv"},
            hoverinfo="skip",
            name="none is better and cheaper",
            meta="front",
        )
    for arm in arms:
        name, runs = arm["arm"], counted(report, arm["arm"])
        figure.add_scatter(
            x=[run["figures"].get(axis) for run in runs],
            y=[run["value"] for run in runs],
            mode="markers",
            marker={"color": looks.colour(name), "size": 6, "opacity": 0.35},
            hoverinfo="skip",
            legendgroup=name,
            showlegend=False,
            meta="seeds",
        )
        figure.add_scatter(
            x=[arm["costs"][axis]],
            y=[arm["mean"]],
            mode="markers",
            marker={"color": looks.colour(name), "size": 13, "symbol": looks.symbol(name), "line": {"width": 1}},
            hovertemplate=f"{name}<br>%{{x:.4s}}: %{{y:.5g}}<extra></extra>",
            legendgroup=name,
            name=name,
            meta="mean",
        )
    figure.update_yaxes(title=report["metric"]["name"])
    return figure.update_xaxes(title=f"{AXES[axis]}, mean over seeds", exponentformat="SI")


def front(report: Report, axis: str) -> list[Row]:
    """The arms, cheapest first, that are better than every cheaper one."""
    turn = sign(report)
    best: list[Row] = []
    arms = [arm for arm in measured(report) if arm["costs"].get(axis) is not None]
    for arm in sorted(arms, key=lambda arm: (arm["costs"][axis], turn * arm["mean"])):
        if not best or turn * arm["mean"] < turn * best[-1]["mean"]:
            best.append(arm)
    return best
