"""Numbers as the tables show them: on the screen and in the page alike."""

from __future__ import annotations

from typing import Any

from maskwright.comparison.comparison import Comparison
from maskwright.comparison.statistics import Pair
from maskwright.comparison.warned import some
from maskwright.tracking.console import compact, duration

NONE = "–"


def number(value: float | None) -> str:
    """Five digits: 6.2722, 0.09883, 1.2346e+05."""
    return NONE if value is None else f"{value:.5g}"


def spread(value: float | None) -> str:
    """Three digits: 0.0322."""
    return NONE if value is None else f"{value:.3g}"


def signed(value: float | None) -> str:
    """Three digits and the sign: +0.0988."""
    return NONE if value is None else f"{value:+.3g}"


def interval(low: float | None, high: float | None, sign: bool = False) -> str:
    """Both ends."""
    if low is None or high is None:
        return NONE
    return f"{signed(low)} to {signed(high)}" if sign else f"{number(low)} to {number(high)}"


def p_value(value: float | None) -> str:
    """0.0342, 0.00213, < 0.0001."""
    if value is None:
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.3g}"


def cost(name: str, value: float | None) -> str:
    """A cost in its own unit: steps, tokens, flops, seconds."""
    if value is None:
        return NONE
    return duration(value) if name == "seconds" else compact(value)


def percent(value: Any) -> str:
    """A share as 30 %."""
    return NONE if value is None else f"{100 * value:.3g} %"


def verdict(result: Comparison) -> list[str]:
    """What came out, in a few sentences."""
    groups = dict.fromkeys(arm.group for arm in result.measured)
    said = [sentence for group in groups for sentence in _of_group(result, group, len(groups) > 1)]
    tested = [pair.detectable for pair in result.pairs if pair.detectable is not None]
    if tested:
        median = sorted(tested)[len(tested) // 2]
        count = f"{len(tested)} comparisons corrected for, median" if len(tested) > 1 else "one comparison"
        power = f"power {result.options.power:.3g}"
        said.append(f"The smallest difference that these runs could have shown ({power}, {count}): {median:.3g}.")
    return said


def _of_group(result: Comparison, group: str, named: bool) -> list[str]:
    arms = [arm for arm in result.measured if arm.group == group]
    best, where = arms[0], f"On data {group}, " if named else ""
    confidence = f"{100 * (1 - result.options.alpha):.3g} %"
    seeds = "one seed" if best.n == 1 else f"{best.n} seeds"
    sure = f"{confidence} interval {interval(best.low, best.high)}, {seeds}" if best.n > 1 else seeds
    said = [f"{where}{best.arm} has the best {result.metric.name}: {number(best.mean)} ({sure})."]
    baseline = result.pairs[0].a if result.options.baseline and result.pairs else None
    reference = baseline or best.arm
    own = [pair for pair in result.pairs if reference in (pair.a, pair.b) and not _apart(pair, arms)]
    if not own:
        return said
    better: list[str] = []
    worse: list[str] = []
    unsure: list[str] = []
    for pair in own:
        other = pair.b if pair.a == reference else pair.a
        if not pair.sure(result.options.alpha) or pair.difference is None:
            unsure.append(other)
        else:
            gain = pair.difference if pair.b == other else -pair.difference
            (better if (gain < 0) == result.metric.lower else worse).append(other)
    tested = sum(pair.p is not None for pair in result.pairs)
    level = f"at the {100 * result.options.alpha:.3g} % level, corrected for {tested} comparisons"
    if better:
        said.append(f"Better than {reference} {level}: {some(better)}.")
    if worse:
        said.append(f"Worse than {reference} {level}: {some(worse)}.")
    if unsure and len(unsure) == len(own) > 1:
        said.append(f"None of the {len(own)} others can be told apart from {reference} {level}.")
    elif unsure:
        said.append(f"Not told apart from {reference}: {some(unsure)}.")
    return said


def _apart(pair: Pair, arms: list[Any]) -> bool:
    names = {arm.arm for arm in arms}
    return pair.a not in names or pair.b not in names
