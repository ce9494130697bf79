"""The rate over training is the schedule's, and what is achieved at a moment is what the masks of that moment have."""

from __future__ import annotations

import pytest

from maskwright.seeing.figures import figures
from maskwright.seeing.over_training import moves, over_training


def test_a_linear_rate_is_a_line(look_at):
    points = over_training(look_at("rate=linear", "rate.start=0.5", "rate.end=0.1"))["main"]
    assert [point["progress"] for point in points] == pytest.approx([step / 20 for step in range(21)])
    assert [point["rate"] for point in points] == pytest.approx([0.5 - 0.4 * step / 20 for step in range(21)])
    assert moves(points) and all(abs(point["achieved_rate"] - point["rate"]) < 0.02 for point in points)


def test_a_moment_is_what_a_look_at_it_finds(look_at):
    recipe = ("masking=whole_word", "rate=cosine", "rate.start=0.6", "rate.end=0.1")
    points = over_training(look_at(*recipe))["main"]
    for step in (0, 7, 20):
        look = look_at(*recipe, progress=step / 20)
        found = figures(look.made["main"], look.real_BL, None)
        for key in ("rate", "achieved_rate", "predicted_rate", "mean_unit_tokens"):
            assert points[step][key] == pytest.approx(found[key])


def test_a_constant_rate_does_not_move(look_at):
    points = over_training(look_at("rate.value=0.25"))["main"]
    assert not moves(points) and not moves(points, "achieved_rate")


def test_stages_of_units_show_in_their_size(look_at, tmp_path):
    (tmp_path / "phrases.txt").write_text("of the\nto the\nin the\nof our\nof my\nhas been\nwill be\n")
    file = tmp_path / "phrases.txt"
    files = [f"masking.unit.units.{number}.column.spans.file={file}" for number in (1, 2)]
    points = over_training(look_at("masking=ernie", *files, "rate.value=0.5"))["main"]
    sizes = [point["mean_unit_tokens"] for point in points]
    assert not moves(points) and moves(points, "mean_unit_tokens")
    # until a third tokens, until two thirds phrases, then entities
    assert set(sizes[:7]) == {1.0} and min(sizes[7:]) > 1.0
    assert len(set(sizes[7:14])) == len(set(sizes[14:])) == 1
