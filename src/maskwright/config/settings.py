"""The plain settings of conf/recipe.yaml, evaluate.yaml, show_masks.yaml and annotate.yaml: names, types and bounds.

A field without a default must be in the config; one with a default came later, and runs of an older version, which lack
it, are given it.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from omegaconf import DictConfig, OmegaConf
from pydantic import StringConstraints

from maskwright.config.build import read
from maskwright.config.names import hint
from maskwright.config.values import Words, check, shown
from maskwright.errors import RecipeError

Count = Annotated[int, Ge(1)]
Amount = Annotated[float, Gt(0)]
Time = Annotated[str, StringConstraints(pattern="[A-Za-z:]"), Words("a time with its unit, such as 45m, 8h or 1d12h")]


class Group:
    """A group of options, which `build` checks; its key is absent where the choice is null."""


@dataclass
class Seeds:
    init: int
    order: int
    masks: int
    dropout: int


@dataclass
class Batch:
    rows: Count
    tokens: Annotated[int, Gt(0)] | None


@dataclass
class Trainer:
    max_steps: Count
    max_epochs: Amount | None
    log_every_n_steps: Count
    validate_every: Count
    clip: Amount | None
    ema: Annotated[float, Gt(0), Lt(1)] | None
    max_time: Time | None = None
    validate_first: Literal["auto"] | bool = "auto"


@dataclass
class Ruler:
    length: Annotated[int, Ge(8)]
    rows: Count


@dataclass
class Checkpoint:
    every: Count
    keep: Annotated[int, Ge(0)]
    best: str | None = None


@dataclass
class EarlyStopping:
    figure: str | None = None
    patience: Count = 3
    min_delta: Annotated[float, Ge(0)] = 0.0


@dataclass
class Evaluation:
    every_n_steps: int | None
    network: str | None
    suites: Mapping[str, Mapping[str, Any]]


@dataclass
class Export:
    at_powers_of: Annotated[float, Gt(1)] | None


@dataclass(kw_only=True)
class Recipe:
    """conf/recipe.yaml."""

    data: Group
    tokenizer: Group
    cleaning: Group
    packing: Group
    words: Group
    model: Group
    masking: Group
    rate: Group
    corruption: Group
    prediction: Group
    loss_weight: Group
    optimizer: Group
    schedule: Group
    hardware: Group
    logger: Group
    objective: Group

    name: str | None
    resume: str | None
    seed: int
    seeds: Seeds
    batch: Batch
    phases: Sequence[Mapping[str, Any]] = ()
    views: Mapping[str, Mapping[str, Any] | None]
    trainer: Trainer
    ruler: Ruler
    heldout_rows: Count
    checkpoint: Checkpoint
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    evaluation: Evaluation
    export: Export
    cache: str


@dataclass
class Show:
    rows: Count
    statistics_rows: Count
    progress: float
    policies: str | Sequence[str] | None
    html: str | None
    json: bool


@dataclass(kw_only=True)
class ShowMasks(Recipe):
    """conf/show_masks.yaml."""

    show: Show


@dataclass
class Shown:
    rows: Annotated[int, Ge(0)]
    samples: Annotated[int, Ge(0)]
    json: bool


@dataclass(kw_only=True)
class Annotate(Recipe):
    """conf/annotate.yaml."""

    annotate: Shown


@dataclass
class Evaluate:
    """conf/evaluate.yaml."""

    evaluation: Group
    data: Group
    run: str | None
    name: str | None
    device: str
    precision: str | int
    threads: str | int
    positions: int | None
    ruler_length: Annotated[int, Ge(8)] | None
    ruler_rows: Count | None
    log: bool
    cache: str


def check_settings(cfg: DictConfig, schema: type) -> None:
    """Raise RecipeError for a plain setting that is unknown, not set, or not of its type and bounds.

    schema: `Recipe`, `ShowMasks`, `Annotate` or `Evaluate`.
    """
    _check(cfg, schema, "", cfg)


def _check(table: DictConfig, schema: type, path: str, whole: DictConfig) -> None:
    fields = {field.name: field for field in dataclasses.fields(schema)}
    for key in map(str, table):
        if key not in fields:
            name = f"{path}{key}"
            raise RecipeError(f"{name} is no setting; {hint(name, _known(schema, path, name, whole), listed=False)}")
    for name, annotation in _hints(schema).items():
        key = f"{path}{name}"
        if annotation is Group:
            continue
        if name not in table and not OmegaConf.is_missing(table, name):
            later = _later(fields[name])
            if later is dataclasses.MISSING:
                raise RecipeError(f"{key} is not set; leave it in the recipe, as in {key}=<value>.")
            OmegaConf.update(table, name, later, force_add=True)
            continue
        value = read(table, name, key)
        if not dataclasses.is_dataclass(annotation):
            check(key, value, annotation)
        elif isinstance(value, dict):
            _check(table[name], annotation, f"{key}.", whole)  # type: ignore[arg-type]
        else:
            first = next(iter(_hints(annotation)))  # type: ignore[arg-type]
            raise RecipeError(f"{key} is {shown(value)}; it holds settings, as in {key}.{first}=<value>.")


def _later(field: dataclasses.Field[Any]) -> Any:
    """What a setting that came later is where a config lacks it."""
    if field.default_factory is dataclasses.MISSING:
        return field.default
    return dataclasses.asdict(field.default_factory())


@cache
def _hints(schema: Any) -> dict[str, Any]:
    return typing.get_type_hints(schema, include_extras=True)


def _known(schema: type, path: str, unknown: str, whole: DictConfig) -> list[str]:
    """Names that an unknown one may have been meant to be: all that are there, without itself and what is below it."""
    there = [*_names(schema, path), *_there(OmegaConf.to_container(whole, resolve=False))]
    return [name for name in there if not f"{name}.".startswith(f"{unknown}.")]


def _names(schema: Any, path: str) -> Iterator[str]:
    """The dotted names of a schema."""
    for name, annotation in _hints(schema).items():
        yield f"{path}{name}"
        if dataclasses.is_dataclass(annotation):
            yield from _names(annotation, f"{path}{name}.")


def _there(table: Any, path: str = "") -> Iterator[str]:
    """The dotted names of a config, in plain dicts."""
    for key, below in table.items() if isinstance(table, dict) else ():
        yield f"{path}{key}"
        yield from _there(below, f"{path}{key}.")
