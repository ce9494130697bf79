"""The comparison of many runs: arms, their figures over seeds, what was tested, and what a reader must be warned of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import pandas as pd

from maskwright.comparison import differences, statistics
from maskwright.comparison.arms import Arm, arms_of, ranked, table
from maskwright.comparison.breakdown import Cell, Evaluated, Factor, cells_of, evaluations_of, factors_of
from maskwright.comparison.differences import shown
from maskwright.comparison.entries import Entry, count_once, entries_of
from maskwright.comparison.fairness import warnings
from maskwright.comparison.metric import Metric, choose
from maskwright.comparison.runs import Run
from maskwright.comparison.selection import select
from maskwright.comparison.statistics import Pair
from maskwright.comparison.tuning import Tuned
from maskwright.comparison.warned import Warned
from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import Bounds, bounds_of

UNEQUAL = (
    "Arms differ in their spread over seeds more than chance explains (Bartlett's test), and --spread pooled "
    "assumes they do not: differences between steady arms look less sure than they are, between unsteady ones surer."
)


@dataclass
class Options:
    """What the user asked for; see `python compare.py --help`."""

    metric: str | None = None
    better: str | None = None
    tune: Sequence[str] = ()
    baseline: str | None = None
    ignore: Sequence[str] = ()
    alpha: float = 0.05
    power: float = 0.8
    spread: str = "own"

    def __post_init__(self) -> None:
        for name in ("alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise RecipeError(f"--{name} is {getattr(self, name)}; it lies between 0 and 1.")


@dataclass
class Comparison:
    """Everything that is shown and written."""

    metric: Metric
    options: Options
    columns: list[str]
    entries: list[Entry]
    arms: list[Arm]
    pairs: list[Pair]
    factors: list[Factor] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    tuned: list[Tuned] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)
    warned: list[Warned] = field(default_factory=list)

    @property
    def measured(self) -> list[Arm]:
        """The arms with at least one figure, best first."""
        return [arm for arm in self.arms if arm.n]


def compare_runs(runs: Sequence[Run], options: Options | None = None) -> Comparison:
    """Group, choose, test and warn.

    Raises RecipeError when nothing can be compared, or an option names what the runs do not have.
    """
    options = options or Options()
    metric = choose(runs, options.metric, options.better)
    entries = entries_of(runs, metric, options.ignore)
    columns = list(entries[0].settings)
    count_once(entries)
    tuned: list[Tuned] = []
    if options.tune:
        tuned, columns = select(entries, columns, options.tune, metric.lower)
    bounds = bounds_of(metric.name, [entry.value for entry in entries if entry.value is not None])
    arms = ranked(arms_of(entries, options.alpha, bounds), metric.lower)
    tuned = sorted(tuned, key=lambda one: [arm.arm for arm in arms].index(one.arm))
    values_SA = table(entries)
    pairs = _pairs(values_SA, arms, options, bounds)
    result = Comparison(metric, options, columns, entries, arms, pairs, tuned=tuned)
    if len({arm.group for arm in result.measured}) == 1:
        result.factors = factors_of(entries, columns, options.alpha, options.power, options.spread, bounds)
        result.cells = cells_of(result.measured, columns)
    result.evaluations = evaluations_of(entries, options.alpha)
    result.warned = [Warned("warning", "not one ruler", note) for note in metric.notes]
    if options.spread == "pooled" and statistics.spreads_differ(values_SA):
        result.warned.append(Warned("warning", "unequal spreads", UNEQUAL))
    result.warned += _too_little_power(pairs, options)
    result.warned += warnings(result.measured, entries, columns, tuned, metric.name)
    return result


def _too_little_power(pairs: Sequence[Pair], options: Options) -> list[Warned]:
    """A word on what would help when several comparisons were made and none holds."""
    tested = [pair for pair in pairs if pair.p is not None]
    if len(tested) < 2 or any(pair.sure(options.alpha) for pair in tested):
        return []
    cures = ["more seeds", *(["--baseline (fewer comparisons)"] if options.baseline is None else [])]
    cures += ["--spread pooled (if the arms are equally steady)"] if options.spread == "own" else []
    text = f"No difference holds after the correction for {len(tested)} comparisons"
    return [Warned("note", "power", f"{text}; smaller ones would show with {', '.join(cures)}.")]


def _pairs(values_SA: pd.DataFrame, arms: Sequence[Arm], options: Options, bounds: Bounds) -> list[Pair]:
    """All pairs, or all against the baseline; better arm first, and the baseline before all."""
    measured = [arm for arm in arms if arm.n]
    baseline = _baseline(arms, options.baseline) if options.baseline else None
    wanted = (
        list(combinations(measured, 2))
        if baseline is None
        else [(baseline, arm) for arm in measured if arm is not baseline]
    )
    pairs: list[Pair] = []
    for group in dict.fromkeys(arm.group for arm in measured):
        own = [arm.arm for arm in measured if arm.group == group]
        names = [(a.arm, b.arm) for a, b in wanted if a.group == b.group == group]
        pairs += statistics.measure(values_SA[own], names, options.alpha, options.spread, bounds)
    statistics.correct(pairs, options.alpha, options.power)
    apart = [
        Pair(a.arm, b.arm, reason="not the same quantity: other data, tokenizer, masks or settings")
        for a, b in wanted
        if a.group != b.group
    ]
    return pairs + apart


def _baseline(arms: Sequence[Arm], words: str) -> Arm:
    wanted = differences.said(words.split())
    fitting = [arm for arm in arms if arm.arm == words] or [
        arm
        for arm in arms
        if wanted
        and all(key in arm.settings and shown(arm.settings[key]) == shown(value) for key, value in wanted.items())
    ]
    if len(fitting) == 1 and fitting[0].n:
        return fitting[0]
    why = "has no finished run" if len(fitting) == 1 else "fits more than one arm" if fitting else "fits no arm"
    raise RecipeError(f"--baseline '{words}' {why}; the arms are: {'; '.join(arm.arm for arm in arms)}.")
