"""Arms: the recipes that a sweep compares, each over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from maskwright.comparison.differences import Settings
from maskwright.comparison.entries import Entry
from maskwright.comparison.masks import Masked, masked
from maskwright.comparison.statistics import mean_of
from maskwright.evaluation.intervals import Bounds

COSTS = ("steps", "tokens", "flops", "seconds", "speed/tokens_per_second")


@dataclass
class Arm:
    """One recipe over its seeds. rank is 1 for the best mean of its group; planned counts the seeds of these settings,
    however their runs ended, n those in the mean; costs are means over the same runs."""

    arm: str
    settings: Settings
    group: str
    rank: int | None
    planned: int
    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    seeds: list[str]
    costs: dict[str, float | None]
    parameters: float | None
    masked: Masked


def table(entries: Sequence[Entry]) -> pd.DataFrame:
    """[S, A]: the counted values, one row per seed, one column per arm.

    Runs of one arm and seed, which differ in ignored settings alone, share all that a seed decides: their mean is one
    value.
    """
    counted = [entry for entry in entries if entry.counted]
    rows = dict.fromkeys(entry.seed for entry in counted)
    columns = dict.fromkeys(entry.arm for entry in entries)
    values = pd.DataFrame(np.nan, index=list(rows), columns=list(columns), dtype=float)
    for arm in columns:
        for seed, value in by_seed([entry for entry in counted if entry.arm == arm], lambda entry: entry.value).items():
            values.loc[seed, arm] = value
    return values


def by_seed(entries: Sequence[Entry], value_of: Callable[[Entry], float | None]) -> dict[str, float]:
    """A value for each seed of an arm: the mean over its runs with that seed."""
    found: dict[str, list[float | None]] = {}
    for entry in entries:
        found.setdefault(entry.seed, []).append(value_of(entry))
    return {seed: mean for seed, values in found.items() if (mean := average(values)) is not None}


def arms_of(entries: Sequence[Entry], alpha: float, bounds: Bounds) -> list[Arm]:
    arms = []
    for name in dict.fromkeys(entry.arm for entry in entries):
        own = [entry for entry in entries if entry.arm == name]
        counted = [entry for entry in own if entry.counted]
        runs = [entry.run for entry in counted]
        settings = (counted or own)[0].settings
        values = by_seed(counted, lambda entry: entry.value)
        mean = mean_of(list(values.values()), alpha, bounds)
        arms.append(
            Arm(
                name, settings, next((entry.group for entry in counted), ""), None,
                len({entry.seed for entry in own if entry.settings == settings}),
                **asdict(mean), seeds=list(values),
                costs={cost: average([run.figure(cost) for run in runs]) for cost in COSTS},
                parameters=average([run.facts.get("parameters") for run in runs]),
                masked=masked(runs or [entry.run for entry in own]),
            )
        )  # fmt: skip
    return arms


def ranked(arms: Sequence[Arm], lower: bool) -> list[Arm]:
    """Best first within each group of comparable arms; those without a figure last."""
    sign = 1 if lower else -1
    ordered = sorted(arms, key=lambda arm: (arm.mean is None, arm.group, 0.0 if arm.mean is None else sign * arm.mean))
    seen: dict[str, int] = {}
    for arm in ordered:
        if arm.mean is not None:
            seen[arm.group] = arm.rank = seen.get(arm.group, 0) + 1
    return ordered


def average(values: Sequence[Any]) -> float | None:
    """The mean of what is known; None when nothing is."""
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
