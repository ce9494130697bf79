"""A multirun is restarted by its own command in its own folder: what it has finished is left out, the rest goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from maskwright.pasting import command

PLAN = "multirun.yaml"  # Hydra writes it when a multirun begins
# What may differ when a run goes on: nothing of it touches batches, masks or weights.
FREE = ("resume", "logger", "hydra", "hardware.workers", "checkpoint.keep", "cache", "evaluation")


def is_free(key: str) -> bool:
    """Whether a key of the command line may differ when a run goes on."""
    return any(key == one or key.startswith(one + ".") for one in FREE)


def restart_command(folder: Path) -> str:
    """The command that restarts the multirun in `folder`, by the plan that Hydra wrote there."""
    return restart(_hydra(folder), folder)


def restart(hydra: Mapping[str, Any], folder: Path) -> str:
    """The command that restarts a multirun. hydra: that node of its config, plain."""
    own = [word for word in hydra["overrides"]["hydra"] if not word.startswith(("hydra.sweep.dir=", "hydra.mode="))]
    program = (hydra.get("job") or {}).get("name") or "train"
    return command(f"{program}.py", "-m", *hydra["overrides"]["task"], *own, hydra__sweep__dir=folder)


def other_plan(hydra: Mapping[str, Any], folder: Path) -> str | None:
    """A sentence when `folder` holds a multirun that was begun with another command than `hydra` says."""
    if not (folder / PLAN).exists():
        return None
    then = _hydra(folder)
    if _plan(then) == _plan(hydra):
        return None
    return (
        f"{folder} holds a multirun of another command; restart that one with: {restart(then, folder)} - or choose "
        "another hydra.sweep.dir."
    )


def planned(plan: Path) -> list[list[str]]:
    """The overrides of every job of a multirun, from its multirun.yaml; empty for sweepers that choose as they go."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        hydra: Any = yaml.safe_load(plan.read_text(encoding="utf-8"))["hydra"]
        if not hydra["sweeper"]["_target_"].endswith(".BasicSweeper"):
            return []
        words = [f"{key}={value}" for key, value in (hydra["sweeper"].get("params") or {}).items()]
        parsed = OverridesParser.create().parse_overrides([*words, *hydra["overrides"]["task"]])
        return BasicSweeper.split_arguments(parsed, None)[0]
    except (OSError, KeyError, TypeError, yaml.YAMLError, HydraException):
        return []


def _plan(hydra: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """What decides the jobs: the sweeper's own parameters and the command's words."""
    words: Sequence[str] = hydra["overrides"]["task"]
    settled = [word for word in words if not is_free(word.lstrip("+~").partition("=")[0].partition("@")[0])]
    return (hydra.get("sweeper") or {}).get("params") or {}, settled


def _hydra(folder: Path) -> dict[str, Any]:
    """The plan's node `hydra`; one without words when it cannot be read."""
    try:
        return dict(yaml.safe_load((folder / PLAN).read_text(encoding="utf-8"))["hydra"])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return {"overrides": {"task": [], "hydra": []}}
