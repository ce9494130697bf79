"""Means and differences as points with intervals, one row for each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from maskwright.comparison.figures.looks import GREY, Looks, Report, Row, counted, errors, measured, places
from maskwright.comparison.words import interval, p_value


def ranking(report: Report, looks: Looks) -> go.Figure:
    """Each arm's mean with its interval, and its seeds."""
    figure, arms, metric = go.Figure(), measured(report), report["metric"]
    for place, arm in enumerate(arms):
        name, runs = arm["arm"], counted(report, arm["arm"])
        figure.add_scatter(
            x=[run["value"] for run in runs],
            y=[place] * len(runs),
            text=[f"seed {run['seed']}" for run in runs],
            mode="markers",
            marker={"color": looks.colour(name), "size": 7, "opacity": 0.35},
            hovertemplate="%{text}: %{x:.5g}<extra></extra>",
            name=name,
            meta="seeds",
        )
        figure.add_scatter(
            x=[arm["mean"]],
            y=[place],
            error_x=errors([arm["mean"]], [arm["low"]], [arm["high"]]),
            mode="markers",
            marker={"color": looks.colour(name), "size": 12, "symbol": looks.symbol(name), "line": {"width": 1}},
            hovertemplate=f"{name}<br>%{{x:.5g}}, interval {interval(arm['low'], arm['high'])}<extra></extra>",
            name=name,
            meta="mean",
        )
    _rows(figure, places(report))
    values = [run["value"] for arm in arms for run in counted(report, arm["arm"])]
    ends = [(arm["low"], arm["high"]) for arm in arms if arm["low"] is not None]
    return figure.update_xaxes(range=_within(values, ends), title=f"{metric['name']} ({metric['better']} is better)")


def differences(report: Report, looks: Looks) -> go.Figure | None:
    """From the baseline or the best arm, with intervals, and the band of differences too small to be seen."""
    pairs = telling(report)
    if not pairs:
        return None
    figure = go.Figure()
    for place, pair in enumerate(pairs):
        name, colour = pair["b"], looks.colour(pair["b"])
        said = f"{interval(pair['low'], pair['high'], True)}<br>p (Holm) {p_value(pair['p_holm'])}"
        figure.add_shape(
            type="rect",
            x0=-pair["detectable"],
            x1=pair["detectable"],
            y0=place - 0.14,
            y1=place + 0.14,
            line={"width": 0},
            fillcolor=GREY,
            opacity=0.15,
            layer="below",
        )
        figure.add_scatter(
            x=[pair["difference"]],
            y=[place],
            error_x=errors([pair["difference"]], [pair["low"]], [pair["high"]]),
            mode="markers",
            marker={
                "color": colour,
                "size": 12,
                "symbol": looks.symbol(name) + ("" if pair["sure"] else "-open"),
                "line": {"width": 2, "color": colour},
            },
            hovertemplate=f"{name}<br>- {pair['a']}<br>%{{x:+.3g}}, {said}<extra></extra>",
            name=name,
            meta="difference",
        )
    figure.add_vline(x=0, line_width=1, line_color=GREY)
    _rows(figure, {pair["b"]: places(report)[pair["b"]] for pair in pairs})
    reference = "the baseline" if report["options"]["baseline"] else "the best (1)"
    shown = _within([0.0, *(pair["difference"] for pair in pairs)], [(pair["low"], pair["high"]) for pair in pairs])
    return figure.update_xaxes(range=shown, title=f"difference in {report['metric']['name']} from {reference}")


def telling(report: Report) -> list[Row]:
    """The tested comparisons with the baseline, or with the best arm."""
    if not report["pairs"]:
        return []
    reference = report["pairs"][0]["a"] if report["options"]["baseline"] else measured(report)[0]["arm"]
    return [pair for pair in report["pairs"] if pair["a"] == reference and pair["p"] is not None]


def _rows(figure: go.Figure, names: Mapping[str, int]) -> None:
    """One row per name, the first on top, place and name written above its marks: long names fit a phone so."""
    for row, (name, place) in enumerate(names.items()):
        figure.add_annotation(
            xref="paper", x=0, xanchor="left", y=row - 0.36, yanchor="middle", text=f"{place}  {name}", showarrow=False
        )
    figure.update_yaxes(range=[len(names) - 0.5, -0.75], showticklabels=False, showgrid=False, zeroline=False)
    figure.update_layout(showlegend=False, height=90 + 48 * len(names))


def _within(points: Sequence[float], intervals: Sequence[tuple[float, float]]) -> list[float]:
    """A range with all points and most intervals; the few that two seeds blow up run off its edge."""
    widths = sorted(high - low for low, high in intervals)
    usual = 3 * widths[len(widths) // 2] if widths else 0.0
    ends = [*points, *(end for low, high in intervals if high - low <= usual for end in (low, high))]
    margin = 0.06 * (max(ends) - min(ends)) or 0.01 * abs(max(ends)) or 1.0
    return [min(ends) - margin, max(ends) + margin]
