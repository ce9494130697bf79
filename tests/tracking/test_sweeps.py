"""The ready studies: every swept choice exists, and each study says the same as its W&B twin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "sweeps").glob("*.yaml"))  # each with a twin for W&B
EVIDENCE = sorted((ROOT / "sweeps" / "evidence").glob("*.yaml"))


def named(path):
    """A study as `sweeps=` takes it."""
    return path.relative_to(ROOT / "sweeps").with_suffix("").as_posix()


def wanted(value):
    """A swept value of Hydra's in W&B's words."""
    text = str(value)
    interval = re.fullmatch(r"(tag\(log, )?interval\(([\d.]+), ([\d.]+)\)\)?", text)
    if interval:
        law = "log_uniform_values" if interval[1] else "uniform"
        return {"distribution": law, "min": float(interval[2]), "max": float(interval[3])}
    parts = [yaml.safe_load(part) for part in text.split(",")]
    return {"values": parts} if len(parts) > 1 else {"value": parts[0]}


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_study_and_its_twin_agree_and_their_choices_exist(path):
    study = yaml.safe_load(path.read_text())
    twin = yaml.safe_load((path.parent / "wandb" / path.name).read_text())
    params = study["hydra"]["sweeper"]["params"]
    assert study["hydra"]["mode"] == "MULTIRUN" and path.read_text().startswith("# @package _global_\n")
    assert twin["parameters"] == {name: wanted(value) for name, value in params.items()}
    assert twin["program"] == "train.py" and twin["metric"]["name"] == "ruler/loss"


@pytest.mark.parametrize("path", [*STUDIES, *EVIDENCE], ids=lambda p: p.stem)
def test_every_value_of_a_study_composes(path, monkeypatch):
    monkeypatch.setenv("MASKWRIGHT_ROOT", str(ROOT))
    params = yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"]
    choices = {}
    for name, value in params.items():
        law = wanted(value)
        choices[name] = law.get("values", [law.get("value", law.get("min"))])
    first = {name: values[0] for name, values in choices.items()}
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for name, values in choices.items():
            for value in values:
                compose("train", [f"sweeps={named(path)}", *(f"{k}={v}" for k, v in (first | {name: value}).items())])


def test_every_twin_has_a_study():
    assert {p.name for p in (ROOT / "sweeps" / "wandb").glob("*.yaml")} == {p.name for p in STUDIES}


@pytest.mark.parametrize("path", [*STUDIES, *EVIDENCE], ids=lambda p: p.stem)
def test_the_number_of_runs_in_the_header_is_right(path):
    text = path.read_text()
    study = yaml.safe_load(text)["hydra"]["sweeper"]
    runs = study.get("n_trials") or 1
    if "n_trials" not in study:
        for value in study["params"].values():
            runs *= len(str(value).split(","))
    assert f"{runs} runs" in text and f"python train.py sweeps={named(path)}" in text
