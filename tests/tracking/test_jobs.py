"""A job's mark: what happened stands in its folder, whatever way it ended."""

from __future__ import annotations

import errno
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from maskwright.errors import RecipeError, Refused
from maskwright.tracking.jobs import is_failure, read_status, rerun_command, sentence, tracked_job
from maskwright.tracking.sweep import gather


def test_states_of_a_single_run(tmp_path):
    with tracked_job(tmp_path):
        assert read_status(tmp_path)["state"] == "running"  # what a killed job leaves
    done = read_status(tmp_path)
    assert done["state"] == "finished" and done["error"] is None and done["ended"] >= done["started"]
    other = tmp_path / "other"
    with pytest.raises(RecipeError), tracked_job(other):
        raise RecipeError("rate.start is 1.3; a masking rate lies between 0 and 1.")
    assert read_status(other)["error"] == "rate.start is 1.3; a masking rate lies between 0 and 1."
    assert "Traceback" in (other / "error.log").read_text()
    with tracked_job(other) as job:
        job.preempted()
    kept = read_status(other)
    assert kept["state"] == "preempted" and kept["command"] == f"python train.py resume={other}"
    assert not (other / "error.log").exists()


@pytest.mark.parametrize("error", [Refused("it would change the run"), OSError("no"), KeyboardInterrupt()])
def test_a_finished_run_stays_finished_whatever_comes_later(tmp_path, error):
    with tracked_job(tmp_path):
        pass
    done = read_status(tmp_path)
    since = time.time()
    with pytest.raises(type(error)), tracked_job(tmp_path):
        assert read_status(tmp_path) == done
        raise error
    later = read_status(tmp_path)
    assert later.pop("refused")["error"] == sentence(error) and later == done
    (job,) = gather(tmp_path, since)  # the multirun that asked for it hears of it
    assert job["state"] == "refused" and is_failure(job) and job["error"] == sentence(error)
    with tracked_job(tmp_path):
        pass
    assert read_status(tmp_path)["state"] == "finished"


def test_what_does_not_go_with_a_failed_run_leaves_it_as_it_was(tmp_path):
    with pytest.raises(ValueError), tracked_job(tmp_path):
        raise ValueError("the loss is not a number")
    failed, log = read_status(tmp_path), (tmp_path / "error.log").read_text()
    with pytest.raises(SystemExit), tracked_job(tmp_path):  # as the entry turns it into an exit status
        try:
            raise Refused("it would change the run")
        except RecipeError:
            sys.exit(2)
    later = read_status(tmp_path)
    assert later.pop("refused")["error"] == "it would change the run" and later == failed
    assert (tmp_path / "error.log").read_text() == log
    with pytest.raises(ValueError), tracked_job(tmp_path):  # it went on, and failed again
        raise ValueError("other")
    assert read_status(tmp_path)["error"] == "ValueError: other" and "other" in (tmp_path / "error.log").read_text()


def test_a_folder_that_holds_no_run_gets_no_mark(tmp_path):
    """As the folder of a multirun that was named by mistake: compare.py would take it for a run."""
    with pytest.raises(Refused), tracked_job(tmp_path):
        raise Refused("it holds a multirun")
    assert not list(tmp_path.iterdir())


def test_an_exit_code_decides(tmp_path):
    for code, state in ((0, "finished"), (None, "finished"), (2, "failed")):
        with pytest.raises(SystemExit), tracked_job(tmp_path / str(code)):
            sys.exit(code)
        assert read_status(tmp_path / str(code))["state"] == state
    with pytest.raises(SystemExit), tracked_job(tmp_path):  # what an entry does that prints a RecipeError itself
        try:
            raise RecipeError("no file matches data.files; name one that exists.")
        except RecipeError:
            sys.exit(2)
    assert read_status(tmp_path)["error"] == "no file matches data.files; name one that exists."


def test_the_mark_keeps_secrets_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-very-secret-token")
    with pytest.raises(OSError), tracked_job(tmp_path):
        raise OSError("401 for a-very-secret-token")
    assert "a-very-secret-token" not in (tmp_path / "status.json").read_text() + (tmp_path / "error.log").read_text()
    assert read_status(tmp_path)["error"] == "OSError: 401 for ***"
    assert sentence(ValueError("two\nlines")) == "ValueError: two"
    assert sentence(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with tracked_job(tmp_path / "x"):
        pass
    assert not (tmp_path / "x").exists()
    with pytest.raises(ValueError), tracked_job(tmp_path):
        raise ValueError("lost")
    assert [path.name for path in tmp_path.iterdir()] == ["error-rank-1.log"]


def test_a_full_disk_does_not_hide_the_error(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RecipeError, match="the disk is full"), tracked_job(tmp_path):
        monkeypatch.setattr(Path, "write_text", full)
        raise RecipeError("the disk is full")


@pytest.mark.parametrize("folder", ["/a/b-1", "/a/b c", "/a/it's", "/a/k=v,w", "/a/{x}"])
def test_the_command_survives_the_shell_and_hydra(tmp_path, folder):
    overrides = ["masking=span", "data.files='a b.txt'", "sweeps=study"]
    words = shlex.split(rerun_command(Path(folder), overrides))
    assert words[:2] == ["python", "train.py"] and words[2:5] == overrides and words[5] == "hydra.mode=RUN"
    assert "hydra.mode=RUN" not in shlex.split(rerun_command(tmp_path, overrides[:2]))
    (parsed,) = OverridesParser.create().parse_overrides(words[6:])
    value = parsed.value()
    assert (value.text if hasattr(value, "text") else value) == folder


ENTRY = """
    import json, os, pathlib, sys, time
    import hydra
    from hydra.core.hydra_config import HydraConfig

    @hydra.main(config_path="conf", config_name="train", version_base="1.3")
    def main(cfg):
        from maskwright.tracking.jobs import run_on_devices, runs_elsewhere, tracked_job
        folder = pathlib.Path(HydraConfig.get().runtime.output_dir)
        with tracked_job(folder) as job:
            if runs_elsewhere(cfg.devices, cfg.machines):
                return run_on_devices(folder, cfg.devices, __file__)["ruler/loss"]
            else:
                if cfg.x == 2:
                    raise ValueError("x is two")
                if cfg.x == 5:
                    (folder / "config.yaml").touch()
                    raise OSError("lost")
                if cfg.x == 6 and "RANK" in os.environ:
                    if os.environ["RANK"] == "1":
                        raise ValueError("lost on the second device")
                    time.sleep(100)  # as in a collective that waits for the other
                if cfg.x == 4:
                    job.preempted()
                (folder / f"rank-{os.environ.get('RANK', 'none')}").write_text(os.environ.get("WORLD_SIZE", "1"))
                (folder / "metrics.json").write_text(json.dumps({"ruler/loss": cfg.x / 4, "ruler/accuracy": 0.25}))
            return cfg.x / 4

    main()
"""
CONFIG = """
    defaults:
      - sweeps: null
      - _self_
    x: 1
    devices: 1
    machines: 1
    hydra:
      run: {dir: run}
      sweep: {dir: all, subdir: "${hydra.job.num}"}
      output_subdir: null
      searchpath: ["file://${oc.env:PROJECT_CONF}"]
      callbacks:
        sweep_report:
          _target_: maskwright.tracking.sweep.SweepReport
"""
STUDY = """
    # @package _global_
    hydra: {mode: MULTIRUN, sweeper: {params: {x: "1,2,3"}}}
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Runs a small train.py in a folder of its own."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PROJECT_CONF", str(root / "conf"))
    monkeypatch.setenv("PYTHONPATH", str(root / "src"))
    monkeypatch.setenv("COLUMNS", "100")
    for path, text in (("train.py", ENTRY), ("conf/train.yaml", CONFIG), ("conf/sweeps/study.yaml", STUDY)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(textwrap.dedent(text))

    def start(*words):
        done = subprocess.run(
            [sys.executable, "train.py", *words], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return start


def states(folder):
    return [read_status(folder / str(n)).get("state") for n in range(len([p for p in folder.iterdir() if p.is_dir()]))]


@pytest.mark.parametrize("words", [("-m", "x=1,2,3"), ("sweeps=study",), ("-m", "x=1,2,3", "hydra/launcher=parallel")])
def test_a_failed_job_is_marked_the_others_go_on_and_it_runs_again_alone(tmp_path, start, words):
    code, out, _ = start(*words)
    assert code == 1 and states(tmp_path / "all") == ["finished", "failed", "finished"]
    command = read_status(tmp_path / "all" / "1")["command"]
    assert f"again, alone: {command}" in out and "2 of 3 jobs finished" in out and "ValueError: x is two" in out
    rows = (tmp_path / "all" / "results.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows] == ["state", "finished", "failed", "finished"]
    # the named command runs this job alone, in its folder, and no other
    before = read_status(tmp_path / "all" / "0")
    assert start(*shlex.split(command)[2:])[0] == 1
    (tmp_path / "train.py").write_text((tmp_path / "train.py").read_text().replace("cfg.x == 2", "cfg.x == 9"))
    assert start(*shlex.split(command)[2:])[0] == 0
    assert states(tmp_path / "all") == ["finished"] * 3 and read_status(tmp_path / "all" / "0") == before


def test_a_multirun_in_the_folder_of_another_is_refused_before_anything_is_touched(tmp_path, start):
    assert start("-m", "x=1,3")[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "all").rglob("*") if path.is_file()}
    code, _, said = start("-m", "x=1,3,7")
    command = f"python train.py -m x=1,3 hydra.sweep.dir={tmp_path / 'all'}"
    assert code == 2 and f"holds a multirun of another command; restart that one with: {command} - or" in said
    assert {path: path.read_bytes() for path in (tmp_path / "all").rglob("*") if path.is_file()} == before
    assert start("-m", "x=1,3")[0] == 0


def test_a_multirun_without_failures_exits_0_and_a_single_run_fails_loudly(tmp_path, start):
    assert start("-m", "x=1,3")[0] == 0
    code, _, err = start("x=2")
    assert code == 1 and "x is two" in err and read_status(tmp_path / "run")["state"] == "failed"


def test_a_failed_run_that_had_begun_is_gone_on_with(tmp_path, start):
    code, out, _ = start("-m", "x=5,3")
    command = f"python train.py resume={tmp_path / 'all' / '0'}"
    assert code == 1 and states(tmp_path / "all") == ["failed", "finished"]
    assert read_status(tmp_path / "all" / "0")["command"] == command and f"again, alone: {command}\n" in out


def test_a_killed_job_is_seen_as_killed(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "status.json").write_text('{"state": "running", "job": 0, "overrides": ["x=1"], "started": 5.0}')
    (job,) = gather(tmp_path, since=4.0)
    assert is_failure(job) and job["command"] == f"python train.py x=1 hydra.run.dir={tmp_path / '0'}"
    (tmp_path / "0" / "config.yaml").touch()
    assert gather(tmp_path)[0]["command"] == f"python train.py resume={tmp_path / '0'}"
    assert gather(tmp_path, since=6.0) == []  # an earlier multirun's


def test_a_preempted_job_stops_the_multirun(tmp_path, start):
    code, out, _ = start("-m", "x=1,4,3")
    assert code == 1 and states(tmp_path / "all") == ["finished", "preempted"]
    assert f"python train.py resume={tmp_path / 'all' / '1'}" in out


def test_a_search_goes_on_after_a_failure(tmp_path, start):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    code, _, _ = start("-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=6", "x=choice(1,2)")
    seen = states(tmp_path / "all")
    assert code == (1 if "failed" in seen else 0) and len(seen) == 6 and {"finished"} <= set(seen)


@pytest.mark.slow
def test_a_job_on_several_devices_is_one_job_with_processes_of_its_own(tmp_path, start):
    code, out, _ = start("-m", "x=3,2,6", "devices=2,1")
    all_jobs = tmp_path / "all"
    assert read_status(all_jobs / "0")["error"] is None and "KeyError" not in out
    assert code == 1 and states(all_jobs) == ["finished", "finished", "failed", "failed", "failed", "finished"]
    assert sorted(p.name for p in (all_jobs / "0").glob("rank-*")) == ["rank-0", "rank-1"]
    assert (all_jobs / "0" / "rank-1").read_text() == "2"
    assert [p.name for p in (all_jobs / "1").glob("rank-*")] == ["rank-none"]  # nothing leaks into the next job
    assert read_status(all_jobs / "2")["error"] == "ValueError: x is two"
    assert "x is two" in (all_jobs / "2" / "error.log").read_text().splitlines()[-1]
    assert read_status(all_jobs / "4")["error"] == "ValueError: lost on the second device"


def test_a_job_of_a_multirun_on_several_machines_is_refused(tmp_path, start):
    code, out, _ = start("-m", "x=1", "machines=2")
    assert code == 1 and "hardware.nodes is 2, and the jobs of a multirun run on one machine; start each" in out
