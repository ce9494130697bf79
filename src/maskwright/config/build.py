"""From a node of the config to an object: its `_target_` called with what the node says, checked before the call.

Names and types are those of the constructor, wherever the class lives; bounds and combinations are the constructor's
own law, and its RecipeError is the user's.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from maskwright.config.names import hint
from maskwright.config.values import check, classes, in_words, inside, shown
from maskwright.errors import RecipeError

TARGET = "_target_"


def build(cfg: DictConfig, group: str, node: Any = None, kind: Any = object) -> Any:
    """The object that a group of the config describes, or that `node` does, which `group` then names.

    kind: the annotation that it must fit. Raises RecipeError for unknown settings, values of another type,
    and with the constructor's own sentence.
    """
    said = plain(OmegaConf.select(cfg, group, throw_on_missing=False) if node is None else node, group)
    if said is None:
        raise RecipeError(f"{group} is not set; choose one of its options, as in {group}=<option>.")
    if not isinstance(said, dict) or TARGET not in said:
        raise RecipeError(
            f"{group} is {shown(said, group)}; choose one of its options, as in {group}=<option>, and change its "
            f"settings by {group}.<setting>=<value>."
        )
    built = _made(said, group, classes(kind))
    check(group, built, kind, said)
    return built


def plain(node: Any, name: str) -> Any:
    """Dicts, lists and scalars of a part of the config, with references resolved. name: of the part, for the messages.

    Raises RecipeError for references that lead nowhere and for values that are still to be given (???).
    """
    with _readable(name):
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def read(table: DictConfig, key: str, name: str) -> Any:
    """One value of a table, as `plain` gives it."""
    with _readable(name):
        value = table[key]
    return plain(value, name)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """What OmegaConf cannot read, in one sentence."""
    try:
        yield
    except MissingMandatoryValue as error:
        key = getattr(error, "full_key", None) or name
        raise RecipeError(f"{key} has no value (???); give it one, as in {key}=<value>.") from None
    except InterpolationResolutionError as error:
        raise RecipeError(
            f"{name} reads a setting of another group that this recipe lacks ({str(error).splitlines()[0]}); "
            "the file of the option in conf/ says what it goes with."
        ) from None
    except RecursionError:
        raise RecipeError(f"{name} refers to itself; write its value out.") from None
    except OmegaConfBaseException as error:
        raise RecipeError(f"{name} cannot be read ({str(error).splitlines()[0]}); write its value out.") from None


def _made(said: Mapping[str, Any], path: str, kinds: tuple[type, ...] | None) -> Any:
    """The object of a node, after those below it."""
    target = _target(said[TARGET], path)
    wanted = None if kinds is None else tuple(one for one in kinds if one is not type(None))
    if wanted is not None and isinstance(target, type) and not issubclass(target, wanted):
        names = " or ".join(one.__name__ for one in wanted)
        raise RecipeError(f"{path}.{TARGET} is {_name(target)}; this place takes one of the kind {names}.")
    takes, more = parameters(target)
    values = {}
    for key, value in said.items():
        if key == TARGET:
            continue
        if key not in takes and not more:
            raise RecipeError(f"{path}.{key} is no setting of {_name(target)}; {hint(key, takes, f'{path}.')}")
        annotation = takes[key][0] if key in takes else Any
        built = _part(value, f"{path}.{key}", annotation)
        check(f"{path}.{key}", built, annotation, said=value)
        values[key] = built
    for key, (annotation, needed) in takes.items():
        if needed and key not in values:
            raise RecipeError(f"{path}.{key} is not set; give {in_words(annotation)}.")
    try:
        return target(**values)
    except RecipeError:
        raise
    except (ValueError, ArithmeticError, OSError, re.error) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise RecipeError(f"{path} cannot be made with these settings ({first}); change them.") from error


def _part(said: Any, path: str, annotation: Any) -> Any:
    """A value with the objects that its nodes describe."""
    if isinstance(said, dict):
        if TARGET in said:
            return _made(said, path, classes(annotation))
        return {key: _part(value, f"{path}.{key}", inside(annotation)) for key, value in said.items()}
    if isinstance(said, list):
        return [_part(value, f"{path}[{place}]", inside(annotation)) for place, value in enumerate(said)]
    return said


def _target(said: Any, path: str) -> Callable[..., Any]:
    """The class that `_target_` names. Hydra's own list of what no config may call holds."""
    if not isinstance(said, (str, type)):
        raise RecipeError(f"{path}.{TARGET} is {shown(said)}; give the dotted name of a class.")
    try:
        return instantiate({TARGET: said, "_partial_": True}).func
    except (InstantiationException, ValueError, TypeError, AttributeError) as error:
        why = "no config may call" if "blocklist" in str(error) else "cannot be imported"
        raise RecipeError(f"{path}.{TARGET} is {shown(said)}, which {why}; give the dotted name of a class.") from None


def parameters(target: Callable[..., Any]) -> tuple[dict[str, tuple[Any, bool]], bool]:
    """The settings that a class or function takes: annotation, and whether it must be given; and whether it takes
    any others. What a constructor hands on to its parent's (`**kwargs`) is read from the parent."""
    return _parameters(target)


@cache
def _parameters(target: Callable[..., Any]) -> tuple[dict[str, tuple[Any, bool]], bool]:
    makers: list[Callable[..., Any]] = [target]
    if isinstance(target, type):
        makers = [vars(one)["__init__"] for one in target.__mro__ if "__init__" in vars(one)]
    found: dict[str, tuple[Any, bool]] = {}
    for maker in makers:
        if maker is object.__init__:
            return found, False
        hints = _hints(maker)
        listed = list(inspect.signature(maker).parameters.values())[isinstance(target, type) :]
        for one in listed:
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                found.setdefault(one.name, (hints.get(one.name, Any), one.default is one.empty))
        if not any(one.kind is one.VAR_KEYWORD for one in listed):
            return found, False
    return found, True


def _hints(maker: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(maker, include_extras=True)
    except (NameError, TypeError):  # names that only a type checker imports; a class of somebody's own
        return {}


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__name__", str(target))
