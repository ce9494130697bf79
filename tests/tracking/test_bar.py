"""Progress: a bar in a terminal, plain lines elsewhere, steps counted from where a resumed run goes on."""

from __future__ import annotations

import io
import re

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from rich.console import Console

from maskwright.tracking.bar import Bar, Lines, progress
from maskwright.tracking.meter import Meter


class _Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return {"loss": self.layer(batch).sum(), "rate": 0.3, "tokens": 10}

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(tmp_path, bar, meter, steps=6, fail=False):
    loader = torch.utils.data.DataLoader(torch.ones(6, 2), batch_size=1)
    trainer = Trainer(
        max_steps=steps, logger=False, enable_model_summary=False, enable_checkpointing=False, accelerator="cpu",
        default_root_dir=tmp_path, callbacks=[meter, bar], val_check_interval=3, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(_Module(), loader, loader)
    return trainer


def test_a_log_gets_lines_and_no_control_characters(tmp_path):
    console, meter = Console(file=io.StringIO(), width=80), Meter(1.0, None, every=2)
    bar = progress(meter, console, seconds=0.0)
    assert isinstance(bar, Lines)
    fit(tmp_path, bar, meter)
    text = console.file.getvalue()
    lines = text.splitlines()
    assert "\x1b" not in text and "\r" not in text
    assert [line.split("  ")[0] for line in lines] == [f"step {n}/6" for n in range(1, 7)]
    assert "rate 30%" in lines[-1] and "loss" in lines[-1] and "left" not in lines[-1]


def test_a_quiet_log_still_gets_its_last_line(tmp_path):
    console, meter = Console(file=io.StringIO(), width=80), Meter(1.0, None, every=2)
    fit(tmp_path, progress(meter, console, seconds=1000.0), meter)
    assert [line.split("  ")[0] for line in console.file.getvalue().splitlines()] == ["step 6/6"]


def test_a_terminal_gets_a_bar_of_80_columns(tmp_path):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    meter = Meter(1.0, None, every=2)
    bar = progress(meter, console)
    assert isinstance(bar, Bar)
    fit(tmp_path, bar, meter)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue().split("\r")[-1]).splitlines()[0]
    assert "6/6" in last and "rate 30%" in last and len(last) <= 80
    assert bar._progress is None  # stopped: the terminal is given back


def test_time_left_counts_only_this_process():
    bar = Lines(Meter(1.0, None), Console(file=io.StringIO()), 1.0)

    class Now:
        global_step, max_steps = 100, 200

    bar.on_train_start(Now, None)
    assert bar.left(Now) is None
    Now.global_step = 150
    bar._began -= 10.0
    assert bar.left(Now) == pytest.approx(10.0, rel=1e-2)
