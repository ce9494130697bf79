"""metrics.csv: no row is lost, doubled or left over, whatever moment the process dies at."""

from __future__ import annotations

import csv

import pytest
import torch

from maskwright.tracking.metrics_file import MetricsFile


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_values_read_back_exactly(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    third = 1 / 3
    file.append(10, {"loss": torch.tensor(third, dtype=torch.float64), "tokens": 4096, "note": "a, b\nc", "none": None})
    (row,) = read(file.path)
    assert float(row["loss"]) == third
    assert row == {"step": "10", "loss": repr(third), "tokens": "4096", "note": "a, b c", "none": ""}


def test_the_header_grows_and_old_rows_get_empty_cells(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    file.append(1, {"loss": 3.0})
    file.append(2, {"loss": 2.0, "ruler/loss": 4.0})
    file.append(3, {"ruler/loss": 3.5})
    assert file.path.read_text() == "step,loss,ruler/loss\n1,3.0,\n2,2.0,4.0\n3,,3.5\n"
    assert not list(tmp_path.glob("*.new"))


def test_one_step_is_one_row(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    file.append(5, {"loss": 3.0})
    file.append(5, {"ruler/loss": 4.0})
    file.append(5, {"ruler/loss": 4.0})
    assert file.path.read_text() == "step,loss,ruler/loss\n5,3.0,4.0\n"


def test_rewind_drops_later_rows(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    for step in range(10, 60, 10):
        file.append(step, {"loss": step / 10})
    again = MetricsFile(file.path)
    again.rewind(30)
    assert [int(r["step"]) for r in read(file.path)] == [10, 20, 30]
    assert again.last_step == 30
    again.append(40, {"loss": 4.0})
    assert [r["loss"] for r in read(file.path)] == ["1.0", "2.0", "3.0", "4.0"]
    again.rewind(-1)
    assert read(file.path) == [] and again.last_step is None
    MetricsFile(tmp_path / "new.csv").rewind(7)
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize("cut", range(1, 12))
def test_killed_at_any_byte_and_resumed_equals_never_killed(tmp_path, cut):
    def train(file, first, last):
        for step in range(first, last + 1):
            file.append(step, {"loss": 1 / step})
            if step % 3 == 0:
                file.append(step, {"ruler/loss": 2 / step})

    whole = MetricsFile(tmp_path / "whole.csv")
    train(whole, 1, 8)
    killed = MetricsFile(tmp_path / "killed.csv")
    train(killed, 1, 7)
    text = killed.path.read_bytes()
    killed.path.write_bytes(text[:-cut])
    resumed = MetricsFile(killed.path)
    resumed.rewind(5)
    train(resumed, 6, 8)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_a_half_line_never_joins_the_next_row(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n1,2.5\n2,1.")
    file = MetricsFile(path)
    file.append(2, {"loss": 1.25})
    assert path.read_text() == "step,loss\n1,2.5\n2,1.25\n"


def test_a_step_backwards_is_refused(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    file.append(4, {"loss": 1.0})
    with pytest.raises(ValueError, match="step 3 comes before step 4"):
        file.append(3, {"loss": 1.0})
