"""What a reader must know before believing a comparison: unequal budgets, data, code or tuning, and runs left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from maskwright.comparison.arms import Arm
from maskwright.comparison.differences import ABSENT, holds, label
from maskwright.comparison.effort import learning_rates_tried, tuned_by_choice
from maskwright.comparison.entries import Entry
from maskwright.comparison.runs import FAILED, MISSING, PREEMPTED, UNFINISHED
from maskwright.comparison.tuning import Tuned
from maskwright.comparison.warned import Warned, some
from maskwright.tracking.console import compact

TOLERANCE = 1.01  # budgets further apart than this ratio are unequal
LEFT_OUT = {FAILED: "failed", UNFINISHED: "did not finish", PREEMPTED: "stopped early", MISSING: "never began"}
MASKS = ("masking", "rate", "corruption", "views")  # groups that decide what is hidden

Source = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]  # of a run's facts and config


def warnings(
    arms: Sequence[Arm], entries: Sequence[Entry], columns: Sequence[str], tuned: Sequence[Tuned], metric: str
) -> list[Warned]:
    """All that applies to these arms; the gravest first."""
    found = [
        *_left_out(entries),
        *_averaged(entries),
        *_budgets(arms),
        *_sources([entry for entry in entries if entry.counted]),
        *_seeds(arms),
        *(tuned_by_choice(tuned) if tuned else learning_rates_tried(arms, columns)),
        *_confounded(arms, columns),
        *_home_advantage(arms, metric),
    ]
    return sorted(found, key=lambda one: one.level != "warning")


def _left_out(entries: Sequence[Entry]) -> list[Warned]:
    states = Counter(entry.run.state for entry in entries)
    parts = [f"{states[state]} {said}" for state, said in LEFT_OUT.items() if states[state]]
    found = []
    if parts:
        text = f"Of {len(entries)} runs {', '.join(parts)}; no mean has them, which favours recipes that fail."
        found.append(Warned("warning", "runs left out", text))
    notes = Counter(entry.note for entry in entries if entry.run.finished and not entry.counted)
    for note, count in notes.items():
        runs = "1 finished run is" if count == 1 else f"{count} finished runs are"
        found.append(Warned("note", "not counted", f"{runs} not counted: {note}."))
    return found


def _averaged(entries: Sequence[Entry]) -> list[Warned]:
    """What --ignore joined: runs of one arm and seed, averaged before anything else."""
    joined: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.counted:
            joined.setdefault((entry.arm, entry.seed), []).append(label(entry.ignored))
    several = [values for values in joined.values() if len(values) > 1]
    if not several:
        return []
    differing = list(dict.fromkeys(key for entry in entries for key in entry.ignored))
    keys = [key for key in differing if not any(holds(group, key) for group in differing)]
    text = f"The {sum(map(len, several))} runs that differ in {' and '.join(keys)} alone are averaged within their seed"
    if len({frozenset(values) for values in joined.values()}) == 1:
        return [Warned("note", "ignored", f"{text}; their spread over it is in no interval.")]
    text = f"{text}, yet not every arm and seed has all values of it: the means are over different ones."
    return [Warned("warning", "ignored", text)]


def _budgets(arms: Sequence[Arm]) -> list[Warned]:
    what: dict[str, Callable[[Arm], float | None]] = {
        "training tokens": lambda arm: arm.costs.get("tokens"),
        "counted model FLOPs": lambda arm: arm.costs.get("flops"),
        "parameters": lambda arm: arm.parameters,
    }
    found = []
    for name, of in what.items():
        known = sorted(((value, arm.arm) for arm in arms if (value := of(arm))), key=lambda one: one[0])
        if known and known[-1][0] > TOLERANCE * known[0][0]:
            (least, low), (most, high) = known[0], known[-1]
            text = f"Arms differ in {name} by a factor of {most / least:.3g}"
            text = f"{text}: {compact(least)} ({low}) to {compact(most)} ({high})."
            found.append(Warned("warning", name.split()[-1], text))
    return found


def _fingerprint(name: str) -> Source:
    return lambda facts, config: facts.get("fingerprints", {}).get(name)


def _hardware(*names: str) -> Source:
    return lambda facts, config: str([facts.get("hardware", {}).get(name) for name in names])


# about: (level, what the runs did, what must be equal)
SOURCES: dict[str, tuple[str, str, Source]] = {
    "corpus": ("warning", "were trained on other text or another split of it", _fingerprint("corpus")),
    "tokenizer": ("warning", "have different tokenizers", _fingerprint("tokenizer")),
    "training rows": ("note", "were trained on differently packed rows", _fingerprint("train")),
    "ruler": (
        "warning",
        "were measured on other ruler rows",
        lambda facts, config: (facts.get("fingerprints", {}).get("ruler"), str(config.get("ruler"))),
    ),
    "code": ("warning", "come from different versions of the code", lambda facts, config: facts.get("git_commit")),
    "precision": ("warning", "were trained in different precision", _hardware("precision")),
    "machine": (
        "note",
        "ran on different machines or thread counts, so seconds and speed do not compare",
        _hardware("device", "devices", "nodes", "threads"),
    ),
}


def _sources(counted: Sequence[Entry]) -> list[Warned]:
    """Data, code and machine: whatever is not the same for all runs."""
    found: list[Warned] = []
    for about, (level, text, of) in SOURCES.items():
        by_arm: dict[str, set[Any]] = {}
        for entry in counted:
            by_arm.setdefault(entry.arm, set()).add(of(entry.run.facts, entry.run.config or {}))
        kinds = {kind for own in by_arm.values() for kind in own}
        follows = about in ("ruler", "training rows") and any(one.about in ("corpus", "tokenizer") for one in found)
        if len(kinds) > 1 and not follows:
            mixed = ", also between seeds of one arm" if any(len(own) > 1 for own in by_arm.values()) else ""
            found.append(Warned(level, about, f"The runs {text} ({len(kinds)} kinds{mixed})."))
    return found


def _seeds(arms: Sequence[Arm]) -> list[Warned]:
    most = max((arm.n for arm in arms), default=0)
    if most < 2:
        text = "No arm has two finished seeds, so no difference can be tested; run more of them, such as seed=1,2,3."
        return [Warned("warning", "seeds", text)]
    few = [f"{arm.arm} has {arm.n}" for arm in arms if arm.n < most]
    return [Warned("warning", "seeds", f"Not all arms have {most} finished seeds: {some(few)}.")] if few else []


def _confounded(arms: Sequence[Arm], columns: Sequence[str]) -> list[Warned]:
    """Settings that always change together: their effects cannot be told apart."""
    found = []
    for one, other in combinations(columns, 2):
        both = {(repr(arm.settings[one]), repr(arm.settings[other])) for arm in arms}
        ones, others = {a for a, _ in both}, {b for _, b in both}
        if len(both) > 1 and len(ones) == len(others) == len(both) and repr(ABSENT) not in ones | others:
            text = f"{one} and {other} always change together, so which of them makes the difference cannot be told."
            found.append(Warned("warning", "confounded", text))
    return found


def _home_advantage(arms: Sequence[Arm], metric: str) -> list[Warned]:
    masks = {
        label({key: value for key, value in arm.settings.items() if key.split(".")[0].split("/")[0] in MASKS})
        for arm in arms
    }
    if len(masks) < 2 or "ruler/" not in metric or metric.startswith("evaluation/"):
        return []
    text = (
        "The ruler hides 15 % of the tokens one by one, which favours recipes that train like that; "
        "compare on other masks or tasks too."
    )
    return [Warned("note", "home advantage", text)]
