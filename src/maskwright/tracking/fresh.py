"""Which folder a command works in: one of its own, claimed by making it, or that of the run that it goes on with.

Hydra asks while it starts, so nothing heavy is imported here.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from maskwright.tracking.jobs import first_process, read_status

LATEST = "latest"
OUTPUTS = "outputs"
LOCK = ".lock"  # there while a process works in a run's folder, and after it was killed
_LOOKS = {"--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help"}  # such commands leave nothing behind
_claimed: dict[str, str] = {}


def register() -> None:
    """Teach OmegaConf `run_folder`, `fresh_folder` and `rows_that_fit`, as conf/ uses them."""
    from omegaconf import OmegaConf

    # cached: jobs of a multirun, in this process or another, get the answer that the multirun got
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("fresh_folder", fresh_folder, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("rows_that_fit", _rows_that_fit, replace=True)


def _rows_that_fit(init_from: str | None, most: int) -> int:
    from maskwright.models.checkpoint import longest_row  # heavy, and asked for by presets that start from a checkpoint

    return longest_row(init_from, most)


def run_folder(resume: str | None, fresh: str) -> str:
    """The folder of the run that `resume` names; of a new one for null and auto, and where latest finds none."""
    if resume == LATEST:
        found = latest(OUTPUTS)
        return str(found) if found else fresh_folder(fresh)
    return fresh_folder(fresh) if resume in (None, "", "auto") else str(resume)


def fresh_folder(wanted: str) -> str:
    """`wanted`, or `wanted-2`, `wanted-3` ...: the first that nobody has, made at once; one process gets one."""
    if wanted in _claimed or not first_process() or _LOOKS & {word.partition("=")[0] for word in sys.argv[1:]}:
        return _claimed.get(wanted, wanted)
    for number in itertools.count(1):
        folder = Path(wanted if number == 1 else f"{wanted}-{number}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError:  # Hydra, which makes the folder next, says why
            return wanted
        _claimed[wanted] = str(folder)
        break
    return _claimed[wanted]


def with_choices(words: Sequence[str]) -> list[str]:
    """The words of a command line, and for `resume=<folder>` the choices of that run in every group of which a setting
    is named, so that Hydra knows `data.files` of a run that was begun with data=text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, keys, named = OverridesParser.create(), [word.lstrip("+~").partition("=")[0] for word in words], None
    try:
        for word in words:
            if word.startswith("resume="):
                named = str(parser.parse_override(word).value())
        folder = latest(OUTPUTS) if named == LATEST else Path(named or "")
        kept = json.loads((folder / "run.json").read_text(encoding="utf-8")) if named and folder else {}
        choices = {group: option for group, option in kept.get("choices", {}).items() if option not in (None, "null")}
    except (HydraException, OSError, ValueError):
        return list(words)
    groups = dict.fromkeys(key.partition(".")[0] for key in keys if "." in key)
    return [*words, *(f"{group}={choices[group]}" for group in groups if group in choices and group not in keys)]


def latest(outputs: str | Path) -> Path | None:
    """The run below `outputs` that began last among those which have not finished, on which nobody works and which did
    not fail before a checkpoint (they would fail again); None without one."""
    runs = {path.parent: _began(path.parent) for path in Path(outputs).rglob("config.yaml")}
    for folder in sorted(runs, key=lambda one: runs[one], reverse=True):
        if not _finished(folder) and not _never_began(folder) and not (first_process() and _worked_on(folder)):
            return folder
    return None


def _began(folder: Path) -> float:
    started = read_status(folder).get("started")
    return float(started) if started else (folder / "config.yaml").stat().st_mtime


def _finished(folder: Path) -> bool:
    state = read_status(folder).get("state")
    return state == "finished" or (state is None and (folder / "metrics.json").exists())


def _never_began(folder: Path) -> bool:
    return read_status(folder).get("state") == "failed" and not any((folder / "checkpoints").glob("*"))


def _worked_on(folder: Path) -> bool:
    from filelock import FileLock, Timeout

    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except (NotImplementedError, OSError):
        return False
