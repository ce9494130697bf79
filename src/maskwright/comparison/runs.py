"""A run as its folder tells it: recipe, facts, figures, curves, and how it ended."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from omegaconf import OmegaConf

from maskwright.tracking.console import duration
from maskwright.tracking.jobs import STATUS, read_status, rerun_command

FINISHED, FAILED, PREEMPTED, UNFINISHED, MISSING = "finished", "failed", "preempted", "unfinished", "missing"
MARKS = ("config.yaml", STATUS, "metrics.json")  # a folder with one of these holds a run


@dataclass
class Run:
    """One run, or one that was planned and never began.

    state: finished | failed | preempted | unfinished | missing. reason: why it is not finished, or has no figures.
    command: runs it again, or goes on with it. config: the resolved recipe, None when the run ended before it was
    written; facts: run.json; figures: metrics.json and, under `evaluation/<suite>/`, the numbers of each results.json;
    evaluations: the rest of each results.json by its folder, `evaluation/<suite>`; overrides: the words of the command
    line.
    """

    folder: Path
    state: str
    reason: str = ""
    command: str = ""
    config: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    ended: float = 0.0  # seconds since 1970, for telling which of two equal runs is newer

    @property
    def finished(self) -> bool:
        return self.state == FINISHED

    @property
    def choices(self) -> dict[str, Any]:
        """Which option of each config group was chosen."""
        return dict(self.facts.get("choices", {}))

    def figure(self, name: str) -> float | None:
        """A final figure; None where the run has none."""
        value = self.figures.get(name)
        return float(value) if is_number(value) else None

    def why_not(self, name: str) -> str:
        """Why a finished run has no such figure."""
        group = name.rpartition("/")[0]
        said = self.figures.get(f"{name}/reason") or self.figures.get(f"{group}/reason")
        return f"no {name}: {said}" if said else f"metrics.json has no {name}"

    @cached_property
    def curves(self) -> Any:
        """metrics.csv as a pandas DataFrame, without a half-written last line; `seconds` of training are added.

        `seconds`, `tokens` and `flops` of rows that have none (a validation between two logged steps) lie between
        their neighbours'.
        """
        import numpy as np
        import pandas as pd

        try:
            text = (self.folder / "metrics.csv").read_text(encoding="utf-8")
            rows = pd.read_csv(io.StringIO(text[: text.rfind("\n") + 1])).apply(pd.to_numeric, errors="coerce")
        except (OSError, ValueError):
            return pd.DataFrame({"step": []})
        if {"tokens", "speed/tokens_per_second"} <= set(rows):
            logged = rows[["step", "tokens", "speed/tokens_per_second"]].dropna()
            spent = logged["tokens"].diff().fillna(logged["tokens"]) / logged["speed/tokens_per_second"]
            rows["seconds"] = spent.cumsum().reindex(rows.index)
        for name in {"tokens", "flops", "seconds"} & set(rows):
            known = rows[name].notna()
            if known.any():
                rows[name] = np.interp(rows["step"], [0, *rows["step"][known]], [0, *rows[name][known]])
        return rows

    def sentence(self) -> str:
        """The recipe in words, from run.json; a run that failed before it was written has its choices or overrides."""
        if self.facts.get("sentence"):
            return str(self.facts["sentence"])
        chosen = [str(self.choices[name]) for name in ("objective", "masking", "rate") if self.choices.get(name)]
        return ", ".join(chosen) or " ".join(self.overrides)


def read_run(folder: Path) -> Run:
    """The run in `folder`; whatever is missing or broken there is said in `reason`."""
    status, figures = read_status(folder), _json(folder / "metrics.json")
    overrides = [str(word) for word in status.get("overrides", [])]
    run = Run(folder, FINISHED, overrides=overrides)
    run.evaluations = _evaluations(folder)
    run.figures = dict(figures)
    for suite, kept in run.evaluations.items():
        run.figures |= numbers(kept.pop("figures", kept), suite)
    run.config, run.facts = _config(folder / "config.yaml"), _json(folder / "run.json")
    run.ended = float(status.get("ended") or _touched(folder) or 0.0)
    run.command = str(status.get("command") or rerun_command(folder, overrides))
    state = status.get("state")
    if state == "finished" and not figures:
        run.state, run.reason = FAILED, "it ended well, yet its metrics.json is missing or broken"
    elif state in ("failed", "preempted"):
        run.state = FAILED if state == "failed" else PREEMPTED
        asked = "it was asked to stop and was saved"
        run.reason = str(status.get("error") or (asked if state == "preempted" else "it left no error message"))
    elif state == "running" or not figures:
        run.state, run.command = UNFINISHED, rerun_command(folder, overrides)
        run.reason = f"{_progress(run)}; it was killed, or it still runs (last sign of life {_ago(folder)})"
    return run


def _progress(run: Run) -> str:
    steps, planned = run.curves["step"], run.facts.get("steps")
    done = int(steps.iloc[-1]) if len(steps) else 0
    return f"it came to step {done:,}" + (f" of {planned:,}" if planned else "")


def _touched(folder: Path) -> float | None:
    times = [path.stat().st_mtime for name in (*MARKS, "metrics.csv") if (path := folder / name).exists()]
    return max(times, default=None)


def _ago(folder: Path) -> str:
    touched = _touched(folder)
    return "unknown" if touched is None else f"{duration(max(0.0, time.time() - touched))} ago"


def _evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """Every evaluation/<suite>/results.json, by the folder that it lies in."""
    paths = sorted((folder / "evaluation").glob("**/results.json"))
    return {path.parent.relative_to(folder).as_posix(): _json(path) for path in paths}


def numbers(tree: Any, prefix: str) -> dict[str, float]:
    """The numbers in nested mappings as {"prefix/a/b": number}; lists, texts and truth values are left out."""
    if isinstance(tree, Mapping):
        parts = [numbers(value, f"{prefix}/{name}") for name, value in tree.items()]
        return {name: value for part in parts for name, value in part.items()}
    return {prefix: float(tree)} if is_number(tree) else {}


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _config(path: Path) -> dict[str, Any] | None:
    try:
        kept = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception:  # a broken file of one run must not hide all others
        return None
    return {str(name): value for name, value in kept.items()} if isinstance(kept, dict) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
