"""More steps for a run that has begun: `resume=<folder> trainer.max_steps=+2000`, or a larger number in all.

A run at its end gets a phase of its own for the added steps: the learning rate warms up and falls again over them
(arXiv 2403.08763), since the old schedule has ended, and the rows come in an order that no visit had. A run on its way
follows its schedule over the new total at once. Progress, which moves masking rates, is the share of the new total.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from maskwright.errors import Refused
from maskwright.pasting import command
from maskwright.training.phases import asked

KEY = "trainer.max_steps"
STEPS = (KEY, "trainer.max_epochs", "phases")  # what decides the steps
_LEFT = ("metrics.json", "evaluation")  # what speaks of the network in export/


def lengthened(saved: DictConfig, folder: Path, text: str, steps: int, done: int, ended: bool) -> DictConfig:
    """The run's config with the steps that `text`, the value of trainer.max_steps, asks for.

    steps: planned until now. done: those of the newest checkpoint. ended: whether the run has come to its end.
    Raises Refused where there is nothing to lengthen.
    """
    try:
        number = int(text)
    except ValueError:
        raise Refused(
            f"{KEY} is {text}; give a whole number of steps in all, or more steps as in {KEY}=+2000."
        ) from None
    go_on = command("train.py", resume=folder)
    if text.startswith("+"):
        if not ended:
            raise Refused(
                f"{KEY}={text} lengthens a run at its end, and this one has done {done:,} of {steps:,} steps; let it "
                f"finish with {go_on}, or give the steps in all as {KEY}=<number>."
            )
        number += done
    elif number == steps:
        return saved
    if number < steps or number <= done:
        raise Refused(
            f"{KEY}={text} makes fewer steps than the {steps:,} that the run has planned; give more, or go on as it is "
            f"with {go_on}."
        )
    changed = saved.copy()
    if ended:
        changed.phases = [*_pinned(saved, steps, done), {"from": done, "restart": True}]
    elif OmegaConf.select(saved, "phases"):
        raise Refused(
            f"{KEY}={text} would move the phases of a run on its way; let it finish with {go_on}, and lengthen it then."
        )
    changed.trainer.max_steps, changed.trainer.max_epochs = number, None
    return changed


def _pinned(saved: DictConfig, steps: int, done: int) -> list[dict[str, Any]]:
    """The phases that the run has had, each from its step."""
    listed = OmegaConf.to_container(saved.phases, resolve=True) if "phases" in saved else []
    assert isinstance(listed, list)
    firsts = [round(phase.begins * steps) if phase.begins < 1 else int(phase.begins) for phase in asked(saved)[1:]]
    return [node | {"from": first} for node, first in zip(listed, firsts, strict=True) if first < done]


def set_aside(run: Path, step: int) -> Path | None:
    """Keep what the run left at its old end, after `step` steps, below exports/; the place, or None without any."""
    if not (run / "export").is_dir():
        return None
    place = run / "exports" / f"step-{step:08d}"
    place.parent.mkdir(exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)  # an export on the way, of the same weights
    for name in _LEFT:
        if (run / name).exists():
            target = run / "export" / name
            shutil.rmtree(target, ignore_errors=True)
            os.replace(run / name, target)
    os.replace(run / "export", place)
    return place
