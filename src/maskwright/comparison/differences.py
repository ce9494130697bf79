"""What differs between runs: which settings tell the arms of a sweep apart, and which runs are seeds of one arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from maskwright.comparison.runs import Run

# Where a run lands, what it writes and how it loads data change nothing that is learned.
ASIDE = (
    "name", "resume", "cache", "logger", "hydra", "sweeps", "checkpoint", "export", "evaluation", "hardware.workers",
    "trainer.log_every_n_steps", "trainer.validate_every",
)  # fmt: skip
PRESETS = ("experiment", "objective")  # groups whose options set values of other groups
ABSENT = "(none)"  # a key that another option of its group has not
UNKNOWN = "?"  # a run that ended before its recipe was written down

Settings = dict[str, Any]  # column -> value; the columns tell arms apart


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as {"optimizer.lr": 0.02}; a list is one value, an empty mapping is `{}`."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = tuple(value) if isinstance(value, list) else str(value) if value == {} else value
    return out


def said(overrides: Iterable[str]) -> dict[str, Any]:
    """What a command line sets, {"rate.value": 0.4}, with values read as Hydra reads them."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import QuotedString
    from hydra.errors import HydraException

    parser, out = OverridesParser.create(), {}
    for word in overrides:
        try:
            override = parser.parse_override(word)
        except HydraException:
            continue
        value = override.value() if not override.is_delete() else ABSENT
        value = value.text if isinstance(value, QuotedString) else value
        out[override.key_or_group] = tuple(value) if isinstance(value, list) else value
    return out


def is_seed(key: str) -> bool:
    """Whether a dotted key is a seed: `seed`, `seeds.init`, `data.seed`, `head_seed`."""
    return any(part in ("seed", "seeds") or part.endswith("_seed") for part in key.split("."))


def is_aside(key: str, ignored: Sequence[str] = ()) -> bool:
    """Whether a key or group does not belong to the recipe."""
    aside = (*ASIDE, *ignored)
    return is_seed(key) or key.startswith("hydra/") or any(key == name or key.startswith(name + ".") for name in aside)


def settings(runs: Sequence[Run], ignored: Sequence[str] = ()) -> list[Settings]:
    """For each run the settings that tell the arms apart: group choices, and dotted keys that no choice explains.

    A key below a chosen group is explained when each option of the group always has the same value for it. What nobody
    said on a command line is left out where a preset that was said explains it (an experiment's values), or where it
    copies a value that something said explains. Anything else that happens to change with what was said (a default that
    changed between two sweeps) is a difference of its own.
    ignored: keys, or beginnings of keys, that count as no difference.
    """
    groups = dict.fromkeys(group for run in runs for group in run.choices if not is_aside(group, ignored))
    known = [_Known(run, lambda key: not is_aside(key, ignored), groups) for run in runs]
    typed = dict.fromkeys(key for run in runs for key in said(run.overrides) if not is_aside(key, ignored))
    differing = _differing(known)
    columns = [group for group in groups if group in differing]
    for key in differing:
        above = [group for group in columns if holds(group, key)]
        if key not in groups and not any(_follows(known, key, [group]) for group in above):
            columns.append(key)
    order = [key for key in typed if key in columns]
    if order:
        columns = order + [key for key in columns if key not in order and not _explained(known, key, order)]
    return [{key: _value(one, known, key) for key in columns} for one in known]


def left_aside(runs: Sequence[Run], ignored: Sequence[str]) -> list[Settings]:
    """For each run the settings that it would differ in, were `ignored` not left aside."""
    known = [_Known(run, lambda key: is_aside(key, ignored) and not is_aside(key)) for run in runs]
    differing = _differing(known)
    return [{key: one.get(key) for key in differing} for one in known]


def label(values: Settings) -> str:
    """An arm's name, as one would type it: `masking=span rate.value=0.4`."""
    words = [f"{key}={shown(value, key)}" for key, value in values.items() if value != ABSENT]
    return " ".join(words) or "all runs"


def shown(value: Any, key: str = "") -> str:
    """A value as the command line takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return "[" + ",".join(shown(part) for part in value) + "]"
    return str(value).rpartition(".")[2] if key.endswith("_target_") else str(value)


def seeds(runs: Sequence[Run]) -> list[str]:
    """Each run's seed, by which runs of different arms are paired: `1`, or `seed=1 seeds.masks=2` where they differ."""
    known = [_Known(run, is_seed) for run in runs]
    differing = _differing(known)
    names = []
    for values in (one.values for one in known):
        own = {key: value for key, value in values.items() if key in differing and key != "seed"}
        plain = all(value == values.get("seed") for value in own.values())
        extra = "" if plain else "".join(f" {key}={shown(value)}" for key, value in own.items())
        names.append(f"seed={values.get('seed', UNKNOWN)}{extra}" if extra else shown(values.get("seed", UNKNOWN)))
    return names


class _Known:
    """What is known of a run's recipe: its config and its choices, or else what its command line said.

    A run that ended early may have left no config, or no record of its choices.
    """

    def __init__(self, run: Run, keep: Callable[[str], bool], groups: Iterable[str] = ()) -> None:
        self.config, self.parent = run.config is not None, run.folder.parent
        words = said(run.overrides)
        chosen = run.choices or {group: words[group] for group in groups if group in words}
        everything = flat(run.config) | chosen if run.config is not None else words
        self.values = {key: value for key, value in everything.items() if keep(key)}
        self._unknown = set() if run.choices else set(groups) - set(chosen)

    def has(self, key: str) -> bool:
        """Whether the value of `key` is known, be it that there is none."""
        return key in self.values or (self.config and key not in self._unknown)

    def get(self, key: str) -> Any:
        return self.values.get(key, ABSENT if self.has(key) else UNKNOWN)


def _differing(known: Sequence[_Known]) -> list[str]:
    keys = dict.fromkeys(key for one in known for key in one.values)
    return [key for key in keys if len({_hashable(one.get(key)) for one in known if one.has(key)}) > 1]


def _follows(known: Sequence[_Known], key: str, causes: Sequence[str]) -> bool:
    """Whether `key` has one value for each combination of `causes`."""
    seen: dict[Any, Any] = {}
    for one in known:
        if all(one.has(name) for name in (key, *causes)):
            cause, value = tuple(_hashable(one.get(name)) for name in causes), _hashable(one.get(key))
            if seen.setdefault(cause, value) != value:
                return False
    return True


def _explained(known: Sequence[_Known], key: str, typed: Sequence[str]) -> bool:
    """Whether `key` follows from the presets that were typed (with its own group), or copies a value from below
    something that was typed (`unit: ${masking.unit}`)."""
    causes = [name for name in typed if name in PRESETS or holds(name, key)]
    if causes and _follows(known, key, causes):
        return True
    last = key.rpartition(".")[2]
    names = dict.fromkeys(name for one in known for name in one.values)
    others = [name for name in names if name != key and name.rpartition(".")[2] == last]
    return any(
        any(other == name or holds(name, other) for name in typed)
        and all(one.get(other) == one.get(key) for one in known if one.has(other) and one.has(key))
        for other in others
    )


def holds(group: str, key: str) -> bool:
    """Whether a dotted key, or a group (`masking/budget`), lies below a group or another key."""
    return key.replace("/", ".").startswith(group.split("@")[0].replace("/", ".") + ".")


def _value(one: _Known, known: Sequence[_Known], key: str) -> Any:
    """A run's value; where it is unknown, that of all jobs of its multirun which agree with what the run said."""
    if one.has(key):
        return one.get(key)
    like = [
        other.get(key)
        for other in known
        if other.has(key) and other.parent == one.parent and all(other.get(k) == v for k, v in one.values.items())
    ]
    return like[0] if like and all(value == like[0] for value in like) else UNKNOWN


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str) else repr(value)
