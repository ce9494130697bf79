"""The best setting of each arm when a grid was tried (`--tune optimizer.lr`), and how much choosing flatters it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass
class Tuned:
    """What was chosen for one arm.

    tried: name of each setting -> mean over seeds, None where it has no finished run on every seed of the others.
    edge: the chosen value is the lowest or highest tried, so that a better one may lie beyond. honest: mean over seeds
    when each seed's setting is chosen on the other seeds alone. flattery: by how much the chosen mean looks better than
    that; None with one seed.
    """

    arm: str
    tried: dict[str, float | None]
    chosen: str | None
    mean: float | None = None
    edge: bool = False
    honest: float | None = None
    flattery: float | None = None


def tune(arm: str, values_SC: pd.DataFrame, numbers: Sequence[Sequence[float]], lower: bool) -> Tuned:
    """Choose among the settings of one arm by the mean over seeds.

    values_SC: [seeds, settings], NaN where there is no finished run. Only settings that finished on every seed that any
    of them finished on can be chosen: one that fails now and then is no good choice, and means over other seeds do not
    compare. numbers: each tuned key's value of each setting, to see whether the choice lies at the edge of the grid.
    """
    values_SC = values_SC.dropna(how="all")
    whole_SC = values_SC.dropna(axis=1)
    tried = {str(name): float(values_SC[name].mean()) if name in whole_SC else None for name in values_SC}
    if whole_SC.empty:
        return Tuned(arm, tried, None)
    sign = 1 if lower else -1
    means_C = whole_SC.mean() * sign
    chosen, mean = str(means_C.idxmin()), float(means_C.min()) * sign
    edge = any(_at_edge(column, list(values_SC.columns).index(chosen)) for column in numbers)
    if len(whole_SC) < 2 or whole_SC.shape[1] < 2:
        return Tuned(arm, tried, chosen, mean, edge)
    held_out = [row[(whole_SC.drop(seed).mean() * sign).idxmin()] for seed, row in whole_SC.iterrows()]
    honest = float(sum(held_out) / len(held_out))
    return Tuned(arm, tried, chosen, mean, edge, honest, (honest - mean) * sign)


def _at_edge(values: Sequence[float], index: int) -> bool:
    numeric = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numeric) < len(values) or len(set(values)) < 2:
        return False
    return values[index] in (min(values), max(values))
