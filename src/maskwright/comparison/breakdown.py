"""Beyond the ranking: each setting averaged over the others, every two settings together, and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from maskwright.comparison import statistics
from maskwright.comparison.arms import Arm, average, by_seed
from maskwright.comparison.differences import ABSENT, label, shown
from maskwright.comparison.entries import Entry
from maskwright.comparison.statistics import Mean, Pair, mean_of
from maskwright.evaluation.intervals import Bounds, bounds_of


@dataclass
class Factor:
    """One setting by itself: for each seed the mean over those combinations of the others that have all its levels."""

    key: str
    levels: dict[str, Mean]
    pairs: list[Pair]


@dataclass
class Cell:
    """Mean over the arms with two values in common, and how many arms and runs these are."""

    x_key: str
    x: str
    y_key: str
    y: str
    mean: float | None
    arms: int
    n: int


@dataclass
class Evaluated:
    """One number of an evaluation over the seeds of an arm."""

    arm: str
    figure: str
    mean: Mean


def factors_of(
    entries: Sequence[Entry], columns: Sequence[str], alpha: float, power: float, spread: str, bounds: Bounds
) -> list[Factor]:
    """The settings that stand in a grid with others; each setting's levels are a family of comparisons."""
    counted = [entry for entry in entries if entry.counted]
    found = []
    for key in columns if len(columns) > 1 else ():
        rest = [label({k: v for k, v in entry.settings.items() if k != key and k in columns}) for entry in counted]
        own = pd.DataFrame(
            {
                "seed": [entry.seed for entry in counted],
                "rest": rest,
                "level": [shown(entry.settings[key], key) for entry in counted],
                "value": [entry.value for entry in counted],
            }
        )
        cells = own.pivot_table(index=["seed", "rest"], columns="level", values="value", sort=False).dropna()
        if cells.shape[1] < 2 or cells.index.get_level_values("rest").nunique() < 2:
            continue
        values_SA = cells.groupby(level="seed", sort=False).mean()
        levels = {str(level): mean_of(list(values_SA[level]), alpha, bounds) for level in values_SA}
        found.append(Factor(key, levels, statistics.compare(values_SA, None, alpha, power, spread, bounds)))
    return found


def cells_of(arms: Sequence[Arm], columns: Sequence[str]) -> list[Cell]:
    """Every two settings that both take several values: what the heat maps show."""
    found: list[Cell] = []
    for one, other in combinations(columns, 2):
        held: dict[tuple[str, str], list[Arm]] = {}
        for arm in arms:
            x, y = arm.settings[one], arm.settings[other]
            if ABSENT not in (x, y):
                held.setdefault((shown(x, one), shown(y, other)), []).append(arm)
        if len({x for x, _ in held}) > 1 and len({y for _, y in held}) > 1:
            for (x, y), own in held.items():
                mean = average([arm.mean for arm in own])
                found.append(Cell(one, x, other, y, mean, len(own), sum(arm.n for arm in own)))
    return found


def evaluations_of(entries: Sequence[Entry], alpha: float) -> list[Evaluated]:
    """Every number of evaluation/<suite>/results.json, over the seeds of each arm."""
    rows = []
    for arm in dict.fromkeys(entry.arm for entry in entries):
        own = [entry for entry in entries if entry.arm == arm and entry.counted]
        for name in dict.fromkeys(name for entry in own for name in entry.run.figures):
            if name.startswith("evaluation/"):
                values = by_seed(own, lambda entry, name=name: entry.run.figure(name))  # type: ignore[misc]
                seen = list(values.values())
                rows.append(Evaluated(arm, name, mean_of(seen, alpha, bounds_of(name, seen))))
    return rows
