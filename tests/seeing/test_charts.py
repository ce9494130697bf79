"""Charts are as high as their numbers."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from itertools import pairwise

import pytest

from maskwright.seeing import charts


def marks(svg, kind):
    return [one for one in xml.fromstring(svg).iter() if one.tag == kind]


def test_bars_are_as_high_as_their_shares():
    counts = {"1": 50, "3": 30, ">12": 20}
    svg = charts.bars(counts, [*map(str, range(1, 13)), ">12"], 0.5, "units")
    bars = marks(svg, "rect")
    assert {bar.get("data-length"): int(bar.get("data-count")) for bar in bars} == counts
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[0] / heights[1] == pytest.approx(50 / 30, rel=0.01)
    assert heights[0] / heights[2] == pytest.approx(50 / 20, rel=0.01)
    middles = [float(bar.get("x")) + float(bar.get("width")) / 2 for bar in bars]
    assert (middles[2] - middles[0]) / (middles[1] - middles[0]) == pytest.approx(12 / 2, rel=0.01)


def test_a_histogram_counts_every_row():
    svg = charts.histogram([0.1, 0.2, 0.3, 0.4], [1, 6, 3], [0, 10, 0], 0.25, 0.6, (0.0, 0.5))
    bars = marks(svg, "rect")
    assert [int(bar.get("data-count")) for bar in bars] == [1, 6, 3]
    line = next(one for one in marks(svg, "line") if one.get("class") == "asked")
    # 0.25 lies in the middle of the second bar
    assert float(line.get("x1")) == pytest.approx(float(bars[1].get("x")) + float(bars[1].get("width")) / 2, abs=0.2)
    drawn = charts.histogram([0.1, 0.2, 0.3], [5, 5], [2, 8], None, 1.0, (0.0, 0.5))
    assert not [one for one in marks(drawn, "line") if one.get("class") == "asked"] and marks(drawn, "path")


def test_lines_pass_through_their_points():
    points = [{"progress": p / 4, "rate": 0.4 - 0.1 * p, "achieved_rate": 0.4 - 0.1 * p} for p in range(5)]
    svg = charts.lines(points, {"rate": "asked for", "achieved_rate": "achieved"}, 0.4, share=True)
    spots = [one for one in marks(svg, "circle") if one.get("data-key") == "rate"]
    assert [float(one.get("data-value")) for one in spots] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0])
    heights = [float(one.get("cy")) for one in spots]
    assert [round(b - a, 1) for a, b in pairwise(heights)] == [round(heights[1] - heights[0], 1)] * 4


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.013), (0.26, 0.34), (0.0, 3.7), (0.4, 0.401)])
def test_ticks_are_round_and_inside(low, high):
    found = charts.ticks(low, high, 6)
    assert found and all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    assert len(found) <= 7 and found == sorted(found)
    steps = {round(b - a, 9) for a, b in pairwise(found)}
    assert len(steps) <= 1
    assert charts.roof(high) >= high - 1e-9
