"""The recipes that are looked at: the one of the command line, or several policies composed on top of it.

A policy is a text of overrides, such as `masking=span rate.value=0.4`. Where it chooses another option, values of the
command line for which that option has no place are left out: `rate=linear` drops `rate.value=0.4`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from maskwright.errors import RecipeError

_CONFIG = "show_masks"


class Composed(NamedTuple):
    """A config and the choice made in each group. policy: as written; empty for the command line's own recipe."""

    policy: str
    cfg: DictConfig
    choices: Mapping[str, str]


def policies(written: Sequence[str], overrides: Sequence[str]) -> list[Composed]:
    """Each policy on top of the command line's overrides; Hydra must be initialised, as it is under `hydra.main`.

    Raises RecipeError for a policy that does not compose.
    """
    return [_composed(policy, overrides) for policy in written]


def _composed(policy: str, overrides: Sequence[str]) -> Composed:
    try:
        own, base = _parsed(shlex.split(policy)), _parsed(overrides)
        sweep = next((override for override in own if override.is_sweep_override()), None)
        if sweep is not None:
            raise RecipeError(f"show.policies: {policy!r} sweeps {sweep.key_or_group}; list its values as policies.")
        cfg = _compose(base, own)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        reason = " ".join(str(error).partition("Config search path")[0].split()).rstrip(".")
        raise RecipeError(f"show.policies: {policy!r} cannot be composed on top of the recipe: {reason}.") from None
    choices = {str(group): choice for group, choice in cfg.hydra.runtime.choices.items() if "hydra/" not in group}
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)
    return Composed(policy, cfg, choices)


def _compose(base: list[Override], own: list[Override]) -> DictConfig:
    """Values of `base` that an option chosen by `own` has no place for are left out."""
    chosen = tuple(f"{override.key_or_group.replace('/', '.')}." for override in own)
    while True:
        try:
            lines = [str(override.input_line) for override in (*base, *own)]
            return compose(_CONFIG, lines, return_hydra_config=True)
        except HydraException as error:
            lost = [
                override
                for override in base
                if override.key_or_group.startswith(chosen) and f"'{override.key_or_group}'" in str(error)
            ]
            if not lost:
                raise
            base = [override for override in base if override not in lost]


def swept(words: Sequence[str]) -> list[str]:
    """Command-line words, a multirun (`-m masking=random,span`) turned into `show.policies`, one for each combination.

    Raises RecipeError where policies are listed as well.
    """
    flags = [word for word in words if word in ("-m", "--multirun")]
    if not flags:
        return list(words)
    others = [word for word in words if word.startswith("-") and word not in flags]
    try:
        parsed = _parsed([word for word in words if not word.startswith("-")])
    except HydraException as error:
        raise RecipeError(f"the command line cannot be read: {' '.join(str(error).split())}.") from None
    if any(override.key_or_group == "show.policies" for override in parsed):
        raise RecipeError("-m makes show.policies from the values that it sweeps; give one of the two.")
    sweeps = [override for override in parsed if override.is_sweep_override()]
    if not sweeps:
        return [word for word in words if word not in flags]
    axes = [[f"{sweep.get_key_element()}={value}" for value in sweep.sweep_string_iterator()] for sweep in sweeps]
    listed = ",".join(_quoted(shlex.join(combination)) for combination in product(*axes))
    kept = [str(override.input_line) for override in parsed if override not in sweeps]
    return [*others, *kept, f"show.policies=[{listed}]"]


def _parsed(words: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(words))


def _quoted(text: str) -> str:
    """As Hydra's grammar quotes it."""
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"
