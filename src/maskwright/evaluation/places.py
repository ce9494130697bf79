"""Where evaluations of a run belong. Imports nothing heavy: the entry asks before anything is loaded."""

from __future__ import annotations

from pathlib import Path


def run_folder(run: str | None) -> Path | None:
    """The folder of the run that `run` names or lies in; None for other models."""
    place = Path(str(run)).expanduser() if run else None
    if place is None or not place.is_dir():
        return None
    place = place.resolve()
    return next((folder for folder in (place, *place.parents) if (folder / "run.json").is_file()), None)


def results_folder(run: str | None, name: str, fresh: str) -> str:
    """<run>/evaluation/<name> for a run and its export, <run>/evaluation/<inside>/<name> for another model
    that lies in a run's folder, and `fresh` for all others."""
    folder = run_folder(run)
    if folder is None:
        return fresh
    inside = Path(str(run)).expanduser().resolve().relative_to(folder).parts
    return str(folder.joinpath("evaluation", *(inside[1:] if inside[:1] == ("export",) else inside), name))
