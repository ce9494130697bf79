"""The runs as entries of a comparison: which arm and seed each belongs to, and whether it counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskwright.comparison import differences
from maskwright.comparison.differences import Settings, label
from maskwright.comparison.metric import Metric
from maskwright.comparison.runs import Run


@dataclass
class Entry:
    """One run in the comparison. name: its folder below what all runs share; counted: whether it is in its arm's mean;
    note: why it is not; ignored: its values of what --ignore leaves out of `settings`."""

    name: str
    run: Run
    arm: str
    settings: Settings
    group: str
    seed: str
    value: float | None = None
    counted: bool = False
    note: str = ""
    ignored: Settings = field(default_factory=dict)


def entries_of(runs: Sequence[Run], metric: Metric, ignored: Sequence[str]) -> list[Entry]:
    """The runs with their arms; one recipe that was measured on two rulers is two arms."""
    settings, seeds = differences.settings(runs, ignored), differences.seeds(runs)
    aside = differences.left_aside(runs, ignored)
    rulers: dict[str, set[str]] = {}
    for own, group in zip(settings, metric.groups):
        rulers.setdefault(label(own), set()).update([group] if group else [])
    entries = []
    for run, name, own, seed, group, without in zip(runs, _names(runs), settings, seeds, metric.groups, aside):
        arm = label(own)
        if len(rulers[arm]) > 1 and group:
            arm = f"{arm} [data {group}]"
        value = run.figure(metric.name) if run.finished else None
        note = run.why_not(metric.name) if run.finished and value is None else ""
        entries.append(Entry(name, run, arm, own, group, seed, value, value is not None, note, without))
    return entries


def count_once(entries: Sequence[Entry]) -> None:
    """Of two finished runs of one arm with one seed and equal ignored settings the newer counts: they are the same
    run twice."""
    newest: dict[tuple[str, str, str], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.run.ended):
        key = (entry.arm, entry.seed, label(entry.ignored))
        older = newest.get(key)
        if entry.counted:
            if older is not None:
                older.counted, older.note = False, "a newer run has the same recipe and seed"
            newest[key] = entry


def _names(runs: Sequence[Run]) -> list[str]:
    """Short names: the folders below what they have in common."""
    folders = [str(run.folder.resolve()) for run in runs]
    shared = os.path.commonpath(folders) if len(folders) > 1 else str(Path(folders[0]).parent)
    return [Path(os.path.relpath(folder, shared)).as_posix() for folder in folders]
