"""One progress report for every long step of the data room: a bar on a terminal, else a line every half minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_EVERY = 30.0  # seconds between two lines


@contextmanager
def progress(what: str, total: float | None, unit: str = "") -> Iterator[Callable[[float], None]]:
    """Yields a function that counts what is done; the report goes to the error stream.

    total: of what is counted; None where nobody knows. unit: of the total; `B` for bytes.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with _lines(what, total, unit) as advance:
            yield advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def say(line: str) -> None:
    """One line on the error stream."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _lines(what: str, total: float | None, unit: str) -> Iterator[Callable[[float], None]]:
    began, done, over = time.monotonic(), 0.0, threading.Event()

    def advance(more: float) -> None:
        nonlocal done
        done += more

    def report() -> None:
        while not over.wait(_EVERY):
            say(_line(what, done, total, unit, time.monotonic() - began))

    reporter = threading.Thread(target=report, daemon=True, name=f"progress of {what}")
    reporter.start()
    try:
        yield advance
    finally:
        over.set()
        reporter.join()


def _line(what: str, done: float, total: float | None, unit: str, seconds: float) -> str:
    """As in `tokenize train documents: 35 % of 200 MB, 12 s, about 20 s left`."""
    if not total:
        return f"{what}: {_time(seconds)}"
    share = min(1.0, done / total)
    size = f"{total / 1e6:,.0f} MB" if unit == "B" else f"{total:,.0f}{' ' if unit else ''}{unit}"
    left = f", about {_time(seconds * (1 - share) / share)} left" if share else ""
    return f"{what}: {share:.0%} of {size}, {_time(seconds)}{left}".replace("%", " %", 1)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
