"""On a GPU: the CPU's masks, bfloat16 by itself, and a resume that goes on as if never stopped."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("masking", ["random", "whole_word", "span", "t5"])
def test_masks_are_the_cpus(masking, compose):
    from maskwright.training.recipe import assemble

    cfg, choices = compose(f"masking={masking}", "corruption=bert", "rate=uniform")
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    views = recipe.bind(prepared, 1)
    rows = prepared.train.take(np.arange(16))
    rows["visit"] = torch.zeros_like(rows["sample"])
    here = views(rows, 0.25)["main"]
    there = views({name: column.cuda() for name, column in rows.items()}, 0.25)["main"]
    for field in dataclasses.fields(here):
        mine, theirs = getattr(here, field.name), getattr(there, field.name)
        if isinstance(mine, torch.Tensor):
            assert theirs.is_cuda and torch.equal(mine, theirs.cpu()), field.name


def test_a_killed_run_goes_on(small_options, tmp_path):
    def rows(folder: Path) -> list[dict[str, str]]:
        file = folder / "metrics.csv"
        return list(csv.DictReader(file.open(newline=""))) if file.exists() else []

    options = [word for word in small_options if "precision" not in word]
    options += ["hardware=gpu", "model=bert_tiny", "trainer.max_steps=60", "checkpoint.every=10"]

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "train.py", *words], cwd=ROOT, start_new_session=True)

    assert start(*options, f"hydra.run.dir={tmp_path / 'whole'}").wait(300) == 0
    process, until = start(*options, f"hydra.run.dir={tmp_path / 'killed'}"), time.time() + 300
    while len(rows(tmp_path / "killed")) < 20 and time.time() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert start(f"resume={tmp_path / 'killed'}").wait(300) == 0
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert record["hardware"]["accelerator"] == "cuda" and record["hardware"]["precision"] == "bf16"
    for mine, theirs in zip(rows(tmp_path / "killed"), rows(tmp_path / "whole"), strict=True):
        assert (mine["step"], mine["achieved_rate"]) == (theirs["step"], theirs["achieved_rate"])
        assert float(mine["loss"]) == pytest.approx(float(theirs["loss"]), rel=1e-2)
