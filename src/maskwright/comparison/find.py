"""Which runs there are: the folders below the given paths, and the jobs that a multirun planned and never began."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskwright.comparison.differences import said
from maskwright.comparison.runs import MARKS, MISSING, Run, read_run
from maskwright.errors import RecipeError
from maskwright.tracking.jobs import rerun_command
from maskwright.tracking.restart import PLAN, planned


def find(paths: Sequence[str | Path]) -> list[Run]:
    """All runs in and below `paths`, in the order of their jobs, missing ones included.

    Raises RecipeError when a path does not exist or holds no run.
    """
    runs: dict[Path, Run] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise RecipeError(f"{path} is not a folder; name a multirun's folder or the folders of runs.")
        here = {folder.resolve(): read_run(folder) for folder in _folders(path)}
        for plan in sorted(path.rglob(PLAN)) if not _holds_run(path) else []:
            here |= {run.folder.resolve(): run for run in _never_begun(plan, list(here.values()))}
        if not here:
            raise RecipeError(f"{path} holds no run (no config.yaml, status.json or metrics.json in or below it).")
        runs |= {folder: run for folder, run in here.items() if folder not in runs}
    return sorted(runs.values(), key=lambda run: _natural(run.folder))


def _folders(path: Path) -> list[Path]:
    """Run folders in and below `path`; a run's own subfolders (exports, evaluations) hold none."""
    if _holds_run(path):
        return [path]
    inner = sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [folder for child in inner for folder in _folders(child)]


def _holds_run(path: Path) -> bool:
    return any((path / name).is_file() for name in MARKS)


def _never_begun(plan: Path, runs: Sequence[Run]) -> list[Run]:
    """The jobs in `plan` that have no run: neither one with their settings, nor one gone on with in their folder."""
    begun = [said(run.overrides) for run in runs]
    taken = {run.folder.resolve(): not words or "resume" in words for run, words in zip(runs, begun)}
    missing = []
    for number, overrides in enumerate(planned(plan)):
        folder = plan.parent / str(number)
        gone_on = taken.get(folder.resolve())
        if said(overrides) not in begun and not gone_on:
            folder = folder if gone_on is None else plan.parent / f"job-{number}"  # another run has its folder
            reason = "it never began: the multirun ended before it, or has not come to it yet"
            command = rerun_command(folder, overrides)
            missing.append(Run(folder, MISSING, reason, command, overrides=overrides))
    return missing


def _natural(folder: Path) -> list[tuple[int, int, str]]:
    """Sorts job 10 behind job 9."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in folder.parts]
