"""comparison.json and its tables as csv: the figures that the screen and the page show, in full precision."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import maskwright
from maskwright.comparison.comparison import Comparison
from maskwright.comparison.curves import learning_curves
from maskwright.comparison.links import folder_link, wandb_link
from maskwright.comparison.statistics import Pair
from maskwright.comparison.words import verdict
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text


def as_dict(result: Comparison, out: Path, command: str = "") -> dict[str, Any]:
    """The whole comparison as plain values; paths of runs are relative to `out`."""

    def tested(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        return [asdict(pair) | {"sure": pair.sure(result.options.alpha)} for pair in pairs]

    runs = [
        {
            "run": entry.name,
            "folder": folder_link(entry.run, out),
            "wandb": wandb_link(entry.run),
            "arm": entry.arm,
            "seed": entry.seed,
            "group": entry.group,
            "state": entry.run.state,
            "counted": entry.counted,
            "why": entry.note or entry.run.reason,
            "command": "" if entry.run.finished else entry.run.command,
            "value": entry.value,
            "settings": entry.settings,
            "parameters": entry.run.facts.get("parameters"),
            "figures": entry.run.figures,
        }
        for entry in result.entries
    ]
    states = [entry.run.state for entry in result.entries]
    whole = {
        "maskwright": maskwright.__version__,
        "written": time.strftime("%Y-%m-%d %H:%M"),
        "command": command,
        "metric": {"name": result.metric.name, "better": result.metric.better},
        "options": asdict(result.options),
        "states": {state: states.count(state) for state in dict.fromkeys(states)},
        "verdict": verdict(result),
        "warnings": [asdict(one) for one in result.warned],
        "columns": result.columns,
        "arms": [asdict(arm) for arm in result.arms],
        "pairs": tested(result.pairs),
        "factors": [asdict(factor) | {"pairs": tested(factor.pairs)} for factor in result.factors],
        "cells": [asdict(cell) for cell in result.cells],
        "tuned": [asdict(one) for one in result.tuned],
        "evaluations": [{"arm": one.arm, "figure": one.figure, **asdict(one.mean)} for one in result.evaluations],
        "runs": runs,
    }
    return without_secrets(_plain(whole))


def write(report: Mapping[str, Any], result: Comparison, out: Path) -> list[Path]:
    """comparison.json, and each of its tables that has rows as csv; the curves as csv alone."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: list(report[name]) for name in ("arms", "pairs", "cells", "evaluations", "runs")
    }
    tables["tuned"] = [
        {"arm": one["arm"], "setting": setting, "mean": mean, "chosen": setting == one["chosen"]}
        | {name: one[name] for name in ("edge", "honest", "flattery")}
        for one in report["tuned"]
        for setting, mean in one["tried"].items()
    ]
    tables["levels"] = [
        {"key": factor["key"], "level": level, **mean}
        for factor in report["factors"]
        for level, mean in factor["levels"].items()
    ]
    tables["level_pairs"] = [{"key": factor["key"], **pair} for factor in report["factors"] for pair in factor["pairs"]]
    tables["curves"] = learning_curves(result).rows
    paths = [out / "comparison.json"]
    write_text(paths[0], json.dumps(report, indent=1) + "\n")
    for name, rows in tables.items():
        if rows:
            paths.append(out / f"{name}.csv")
            write_text(paths[-1], _csv([_flat(row) for row in rows]))
        else:
            (out / f"{name}.csv").unlink(missing_ok=True)  # an earlier comparison's
    return paths


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as columns `a/b`; a list of texts is one cell."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
            out[f"{prefix}{name}"] = json.dumps(value)
        else:
            out[f"{prefix}{name}"] = " ".join(map(str, value)) if isinstance(value, list) else value
    return out


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    """Nested values as JSON has them: no NaN, tuples or paths."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)
