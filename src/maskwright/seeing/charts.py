"""Small charts as SVG text, coloured by the page's own styles: bars, bars of two kinds, and lines.

Each mark carries its number (`data-count`, `data-value`) and says it in words (`data-tip`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 340, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 10, 18
_THICK = 34  # of a bar, at most
_MARKS, _PLACES = 4, 6  # on an upright axis and on a level one, at most
_STEPS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)


def bars(counts: Mapping[str, int], lengths: Sequence[str], most: float, unit: str) -> str:
    """Shares of a total by length. lengths, most: of the axes, so that charts side by side compare. unit: what is
    counted, as in `12 units of 3`."""
    total, top = sum(counts.values()), roof(most)
    wide = (WIDTH - _LEFT - _RIGHT) / len(lengths)
    thick = min(wide * 0.8, _THICK)
    parts = [_frame(f"{unit} by length"), _percent_axis(top)]
    for number, length in enumerate(lengths):
        middle, count = _LEFT + (number + 0.5) * wide, counts.get(length, 0)
        parts.append(f'<text class="tick" x="{middle:.1f}" y="{_floor() + 13}">{escape(length)}</text>')
        if count:
            high = _high(count / total, top)
            tip = f"{count:,} {unit} of {length}: {100 * count / total:.1f}%"
            parts.append(
                f'<rect class="bar" x="{middle - thick / 2:.1f}" y="{_floor() - high:.1f}" width="{thick:.1f}" '
                f'height="{high:.1f}" data-length="{escape(length)}" data-count="{count}" data-tip="{escape(tip)}"/>'
            )
    return _svg(parts)


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    asked: Sequence[int],
    line: float | None,
    most: float,
    span: tuple[float, float],
) -> str:
    """Rows by their rate. asked: rows by the rate asked for, drawn as an outline where it differs between rows, else
    `line` marks the one rate. span: the axis from .. to."""
    total, (low, high) = max(sum(counts), 1), span
    most = roof(most)
    parts = [_frame("rows by rate"), _percent_axis(most)]
    x_of = _scale(low, high)
    for number, count in enumerate(counts):
        left, right, tall = x_of(edges[number]) + 0.5, x_of(edges[number + 1]) - 0.5, _high(count / total, most)
        tip = f"{count:,} of {total:,} rows: {_rate(edges[number])} to {_rate(edges[number + 1])}"
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{_floor() - tall:.1f}" width="{max(right - left, 0.5):.1f}" '
            f'height="{tall:.1f}" data-count="{count}" data-tip="{escape(tip)}"/>'
        )
    if line is None:
        path = "".join(
            f"{'M' if not number else 'L'}{x_of(edges[number]):.1f} {_floor() - _high(count / total, most):.1f}"
            f"H{x_of(edges[number + 1]):.1f}"
            for number, count in enumerate(asked)
        )
        parts.append(f'<path class="asked" d="{path}"/>')
    else:
        tip = escape(f"asked for: {_rate(line)}")
        parts.append(
            f'<line class="asked" x1="{x_of(line):.1f}" x2="{x_of(line):.1f}" y1="{_TOP}" y2="{_floor()}" '
            f'data-value="{line}" data-tip="{tip}"/>'
        )
    for value in ticks(low, high, _PLACES):
        parts.append(f'<text class="tick" x="{x_of(value):.1f}" y="{_floor() + 13}">{_rate(value)}</text>')
    return _svg(parts)


def lines(points: Sequence[Mapping[str, float]], keys: Mapping[str, str], most: float, share: bool) -> str:
    """Figures over training. keys: of the points, and what each is called; the first is drawn as asked for."""
    most = roof(most)
    parts = [_frame("over training"), _percent_axis(most) if share else _number_axis(most)]
    x_of = _scale(0.0, 1.0)
    for number, (key, says) in enumerate(keys.items()):
        spots = [(x_of(point["progress"]), _floor() - _high(point[key], most), point) for point in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in spots)
        kind = "asked" if number == 0 and len(keys) > 1 else "curve"
        parts.append(f'<path class="{kind}" d="M{path}"/>')
        for x, y, point in spots:
            told = _rate(point[key]) if share else f"{point[key]:.2f}"
            tip = escape(f"{says} {told} at {100 * point['progress']:.0f}% of training")
            parts.append(
                f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5" data-key="{key}" data-value="{point[key]}" '
                f'data-tip="{tip}"/>'
            )
    for value, says in ((0.0, "start"), (0.5, "half"), (1.0, "end")):
        parts.append(f'<text class="tick" x="{x_of(value):.1f}" y="{_floor() + 13}">{says}</text>')
    return _svg(parts)


def ticks(low: float, high: float, number: int) -> list[float]:
    """Round values between two, a step apart that makes at most `number` steps."""
    step = next((step for step in _STEPS if (high - low) / step <= number), _STEPS[-1])
    first = int(-(-(low + 1e-9) // step)) if low > 0 else 0
    found = []
    while first * step <= high + 1e-9:
        found.append(round(first * step, 6))
        first += 1
    return found


def roof(most: float) -> float:
    """The top of an axis: the first round value that is not below `most`."""
    marks = ticks(0.0, most, _MARKS)
    step = marks[1] - marks[0] if len(marks) > 1 else most or 1.0
    return marks[-1] if marks[-1] >= most - 1e-9 and marks[-1] > 0 else marks[-1] + step


def _scale(low: float, high: float) -> Callable[[float], float]:
    room = WIDTH - _LEFT - _RIGHT
    return lambda value: _LEFT + room * (value - low) / ((high - low) or 1.0)


def _floor() -> int:
    return HEIGHT - _BOTTOM


def _high(value: float, most: float) -> float:
    return (_floor() - _TOP) * min(value / (most or 1.0), 1.0)


def _frame(says: str) -> str:
    return f"<title>{escape(says)}</title>"


def _percent_axis(most: float) -> str:
    return _axis([(value, _rate(value)) for value in ticks(0.0, most, _MARKS)], most)


def _number_axis(most: float) -> str:
    return _axis([(value, f"{value:g}") for value in ticks(0.0, most, _MARKS)], most)


def _axis(marks: Sequence[tuple[float, str]], most: float) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{_floor() - _high(value, most):.1f}" '
        f'y2="{_floor() - _high(value, most):.1f}"/>'
        f'<text class="tick side" x="{_LEFT - 5}" y="{_floor() - _high(value, most) + 4:.1f}">{text}</text>'
        for value, text in marks
    )


def _rate(value: float) -> str:
    return f"{100 * value:.3g}%"


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
