"""Whether the arms were tuned alike, and how choosing the best setting flatters them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maskwright.comparison.differences import label
from maskwright.comparison.tuning import Tuned
from maskwright.comparison.warned import Warned, some

if TYPE_CHECKING:
    from maskwright.comparison.arms import Arm


def tuned_by_choice(tuned: Sequence[Tuned]) -> list[Warned]:
    """After `--tune`: the selection's bias, unequal numbers of tries, choices at the edge, settings that failed."""
    counts = {one.arm: len(one.tried) for one in tuned}
    fewest, most = min(counts.values()), max(counts.values())
    flattery = [one.flattery for one in tuned if one.flattery is not None]
    known = f" (chosen on the other seeds alone, by up to {max(flattery, key=abs):.3g})" if flattery else ""
    tries = f"{most}" if fewest == most else f"{fewest} to {most}"
    text = (
        f"Each arm shows the best of {tries} settings, chosen by the figures reported here, which flatters it{known}."
    )
    found = [Warned("note", "selection", text)]
    if fewest != most:
        text = f"{_extremes(counts, 'settings were tried')}; more tries mean a better chance of a lucky best."
        found.append(Warned("warning", "tuning effort", text))
    edges = [f"{one.arm} at {one.chosen}" for one in tuned if one.edge]
    if edges:
        text = f"{len(edges)} of {len(tuned)} arms are best at the edge of what was tried; better may lie beyond"
        found.append(Warned("warning", "edge of the grid", f"{text}: {some(edges)}."))
    unfit = [f"{one.arm} at {name}" for one in tuned for name, mean in one.tried.items() if mean is None]
    if unfit:
        text = f"Settings that lack a finished run on some seed could not be chosen: {some(unfit)}."
        found.append(Warned("warning", "tuning effort", text))
    return found


def learning_rates_tried(arms: Sequence[Arm], columns: Sequence[str]) -> list[Warned]:
    """Without `--tune`: how many learning rates each recipe was tried with."""
    rates = [key for key in columns if is_learning_rate(key)]
    if len(arms) < 2:
        return []
    if not rates:
        text = "Every arm was run at one learning rate; a recipe that wants another one is at a disadvantage."
        return [Warned("note", "tuning effort", text)]
    recipes = [label({key: value for key, value in arm.settings.items() if key not in rates}) for arm in arms]
    counts = {recipe: recipes.count(recipe) for recipe in recipes}
    if len(set(counts.values())) > 1:
        text = (
            f"{_extremes(counts, 'learning rates were tried')}; --tune {rates[0]} shows the best of each and says so."
        )
        return [Warned("warning", "tuning effort", text)]
    if len(counts) > 1:
        text = f"Each learning rate is an arm of its own; --tune {rates[0]} shows the best of each recipe instead."
        return [Warned("note", "tuning effort", text)]
    return []


def is_learning_rate(key: str) -> bool:
    """Whether a dotted key is a learning rate: `optimizer.lr`, `optimizer.adamw_lr`."""
    last = key.rpartition(".")[2]
    return last in ("lr", "learning_rate") or last.endswith("_lr")


def _extremes(counts: Mapping[str, int], what: str) -> str:
    few, many = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    return f"{counts[many]} {what} for {many}, {counts[few]} for {few}"
