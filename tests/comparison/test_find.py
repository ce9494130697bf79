"""Every run is found, whatever became of it, and those that never began too."""

from __future__ import annotations

import os
import time

import pytest
import yaml

from maskwright.comparison.find import find, planned
from maskwright.errors import RecipeError

TARGET = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def plan(folder, task, params=None, target=TARGET):
    said = {"sweeper": {"_target_": target, "params": params}, "overrides": {"task": task}}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": said}, sort_keys=False))


def test_states_reasons_and_commands(make_run, tmp_path):
    make_run("0")
    make_run("1", {"seed": 2}, state="failed", error="OSError: no space left on device")
    make_run("2", {"rate.value": 1.5}, state="failed", error="rate.value is 1.5; ...", whole=False)
    make_run("3", {"seed": 3}, state="running", validations=2)
    make_run("4", {"seed": 4}, state="preempted")
    runs = {run.folder.name: run for run in find([tmp_path / "sweep"])}
    assert [run.state for run in runs.values()] == ["finished", "failed", "failed", "unfinished", "preempted"]
    assert runs["0"].finished and runs["0"].reason == ""
    assert runs["1"].reason == "OSError: no space left on device"
    assert runs["2"].config is None and runs["2"].overrides == ["rate.value=1.5"]
    assert runs["3"].reason.startswith("it came to step 20 of 40; it was killed, or it still runs (last sign of life")
    # a run that has begun is gone on with, one that was refused is started again
    assert runs["3"].command == f"python train.py resume={tmp_path / 'sweep' / '3'}"
    assert runs["2"].command == f"python train.py rate.value=1.5 hydra.run.dir={tmp_path / 'sweep' / '2'}"
    assert "saved" in runs["4"].reason


def test_the_last_sign_of_life(make_run, tmp_path):
    folder = make_run("0", state="running")
    long_ago = time.time() - 3600
    for file in folder.iterdir():
        os.utime(file, (long_ago, long_ago))
    assert "last sign of life 1 h ago" in find([folder])[0].reason


def test_a_run_without_status_is_finished_when_it_has_figures(make_run):
    assert find([make_run("0", state=None)])[0].state == "finished"
    broken = make_run("1")
    (broken / "metrics.json").write_text('{"ruler/loss": 5.')
    assert (find([broken])[0].state, "broken" in find([broken])[0].reason) == ("failed", True)


def test_a_half_written_config_hides_no_other_run(make_run, tmp_path):
    make_run("0")
    (make_run("1", {"seed": 2}) / "config.yaml").write_text("a: [1")
    assert [run.config is None for run in find([tmp_path / "sweep"])] == [False, True]


def test_jobs_that_never_began(make_run, tmp_path):
    make_run("0", {"rate.value": 0.15, "seed": 1})
    make_run("2", {"rate.value": 0.4, "seed": 1}, overrides=["resume=x"])  # gone on with by hand: known by its folder
    make_run("elsewhere", {"rate.value": "0.40", "seed": 2})  # known by what it said
    plan(tmp_path / "sweep", ["rate.value=0.15,0.4", "seed=1,2"])
    runs = find([tmp_path / "sweep"])
    assert [(run.folder.name, run.state) for run in runs] == [
        ("0", "finished"),
        ("1", "missing"),
        ("2", "finished"),
        ("elsewhere", "finished"),
    ]
    folder = tmp_path / "sweep" / "1"
    assert runs[1].command == f"python train.py rate.value=0.15 seed=2 hydra.run.dir={folder}"
    assert runs[1].overrides == ["rate.value=0.15", "seed=2"]


def test_a_run_of_other_settings_in_a_jobs_folder_hides_nothing(make_run, tmp_path):
    make_run("0", {"rate.value": 0.9})
    plan(tmp_path / "sweep", ["rate.value=0.15"])
    runs = {run.folder.name: run for run in find([tmp_path / "sweep"])}
    assert {name: run.state for name, run in runs.items()} == {"0": "finished", "job-0": "missing"}
    assert runs["job-0"].command.endswith("/sweep/job-0")


def test_a_plan_is_expanded_as_hydra_does(tmp_path):
    plan(tmp_path, ["data=text", "seed=range(1,3)"], params={"rate.value": "0.15,0.40", "masking": "random"})
    assert planned(tmp_path / "multirun.yaml") == [
        ["rate.value=0.15", "masking=random", "data=text", f"seed={seed}"] for seed in (1, 2)
    ] + [["rate.value=0.4", "masking=random", "data=text", f"seed={seed}"] for seed in (1, 2)]
    plan(tmp_path, ["seed=1,2"], target="hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper")
    assert planned(tmp_path / "multirun.yaml") == []  # it chooses as it goes
    (tmp_path / "multirun.yaml").write_text("hydra: {")
    assert planned(tmp_path / "multirun.yaml") == []


def test_jobs_are_in_the_order_of_their_numbers(make_run, tmp_path):
    for number in (10, 9, 1):
        make_run(str(number), {"seed": number})
    assert [run.folder.name for run in find([tmp_path / "sweep"])] == ["1", "9", "10"]
    assert len(find([tmp_path / "sweep" / "9", tmp_path / "sweep", tmp_path / "sweep" / "1"])) == 3  # none twice


@pytest.mark.parametrize(("make", "said"), [(False, "is not a folder; name"), (True, "holds no run")])
def test_a_wrong_path_is_one_sentence(tmp_path, make, said):
    if make:
        (tmp_path / "x").mkdir()
    with pytest.raises(RecipeError, match=said):
        find([tmp_path / "x"])
