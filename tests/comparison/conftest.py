"""Run folders as train.py leaves them, with figures that a test decides."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

CONFIG: dict[str, Any] = {
    "name": None,
    "resume": None,
    "seed": 1,
    "seeds": {"init": 1, "order": 1, "masks": 1, "dropout": 1},
    "trainer": {"max_steps": 40, "validate_every": 10},
    "ruler": {"length": 32, "rows": 16},
    "heldout_rows": 16,
    "cache": "~/.cache/maskwright",
    "masking": {"_target_": "maskwright.masking.Masking", "unit": {"_target_": "maskwright.masking.units.Token"}},
    "rate": {"_target_": "maskwright.masking.rates.Constant", "value": 0.3},
    "optimizer": {"_target_": "maskwright.training.optimizers.AdamW", "lr": 0.01},
    "logger": {"_target_": "maskwright.tracking.loggers.FilesOnly"},
}
UNITS = {
    "random": {"_target_": "maskwright.masking.units.Token"},
    "span": {"_target_": "maskwright.masking.units.Span", "p": 0.2, "most_words": 10},
    "whole_word": {"_target_": "maskwright.masking.units.Word"},
}
FINGERPRINTS = {"corpus": "c", "tokenizer": "t", "train": "r", "heldout": "h", "ruler": "u"}


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for name in above:
        tree = tree[name]
    tree[last] = value


@pytest.fixture(scope="session")
def runs_in() -> Callable[[Path], Callable[..., Path]]:
    """`runs_in(root)` is `make_run` for folders below root / "sweep"."""
    return _maker


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run("0", {"masking": "span", "rate.value": 0.4, "seed": 2}, loss=5.0)`: a folder below tmp_path / "sweep".

    state: as status.json has it; None leaves none. figures, facts: more of metrics.json and run.json; whole=False
    leaves neither config.yaml nor run.json, as a run that was refused does.
    """
    return _maker(tmp_path)


def _maker(root: Path) -> Callable[..., Path]:
    def make(
        name: str,
        said: Mapping[str, Any] | None = None,
        loss: float | None = 5.0,
        state: str | None = "finished",
        error: str | None = None,
        figures: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        whole: bool = True,
        overrides: list[str] | None = None,
        validations: int = 4,
    ) -> Path:
        said = dict(said or {})
        folder = root / "sweep" / name
        folder.mkdir(parents=True)
        config, choices = (
            copy.deepcopy(CONFIG),
            {"masking": "random", "rate": "constant", "logger": "csv", "sweeps": None},
        )
        for key, value in said.items():
            if key == "masking":
                config["masking"]["unit"], choices["masking"] = UNITS[value], value
            elif key == "seed":
                config["seed"], config["seeds"] = value, dict.fromkeys(config["seeds"], value)
            else:
                put(config, key, value)
        words = [f"{key}={value}" for key, value in said.items()] if overrides is None else overrides
        if state is not None:
            status = {"state": state, "job": None, "overrides": words, "started": 1.0, "ended": 2.0, "error": error}
            status["command"] = f"python train.py {' '.join(words)} hydra.run.dir={folder}"
            (folder / "status.json").write_text(json.dumps(status))
        if whole:
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            run = {
                "choices": choices,
                "fingerprints": FINGERPRINTS,
                "parameters": 1000,
                "steps": 40,
                "git_commit": "abc",
                "hardware": {"device": "cpu", "precision": "32"},
            }
            (folder / "run.json").write_text(json.dumps(run | dict(facts or {})))
            steps = [10 * (index + 1) for index in range(validations)]
            shape = np.linspace(1.0, 0.0, 4)[:validations]
            rows = ["step,rate,achieved_rate,tokens,flops,speed/tokens_per_second,ruler/loss"]
            for step, above in zip(steps, shape):
                value = "" if loss is None else repr(float(loss + above))
                rows.append(f"{step},0.3,0.31,{step * 100},{step * 1000.0},200.0,{value}")
            (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
        if state in ("finished", None):
            final = {"ruler/loss": loss, "ruler/accuracy": None if loss is None else 1 / loss}
            final |= {"steps": 40, "tokens": 4000, "flops": 40000.0, "seconds": 20.0}
            (folder / "metrics.json").write_text(json.dumps(final | dict(figures or {})))
        return folder

    return make


@pytest.fixture
def sweep(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """`sweep({"masking": ["random", "span"], "seed": [1, 2]}, lambda said: 5.0)`: a grid of finished runs."""

    def make(grid: Mapping[str, list[Any]], loss: Callable[[dict[str, Any]], float], **more: Any) -> Path:
        for number, values in enumerate(product(*grid.values())):
            said = dict(zip(grid, values))
            make_run(str(number), said, loss=loss(said), **more)
        return tmp_path / "sweep"

    return make
