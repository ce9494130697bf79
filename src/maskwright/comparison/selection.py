"""Keeping the best setting of each arm among the runs of a comparison (`--tune`)."""

from __future__ import annotations

from collections.abc import Sequence

from maskwright.comparison.arms import table
from maskwright.comparison.differences import label
from maskwright.comparison.entries import Entry
from maskwright.comparison.tuning import Tuned, tune
from maskwright.errors import RecipeError


def select(
    entries: Sequence[Entry], columns: list[str], keys: Sequence[str], lower: bool
) -> tuple[list[Tuned], list[str]]:
    """Keep the best setting of each arm; runs of others stay, uncounted. Arms lose the keys in their names."""
    unknown = [key for key in keys if key not in columns]
    if unknown:
        raise RecipeError(
            f"--tune {unknown[0]}: the runs do not differ in it; they differ in {', '.join(columns) or 'nothing'}."
        )
    families: dict[str, list[Entry]] = {}
    for entry in entries:
        rest = {key: value for key, value in entry.settings.items() if key not in keys}
        split = f" [data {entry.group}]" if "[data " in entry.arm else ""
        families.setdefault(label(rest) + split, []).append(entry)
    tuned = []
    for name, family in families.items():
        numbers = {entry.arm: [entry.settings[key] for key in keys] for entry in family}
        values_SC = table(family).reindex(columns=list(numbers))
        settings = {entry.arm: label({key: entry.settings[key] for key in keys}) for entry in family}
        best = tune(name, values_SC, list(zip(*numbers.values())), lower)
        note = (
            "another setting was chosen in tuning"
            if best.chosen
            else "no setting finished on every seed, so none was chosen"
        )
        for entry in family:
            if entry.arm != best.chosen and entry.counted:
                entry.counted, entry.note = False, note
            entry.arm = name
        best.tried = {settings[arm]: mean for arm, mean in best.tried.items()}
        best.chosen = settings[best.chosen] if best.chosen else None
        tuned.append(best)
    return tuned, [key for key in columns if key not in keys]
