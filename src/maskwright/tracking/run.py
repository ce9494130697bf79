"""One run's record: opens its loggers, takes its numbers, writes metrics.json, and closes all, also on failure."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskwright.tracking.loggers import FileLogger, LoggerRecipe, RunFacts, RunLogger
from maskwright.tracking.metrics_file import MetricsFile
from maskwright.tracking.writing import write_text


class Record:
    """What the entry holds while a run goes on; `loggers` is for the Trainer. On other ranks than 0 it does nothing."""

    def __init__(self, folder: Path, loggers: Sequence[RunLogger]) -> None:
        self.folder, self.loggers = folder, list(loggers)

    @property
    def where(self) -> list[str]:
        """Lines that say where the numbers can be seen beside the run's folder."""
        return [logger.where for logger in self.loggers if logger.where]

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Log values outside the meter, such as the ruler's at a validation."""
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table; it also lands in the folder as <name>/step-<step>.md."""
        if not self.loggers:
            return
        lines = [columns, ["---"] * len(columns), *rows]
        cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
        text = "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"
        write_text(self.folder / name / f"step-{step:08d}.md", text)
        for logger in self.loggers:
            logger.log_table(name, columns, rows, step)

    def finish(self, values: Mapping[str, Any]) -> None:
        """Write metrics.json; a number that a run does not have is null, with its reason under `<name>/reason`."""
        if not self.loggers:
            return
        write_text(self.folder / "metrics.json", json.dumps({k: _plain(v) for k, v in values.items()}, indent=2) + "\n")
        for logger in self.loggers:
            logger.log_summary({k: _plain(v) for k, v in values.items()})

    def close(self, exit_code: int) -> None:
        for logger in self.loggers:
            logger.close(exit_code)
        self.loggers = []


@contextmanager
def record(
    recipe: LoggerRecipe,
    folder: str | Path,
    name: str,
    config: dict[str, Any],
    facts: dict[str, Any],
    step: int | None = None,
    group: str | None = None,
    rank: int = 0,
) -> Iterator[Record]:
    """Open the run's loggers and close them whatever happens, with exit code 1 after an exception.

    Args:
        recipe: what `logger=` chose.
        name: the run's readable name; group: the multirun's name, or None.
        config: the resolved recipe, plain values (secrets are taken out before it is written anywhere).
        facts: git commit, fingerprints, parameter count ... plain values.
        step: for a resumed run, the optimizer steps that its restored checkpoint has done, 0 when it was killed before
            the first one; rows after it leave metrics.csv. None for a new run, which takes over nothing in the folder.
        rank: of this process; only rank 0 writes.
    """
    folder = Path(folder)
    kept = Record(folder, [])
    if rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        file = MetricsFile(folder / "metrics.csv")
        file.rewind(-1 if step is None else step)
        run = RunFacts(name, folder, group, step, config, facts)
        kept.loggers = [FileLogger(file), *recipe.open(run)]
    try:
        yield kept
    except BaseException as error:
        kept.close(_exit_code(error))
        raise
    kept.close(0)


def git_commit(folder: str | Path) -> str | None:
    """The commit of the source tree in `folder`, with "+changes" if files differ from it; None where git keeps no file
    of it, as where the package is installed."""
    try:
        if not _git(folder, "ls-files"):
            return None
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: str | Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else (0 if error.code is None else 1)
    return 1


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    # JSON has neither NaN nor infinity
    return None if isinstance(value, float) and not math.isfinite(value) else value
