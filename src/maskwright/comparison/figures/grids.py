"""Heat maps: every arm against every other, and every two settings."""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go

from maskwright.comparison.figures.looks import Report, measured, places, sign
from maskwright.comparison.words import number, p_value, signed

BAR = {"thickness": 12, "outlinewidth": 0}
BETTER_OR_WORSE = [[0, "#2a788e"], [0.5, "rgba(128,128,128,0.08)"], [1, "#e4703f"]]

Numbers = list[list[float | None]]
Texts = list[list[str]]


def matrix(report: Report) -> go.Figure | None:
    """How much worse the row is than the column, by their places in the ranking; * where it holds."""
    place = {arm: at - 1 for arm, at in places(report).items()}
    if len(place) < 3 or report["options"]["baseline"]:
        return None
    worse: Numbers = [[None] * len(place) for _ in place]
    stars, hover = ([[""] * len(place) for _ in place] for _ in range(2))
    for pair in report["pairs"]:
        for one, other, turn in ((pair["b"], pair["a"], 1), (pair["a"], pair["b"], -1)):
            row, column = place[one], place[other]
            difference = None if pair["difference"] is None else turn * pair["difference"]
            said = pair["reason"] or f"p (Holm) {p_value(pair['p_holm'])}"
            hover[row][column] = f"{one}<br>- {other}<br>{signed(difference)}<br>{said}"
            stars[row][column] = "*" if pair["sure"] else ""
            worse[row][column] = None if difference is None else sign(report) * difference
    most = max((abs(value) for row in worse for value in row if value is not None), default=1.0)
    names = [str(at + 1) for at in place.values()]
    figure = _heat(
        worse, names, names, text=stars, texttemplate="%{text}", textfont={"size": 20}, hovertext=hover,
        hoverinfo="text", zmin=-most, zmax=most, colorscale=BETTER_OR_WORSE, colorbar={**BAR, "title": "worse by"},
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", title="place in the ranking")
    return figure.update_xaxes(title="compared with place")


def settings(report: Report, x_key: str, y_key: str) -> go.Figure:
    """Two settings: the mean of every combination."""
    cells = [cell for cell in report["cells"] if (cell["x_key"], cell["y_key"]) == (x_key, y_key)]
    x, y = (_sorted(cell[axis] for cell in cells) for axis in ("x", "y"))
    means: Numbers = [[None] * len(x) for _ in y]
    text: Texts = [["none finished"] * len(x) for _ in y]
    for cell in cells:
        row, column = y.index(cell["y"]), x.index(cell["x"])
        means[row][column] = cell["mean"]
        text[row][column] = f"{number(cell['mean'])}<br>{cell['n']} run{'s' * (cell['n'] != 1)}"
    figure = _heat(
        means, x, y, text=text, texttemplate="%{text}", colorscale="Viridis" if sign(report) < 0 else "Viridis_r",
        hovertemplate=f"{x_key}=%{{x}} {y_key}=%{{y}}<br>%{{z:.5g}}<extra></extra>", colorbar=BAR,
    )  # fmt: skip
    return figure.update_xaxes(title=x_key).update_yaxes(title=y_key)


def by_arm(report: Report, values: dict[tuple[str, str], float | None], names: dict[str, str]) -> go.Figure:
    """Many numbers (name -> what the axis says) of every arm."""
    at = places(report)
    arms = [arm["arm"] for arm in measured(report) if any((arm["arm"], name) in values for name in names)]
    figure = _heat(
        [[values.get((arm, name)) for arm in arms] for name in names], [str(at[arm]) for arm in arms],
        list(names.values()), customdata=[arms] * len(names), colorscale="Viridis", colorbar=BAR,
        hovertemplate="%{customdata}<br>%{y}: %{z:.4g}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed").update_layout(height=120 + 20 * len(names))
    return figure.update_xaxes(title="place in the ranking")


def _heat(z: Numbers, x: list[str], y: list[str], **more: object) -> go.Figure:
    figure = go.Figure(go.Heatmap(z=z, x=x, y=y, xgap=2, ygap=2, **more))
    return figure.update_xaxes(type="category", showgrid=False).update_yaxes(type="category", showgrid=False)


def _sorted(values: Iterable[str]) -> list[str]:
    """Numbers by size, words in the order of their first mention."""
    unique = list(dict.fromkeys(values))
    try:
        return sorted(unique, key=float)
    except ValueError:
        return unique
