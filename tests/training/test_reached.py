"""A rate that is not reached, and rows that lose nothing, are said before the first step and are never a loss of 0."""

from __future__ import annotations

import csv
import json
import math

import pytest
import torch

from maskwright.tracking.meter import Meter


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """One line a document, of two or three words."""
    path = tmp_path_factory.mktemp("short") / "lines.txt"
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lnr"]
    lines = [" ".join(words[(n * step) % 75] for step in (1, 7, 31)[: 2 + n % 2]) for n in range(600)]
    path.write_text("\n".join(lines))
    return (
        "data=text", f"data.files={path}", "data.document=line", "packing=document", "tokenizer.vocabulary=96",
        "rate.value=0.15", "trainer.max_steps=3", "trainer.validate_every=3", "trainer.log_every_n_steps=1",
    )  # fmt: skip


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["grad_norm"]]


def test_short_rows_lose_one_token_at_least_and_the_rate_is_said(short, pretrain, tmp_path, capfd):
    pretrain(*short, folder=tmp_path)
    assert all(float(row["achieved_rate"]) > 0.3 and float(row["loss"]) > 0 for row in rows_of(tmp_path))
    said = capfd.readouterr().out
    assert "of the tokens are masked where 15% are asked for" in said


def test_a_run_that_masks_nothing_says_so_and_has_no_loss(short, pretrain, tmp_path, capfd):
    pretrain(*short, "rate.value=0.01", "masking.budget.at_least=0", folder=tmp_path)
    assert "note: no token is masked: 1% of " in capfd.readouterr().out
    assert all("loss" not in row or row["loss"] == "" for row in rows_of(tmp_path))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["heldout/mlm"] is None and metrics["heldout/mlm/reason"] == "no held-out place counts"


def test_the_mean_is_over_the_steps_that_have_a_value():
    meter = Meter(0.0, None)
    for loss in (2.0, math.nan, 4.0):
        meter.add({"loss": torch.tensor(loss), "loss/rare": torch.tensor(math.nan), "rate": torch.tensor(0.3)})
    kept = Meter(0.0, None)
    kept.load_state_dict(meter.state_dict())
    for one in (meter, kept):
        row = one.row()
        assert row["loss"] == 3.0 and "loss/rare" not in row and row["rate"] == pytest.approx(0.3)
