"""A run's folder: what it holds, how a run begins in it, and how one is resumed.

config.yaml    the whole recipe, resolved        run.json      what was chosen and measured at the start
metrics.csv    one row per logged step           metrics.json  the final figures
checkpoints/   step-<n>.ckpt                     export/       the trained network for transformers
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from maskwright.errors import RecipeError, Refused
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text
from maskwright.training import checkpoints

LOCK = ".lock"  # there while a process works in the folder, and after it was killed
# What may differ when a run goes on: nothing of it touches batches, masks or weights.
FREE = ("resume", "logger", "hydra", "hardware.workers", "checkpoint.keep", "cache", "evaluation")


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config, self.facts = self.path / "config.yaml", self.path / "run.json"
        self.checkpoints, self.export = self.path / "checkpoints", self.path / "export"

    def begin(self, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        """Write config.yaml and which options were chosen. Raises Refused when another run lives here."""
        if self.config.exists():
            raise Refused(
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

    @contextmanager
    def held(self, patience: float = 15.0) -> Iterator[None]:
        """Keep other processes out while a run goes on here; the loaders of a killed one take some seconds to notice.

        Raises Refused when another process is still at work after `patience` seconds.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise Refused(f"A run is going on in {self.path}; wait for its end, or stop it first.") from None
        except NotImplementedError:  # a file system without locks
            yield
            return
        try:
            yield
        finally:
            (self.path / LOCK).unlink(missing_ok=True)
            lock.release()

    def clear(self) -> None:
        """Delete the halves of files that a killed process has left."""
        checkpoints.remove_torn(self.checkpoints)
        for half in (*self.path.glob(".export.*"), *(self.path / "exports").glob(".step-*")):
            shutil.rmtree(half, ignore_errors=True)


def resumed(folder: str | Path, cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of the run in `folder`, with what may change taken from `cfg`.

    Raises Refused when there is no run, or when `overrides` (the command line) would change it.
    """
    run = RunFolder(folder)
    if not run.config.exists():
        raise Refused(
            f"resume={folder} holds no run (no config.yaml); name the folder that the run printed at its start."
        )
    saved = OmegaConf.load(run.config)
    assert isinstance(saved, DictConfig)
    for override in overrides:
        name, _, value = override.lstrip("+~").partition("=")
        group, _, package = name.partition("@")
        key = package or group  # where in the config it lands
        if key == "resume":
            continue
        free = any(key == one or key.startswith(one + ".") for one in FREE)
        if not free and not _as_it_was(run, saved, cfg, group, key, value):
            raise Refused(
                f"resume continues a run as it began, and {override} would change it; leave it out, or "
                f"start a new run from its weights with model.init_from={folder}."
            )
        if free and key.split(".")[0] != "hydra":
            OmegaConf.update(saved, key, OmegaConf.select(cfg, key), merge=False)
    saved.resume = str(folder)
    return saved


def _as_it_was(run: RunFolder, saved: DictConfig, cfg: DictConfig, group: str, key: str, value: str) -> bool:
    """Whether an override says what the run was begun with."""
    chosen = run.choices()
    if group in chosen or "/" in group:
        return str(chosen.get(group)) == {"null": "None"}.get(value, value)
    then, now = (OmegaConf.select(each, key) for each in (saved, cfg))
    return then == now and not isinstance(now, DictConfig)


def checkpoint_to_resume(run: RunFolder) -> Path | None:
    """The newest whole checkpoint; None when the run was killed before its first."""
    found = checkpoints.newest(run.checkpoints)
    if found is None and checkpoints.listed(run.checkpoints):
        raise RecipeError(
            f"No checkpoint in {run.checkpoints} is whole; restore one from a backup or start the run again."
        )
    return found
