"""A run's folder: what it holds, how a run begins in it, and how one is resumed.

config.yaml    the whole recipe, resolved        run.json      what was chosen and measured at the start
metrics.csv    one row per logged step           metrics.json  the final figures
checkpoints/   step-<n>.ckpt                     export/       the trained network for transformers
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from maskwright.errors import RecipeError
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text
from maskwright.training import checkpoints

# What may differ when a run goes on: nothing of it touches batches, masks or weights.
FREE = ("resume", "logger", "hydra", "hardware.workers", "checkpoint.keep", "cache", "evaluation")


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config, self.facts = self.path / "config.yaml", self.path / "run.json"
        self.checkpoints, self.export = self.path / "checkpoints", self.path / "export"

    def begin(self, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        """Write config.yaml and which options were chosen. Raises RecipeError when another run lives here."""
        if self.config.exists():
            raise RecipeError(
                f"{self.path} already holds a run; continue it with resume={self.path}, "
                "or choose another hydra.run.dir."
            )
        plain = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(plain, dict)
        plain.pop("hydra", None)
        self.record({"choices": dict(choices)})  # first: a folder with config.yaml can be resumed
        write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(without_secrets(plain))))

    def record(self, facts: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_text(self.facts, json.dumps(facts, indent=1) + "\n")

    def choices(self) -> dict[str, str]:
        """Which option of each config group the run was begun with."""
        return json.loads(self.facts.read_text(encoding="utf-8"))["choices"]

    def recorded(self) -> dict[str, Any] | None:
        """run.json; None when the run was killed before it was whole."""
        facts = json.loads(self.facts.read_text(encoding="utf-8")) if self.facts.exists() else {}
        return facts if "hardware" in facts else None

    def clear(self) -> None:
        """Delete the halves of files that a killed process has left."""
        checkpoints.remove_torn(self.checkpoints)
        for half in (*self.path.glob(".export.*"), *(self.path / "exports").glob(".step-*")):
            shutil.rmtree(half, ignore_errors=True)


def resumed(folder: str | Path, cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of the run in `folder`, with what may change taken from `cfg`.

    Raises RecipeError when there is no run, or when `overrides` (the command line) would change it.
    """
    run = RunFolder(folder)
    if not run.config.exists():
        raise RecipeError(
            f"resume={folder} holds no run (no config.yaml); name the folder that the run printed at its start."
        )
    saved = OmegaConf.load(run.config)
    assert isinstance(saved, DictConfig)
    for override in overrides:
        key = override.lstrip("+~").split("=", 1)[0].split("@")[0]
        if key == "resume":
            continue
        free = next((name for name in FREE if key == name or key.startswith(name + ".")), None)
        if free is None:
            same = OmegaConf.select(saved, key) == OmegaConf.select(cfg, key) and not isinstance(
                OmegaConf.select(cfg, key), DictConfig
            )
            if not same:
                raise RecipeError(
                    f"resume continues a run as it began, and {override} would change it; leave it out, or "
                    f"start a new run from its weights with model.init_from={folder}."
                )
        elif free != "hydra":
            OmegaConf.update(saved, free, OmegaConf.select(cfg, free), merge=False)
    saved.resume = str(folder)
    return saved


def checkpoint_to_resume(run: RunFolder) -> Path | None:
    """The newest whole checkpoint; None when the run was killed before its first."""
    found = checkpoints.newest(run.checkpoints)
    if found is None and checkpoints.listed(run.checkpoints):
        raise RecipeError(
            f"No checkpoint in {run.checkpoints} is whole; restore one from a backup or start the run again."
        )
    return found
