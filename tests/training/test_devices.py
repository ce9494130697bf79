"""Several devices train as one does, also over a stop: the same masks and steps. Two processes on a CPU stand in."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
# AdamW: Muon multiplies in bfloat16, which makes much of the last bit in which sums over ranks differ
OPTIONS = (
    "optimizer=adamw",
    "packing=document",
    "hardware.micro_rows=3",
    "rate=uniform",
    "trainer.max_steps=60",
    "trainer.validate_every=25",
    "checkpoint.every=10",
    "ruler.rows=13",
    "heldout_rows=13",
)
TWO = ("hardware.accelerator=cpu", "hardware.devices=2")


@pytest.fixture(scope="module")
def alone(compose, tmp_path_factory):
    """The run of one process."""
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("alone") / "run"
    pretrain(*compose(*OPTIONS), folder)
    return folder


def start(*words: str) -> subprocess.Popen[str]:
    """train.py in a process group of its own."""
    command = [sys.executable, "train.py", *words]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def assert_trained_alike(one: Path, other: Path) -> None:
    mine, theirs = rows(one), rows(other)
    assert [row["step"] for row in mine] == [row["step"] for row in theirs]
    for a, b in zip(mine, theirs, strict=True):
        assert (a["tokens"], a["achieved_rate"]) == (b["tokens"], b["achieved_rate"])  # the same rows, the same masks
        for name in ("rate", "loss", "grad_norm", "accuracy/mlm", "ruler/loss", "ruler/accuracy", "heldout/mlm"):
            if a[name]:
                assert float(a[name]) == pytest.approx(float(b[name]), rel=2e-3, abs=1e-6), (a["step"], name)
    mine, theirs = (load_file(folder / "export" / "model.safetensors") for folder in (one, other))
    assert mine.keys() == theirs.keys()
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-3) for name in mine)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "number"), [("ddp", signal.SIGTERM), ("fsdp", signal.SIGKILL)])
def test_two_processes_train_as_one_over_a_stop(strategy, number, alone, small_options, tmp_path):
    folder = tmp_path / "run"
    process = start(*small_options, *OPTIONS, f"hardware={strategy}", *TWO, f"hydra.run.dir={folder}")
    until = time.time() + 200
    while process.poll() is None and not ((folder / "metrics.csv").exists() and len(rows(folder)) > 20):
        assert time.time() < until
        time.sleep(0.01)
    if number == signal.SIGTERM:
        process.send_signal(number)  # to one rank; the other must hear of it
    else:
        os.killpg(process.pid, number)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == (0 if number == signal.SIGTERM else -signal.SIGKILL), out
    assert not (folder / "metrics.json").exists()
    process = start(f"resume={folder}")
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    assert json.loads((folder / "run.json").read_text())["hardware"]["devices"] == 2
    assert_trained_alike(alone, folder)
    checkpoint = torch.load(sorted((folder / "checkpoints").iterdir())[-1], weights_only=True)
    assert checkpoint["global_step"] == 60


@pytest.mark.slow
def test_a_multirun_may_vary_the_devices(alone, small_options, tmp_path):
    """Each job is one job in one folder; a job of two processes trains on whole batches, not on half of them."""
    process = start(
        "-m", *small_options, *OPTIONS, "hardware=ddp", TWO[0], "hardware.devices=2,1", f"hydra.sweep.dir={tmp_path}"
    )
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["0", "1"]
    for job in ("0", "1"):
        assert json.loads((tmp_path / job / "status.json").read_text())["state"] == "finished"
        assert_trained_alike(alone, tmp_path / job)
