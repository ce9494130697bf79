"""Promise: a multirun is restarted by its own command, and does only what is left to do."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.training.test_resume import in_child

from maskwright.errors import Refused
from maskwright.tracking.jobs import read_status, tracked_job
from maskwright.tracking.restart import other_plan, planned, restart_command
from maskwright.tracking.sweep import gather
from maskwright.training.going_on import AlreadyDone, going_on

ROOT = Path(__file__).parents[2]


def plan(*task: str, own: tuple[str, ...] = (), params: dict[str, str] | None = None) -> dict:
    sweeper = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "params": params}
    return {"job": {"name": "train"}, "overrides": {"task": [*task], "hydra": [*own]}, "sweeper": sweeper}


def written(folder: Path, hydra: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    return folder


def test_the_command_is_the_multiruns_own_with_its_folder(tmp_path):
    task, own = ("masking=random,span", "data.files='a b.txt'"), ("hydra.mode=MULTIRUN", "hydra/launcher=parallel")
    folder = written(tmp_path / "lr=1 [b]", plan(*task, own=(*own, "hydra.sweep.dir=elsewhere")))
    words = shlex.split(restart_command(folder))
    assert words == ["python", "train.py", "-m", *task, own[1], f'hydra.sweep.dir="{folder}"']
    assert len(planned(folder / "multirun.yaml")) == 2


@pytest.mark.parametrize("now", [plan("seed=1,2,3"), plan("seed=2,1"), plan("seed=1,2", params={"x": "1,2"}), plan()])
def test_another_command_in_its_folder_is_refused(tmp_path, now):
    folder = written(tmp_path, plan("seed=1,2", "logger=csv"))
    assert f"restart that one with: {restart_command(folder)} - or choose another" in other_plan(now, folder)


def test_what_touches_no_weights_may_differ(tmp_path):
    folder = written(tmp_path, plan("seed=1,2", "logger=csv"))
    assert other_plan(plan("logger.mode=offline", "seed=1,2", "hardware.workers=2"), folder) is None
    assert other_plan(plan("seed=1,2"), tmp_path / "new") is None


def test_a_finished_job_is_left_out_and_counted(tmp_path):
    job = tmp_path / "0"
    with tracked_job(job):
        pass
    done, since = read_status(job), time.time()
    assert gather(tmp_path, since) == []
    with tracked_job(job) as tracked:
        tracked.skip()
    (seen,) = gather(tmp_path, since)
    assert seen["state"] == "finished" and seen["ended"] == done["ended"]


def test_jobs_are_known_by_their_recipe(tmp_path, compose, pretrain):
    from maskwright.training.run import pretrain as start

    words = ("model=bert_tiny", "rate.value=0.15")
    cfg, choices = compose(*words)
    assert going_on(cfg, tmp_path, words, multirun=True).resume is None
    assert in_child(lambda: start(cfg, choices, tmp_path), 3) == signal.SIGKILL
    stopped = going_on(cfg, tmp_path, words, multirun=True)
    assert stopped.resume == str(tmp_path)
    for other in (("model=bert_tiny", "rate.value=0.4"), ("model=bert_tiny",), (*words, "masking=span")):
        with pytest.raises(Refused, match="holds a run that began with .*restart a multirun by its own command"):
            going_on(compose(*other)[0], tmp_path, other, multirun=True)
    start(stopped, choices, tmp_path)
    with pytest.raises(AlreadyDone) as done:
        going_on(cfg, tmp_path, words, multirun=True)
    assert done.value.figures["ruler/loss"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("hydra/launcher=parallel", "hydra.launcher.n_jobs=2")])
def test_a_killed_multirun_is_restarted_by_what_it_printed(more, tmp_path, small_options):
    """The first job finishes, the second is interrupted, the third never begins; then the printed command is pasted."""
    words = [*small_options, "model=bert_tiny", "checkpoint.every=1", "seed=1,2,3", "trainer.max_steps=3"]
    command = [sys.executable, str(ROOT / "train.py"), "-m", *words, *more]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert first.stdout is not None
    said = ""
    while "/1\n" not in said:  # the second job names its folder
        line = first.stdout.readline()
        assert line, said
        said += line
    os.killpg(first.pid, signal.SIGINT)
    said += first.stdout.read()
    assert first.wait() != 0
    (folder,) = (tmp_path / "outputs" / "multirun").iterdir()
    assert said.count("restart") <= 1 and said.startswith(f"multirun folder {folder} - Ctrl-C stops it; go on with: ")
    line = shlex.split(said.splitlines()[0].partition("go on with: ")[2])
    before = {n: (folder / n / "status.json").stat().st_mtime_ns for n in ("0",) if not more}
    again = subprocess.run(
        [sys.executable, str(ROOT / line[1]), *line[2:]], cwd=tmp_path, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert [path.name for path in (tmp_path / "outputs" / "multirun").iterdir()] == [folder.name]
    assert [read_status(folder / n)["state"] for n in "012"] == ["finished"] * 3
    assert "3 of 3 jobs finished" in again.stdout and again.stdout.count("\nnext\n") == 1
    assert f"python compare.py {folder}" in again.stdout
    assert json.loads((folder / "2" / "metrics.json").read_text())["steps"] == 3
    if before:
        assert "seen" in read_status(folder / "0")
