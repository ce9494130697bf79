"""The end of a multirun: a table of all jobs, what failed and how to run it again, and exit status 1 if any did."""

from __future__ import annotations

import atexit
import csv
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from maskwright.tracking import console as screen
from maskwright.tracking.jobs import STATUS, is_failure, read_status, rerun_command
from maskwright.tracking.restart import PLAN, other_plan, planned, restart
from maskwright.tracking.writing import write_text

FIGURES = ("ruler/accuracy", "ruler/loss", "speed/tokens_per_second")


class SweepReport(Callback):
    """Hydra callback (`hydra.callbacks.sweep_report`) that gathers the jobs' status.json and metrics.json.

    Writes results.csv into the sweep's folder and prints the table and what comes next. A multirun in the folder of an
    earlier one is its restart, and refused when its command is another. Jobs that are left in the folder and that the
    multirun has not looked at do not count.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._restart = ""
        self._began = 0.0
        self._process = 0

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        self._folder, self._began, self._process = Path(config.hydra.sweep.dir).absolute(), time.time(), os.getpid()
        hydra = OmegaConf.to_container(config.hydra, resolve=False)
        assert isinstance(hydra, dict)
        plan: dict[str, Any] = {str(key): value for key, value in hydra.items()}
        self._restart = restart(plan, self._folder)
        if (refused := other_plan(plan, self._folder)) is not None:
            print(f"error: {refused}", file=sys.stderr)
            raise SystemExit(2)
        print(f"multirun folder {self._folder} - Ctrl-C stops it; go on with: {self._restart}", flush=True)
        atexit.register(self._report)  # a sweeper that gives up, or Ctrl-C, never gets to on_multirun_end

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        atexit.unregister(self._report)
        if self._report():
            raise SystemExit(1)

    def _report(self) -> int:
        """Print and write the table; returns how many jobs failed."""
        if self._folder is None or os.getpid() != self._process:
            return 0
        jobs = gather(self._folder, self._began)
        self._folder = None if not jobs else self._folder
        if not jobs or self._folder is None:
            return 0
        _write(self._folder / "results.csv", jobs)
        show(self._folder, jobs, self._restart, len(planned(self._folder / PLAN)))
        return sum(map(is_failure, jobs))


def gather(folder: Path, since: float = 0.0) -> list[dict[str, Any]]:
    """status.json of each job under `folder` that began after `since`, or was found finished then, with its final
    figures and `folder`."""
    jobs = []
    for path in sorted(folder.rglob(STATUS)):
        status = read_status(path.parent)
        refused = status.get("refused") or {}
        if since and refused.get("at", 0.0) >= since:  # another run lives in this job's folder
            jobs.append(status | {"folder": str(path.parent), **refused, "state": "refused"})
            continue
        if max(status.get("started", 0.0), status.get("seen", 0.0)) < since:
            continue
        try:
            metrics = json.loads((path.parent / "metrics.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            metrics = {}
        if status.get("state") == "running":  # a killed job could not say itself how far it had come
            status["command"] = rerun_command(path.parent, status.get("overrides", []))
        figures = {name: metrics.get(name) for name in FIGURES} if not is_failure(status) else {}
        jobs.append(status | {"folder": str(path.parent)} | figures)
    return sorted(jobs, key=lambda job: (job.get("job") is None, job.get("job"), job["folder"]))


def show(folder: Path, jobs: list[dict[str, Any]], restart: str, planned: int = 0) -> None:
    """Print all jobs in a table, then each failure with the command that runs it again, and what comes next.

    planned: jobs of the whole multirun, where that is known.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("job", "recipe", "state"):
        table.add_column(title, no_wrap=title != "recipe")
    for title in ("accuracy", "loss"):
        table.add_column(title, justify="right", no_wrap=True)
    shared = _shared(jobs)
    for job in jobs:
        words = [word for word in job.get("overrides", []) if word not in shared]
        figures = [f"{job[name]:.4f}" if job.get(name) is not None else "-" for name in FIGURES[:2]]
        state = _state(job)
        shown = f"[red]{state}[/red]" if is_failure(job) else state
        table.add_row(str(job.get("job", "")), escape(" ".join(words)), shown, *figures)
    console.print()
    if shared:
        console.print(f"every job: {escape(' '.join(shared))}", soft_wrap=True, highlight=False)
    console.print(table)
    failed = [job for job in jobs if is_failure(job)]
    left = max(0, planned - len(jobs))
    done = f"{len(jobs) - len(failed)} of {len(jobs) + left} jobs finished" + (f", {left} never began" if left else "")
    console.print(f"\n{done}; table in {escape(str(folder / 'results.csv'))}", soft_wrap=True, highlight=False)
    for job in failed:
        ended = "it was killed." if job.get("state") == "running" else "it was asked to stop and was saved."
        said = job.get("error") or ended
        console.print(f"\n[red]job {job.get('job')}[/red] {escape(said)}", soft_wrap=True, highlight=False)
        console.print(f"  again, alone: {escape(job.get('command', ''))}", soft_wrap=True, highlight=False)
    screen.show_next(screen.of_this_multirun(folder, restart if failed or left else None, jobs), console)


def _state(job: dict[str, Any]) -> str:
    return "killed" if job.get("state") == "running" else str(job.get("state"))


def _shared(jobs: list[dict[str, Any]]) -> list[str]:
    first, *others = (job.get("overrides", []) for job in jobs)
    return [word for word in first if others and all(word in other for other in others)]


def _write(path: Path, jobs: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    names = ["job", "state", "overrides", *FIGURES, "error", "command", "folder"]
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for job in jobs:
        writer.writerow(job | {"overrides": " ".join(job.get("overrides", [])), "state": _state(job)})
    write_text(path, out.getvalue())
