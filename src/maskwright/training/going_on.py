"""Which run, if any, a command goes on with: `resume=<folder>`, latest, auto, and the jobs of a restarted multirun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from maskwright.errors import Refused
from maskwright.pasting import override
from maskwright.tracking.fresh import LATEST, OUTPUTS
from maskwright.tracking.restart import is_free
from maskwright.training.folder import RunFolder, plain, resumed
from maskwright.training.moved import leaves, movable

AUTO = "auto"


class AlreadyDone(Exception):
    """The folder holds this very run, finished; `figures` is its metrics.json."""

    def __init__(self, figures: dict[str, Any]) -> None:
        super().__init__()
        self.figures = figures


def going_on(cfg: DictConfig, folder: Path, overrides: Sequence[str], multirun: bool) -> DictConfig:
    """The config to train by: that of the run which is gone on with, its folder as `resume`, or `cfg` with none.

    resume=auto, and any job of a multirun, goes on with the run that its own folder holds, begins where there is none
    (or none with a checkpoint), and raises AlreadyDone where it has finished. Raises Refused when the folder holds
    another run, or when `resume` names none.
    """
    if cfg.resume == LATEST:
        if not (folder / "config.yaml").exists():  # the folder that was found, or a fresh one
            raise Refused(f"resume={LATEST} finds no unfinished run below {OUTPUTS}/; name one by its folder.")
        return resumed(folder, cfg, overrides)
    if cfg.resume and cfg.resume != AUTO:
        return resumed(cfg.resume, cfg, overrides)
    run, beginning = RunFolder(folder), cfg.copy()
    beginning.resume = None
    if not (cfg.resume or multirun) or not run.config.exists() or not run.has_come_far:
        return beginning
    refuse_another(run, beginning, multirun)
    figures = run.path / "metrics.json"
    if figures.exists():  # what a run writes last
        raise AlreadyDone(json.loads(figures.read_text(encoding="utf-8")))
    saved = OmegaConf.load(run.config)
    keys = {word: word.lstrip("+~").partition("=")[0].rpartition("@")[2] for word in overrides}
    may = [word for word, key in keys.items() if is_free(key) or movable(key, OmegaConf.select(saved, key))]
    return resumed(folder, cfg, may)


def refuse_another(run: RunFolder, cfg: DictConfig, multirun: bool) -> None:
    """Raises Refused when a run's recipe is not the one in `cfg`; steps that were added to it do not count."""
    saved = OmegaConf.load(run.config)
    assert isinstance(saved, DictConfig)
    then, now = dict(leaves(plain(saved))), dict(leaves(plain(cfg)))
    added = bool((run.recorded() or {}).get("lengthened"))
    for key in sorted(then.keys() | now.keys()):
        if is_free(key) or movable(key, then.get(key)) or then.get(key, _Absent) == now.get(key, _Absent):
            continue
        if added and key.startswith(("trainer.max_", "phases")):
            continue
        cure = (
            "restart a multirun by its own command, or choose another hydra.sweep.dir"
            if multirun
            else (f"go on with it by {override('resume', run.path)}, or choose another hydra.run.dir")
        )
        said = ", ".join(f"{word} {_said(values, key)}" for word, values in (("with", then), ("and not with", now)))
        raise Refused(f"{run.path} holds a run that began {said}; {cure}.")


class _Absent:
    """No value."""


def _said(values: dict[str, Any], key: str) -> str:
    return f"{key}={values[key]}" if key in values else f"no {key}"
