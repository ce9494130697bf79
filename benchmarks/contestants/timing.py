"""Timing that is the same for every contestant: a process of its own, and a note of when each optimizer step ended.

Two contestants that are compared take their steps in turn: whatever else the machine does meets both alike, and the
ratio is of steps that stood side by side.

Reading data, making masks, logging and the optimizer are inside the figures on every side; imports, tokenisation, model
construction and saving are outside.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = 3  # steps not counted at the start of each run


@dataclass
class Timing:
    """What one run took: `ends` are the seconds at which its optimizer steps ended, the first being the start."""

    tokens_per_step: int
    ends: list[float] = field(default_factory=list)
    parameters: int = 0

    @property
    def seconds(self) -> np.ndarray:
        """Seconds of each step [steps], without the first ones."""
        if len(self.ends) < WARM_UP + 3:
            raise SystemExit(
                f"{len(self.ends) - 1} steps are too few to time; raise --seconds, or let the machine rest."
            )
        return np.diff(self.ends)[WARM_UP:]

    @property
    def steps(self) -> int:
        return len(self.ends) - 1

    @property
    def tokens_per_second(self) -> float:
        """Real tokens over wall-clock, without the first steps."""
        return self.tokens_per_step / float(self.seconds.mean())


def fresh(run: Callable[..., Any], *arguments: Any, threads: int) -> Any:
    """The result of `run(*arguments)` in a new process that computes with `threads` threads."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Threads that spin while they wait take the cores that another program left them: whoever is measured while the
    # machine has something else to do, on either side, would be measured by its luck.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_quietly, run, *arguments).result()


def _quietly(run: Callable[..., Any], *arguments: Any) -> Any:
    """Without what the run prints: stdout holds the benchmark's table alone."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        return run(*arguments)


def bootstrap(ratios: list[float] | np.ndarray, draws: int = 10_000) -> tuple[float, float, float]:
    """Geometric mean of paired ratios and its 95 % percentile bootstrap interval, resampling pairs."""
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    means = np.random.default_rng(0).choice(logs, (draws, len(logs))).mean(axis=1)
    return math.exp(logs.mean()), math.exp(np.quantile(means, 0.025)), math.exp(np.quantile(means, 0.975))


def clock(processor: bool) -> float:
    """Seconds: by the clock, or of the processor divided by the threads, which other programs do not slow down."""
    import torch

    return time.process_time() / torch.get_num_threads() if processor else time.perf_counter()


class Turns:
    """One side's end of a game of turns: it takes a step while the other waits, and then waits for the other."""

    def __init__(self, mine: Any, other: Any, steps: int, first: bool) -> None:
        self.mine, self.other, self.steps, self.first = mine, other, steps, first
        self.taken = 0

    def begin(self) -> None:
        """Wait until it is this side's turn to take a step."""
        if not self.mine.acquire(timeout=900):
            raise SystemExit("The other side takes no step; see what it says above.")

    def pass_on(self) -> bool:
        """A step is done: let the other take one. Returns whether this side has taken all its steps."""
        self.taken += 1
        self.other.release()
        over = self.taken >= self.steps
        if self.first or not over:
            self.begin()
        return over


def in_turns(
    ours: tuple[Callable[..., Any], Any], theirs: tuple[Callable[..., Any], Any], steps: int, threads: int
) -> list:
    """The timings of two runs, (function, job) each, that take `steps` steps in turn, in processes of their own."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        a, b = manager.Semaphore(1), manager.Semaphore(0)
        sides = ((*ours, Turns(a, b, steps, first=True)), (*theirs, Turns(b, a, steps, first=False)))
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda side: fresh(*side, threads=threads), sides))


def steps_within(seconds: float, trial: Timing) -> int:
    """Steps that fit into `seconds` at the speed of a trial run, its first steps left out."""
    return int(seconds / float(trial.seconds.mean()))


def versions() -> dict[str, str]:
    """The libraries that matter for the figures."""
    return {name: version(name) for name in ("torch", "transformers", "accelerate", "lightning")}


def note(line: str) -> None:
    """One line of progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
