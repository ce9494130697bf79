"""Are the values of model.config of the kinds that the config class names?"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import RecipeError

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", list: "a list",
          dict: "a mapping", types.NoneType: "null"}  # fmt: skip
_ACTIVATIONS = (
    "hidden_act",
    "hidden_activation",
    "activation",
    "conv_act",
    "classifier_activation",
    "pooler_hidden_act",
)


def kinds(config_class: Any) -> dict[str, Any]:
    """The annotations of a transformers config, by its own keys."""
    import torch

    return get_type_hints(config_class, localns={"torch": torch})


def checked(numbers: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers, a whole one as a float where the config knows floats alone.

    Raises RecipeError for a value of another kind, a number that is not finite, and an unknown activation.
    """
    found: dict[str, Any] = {}
    for key, value in numbers.items():
        kind = kinds.get(key, Any)
        if kind is float and type(value) is int:
            value = float(value)
        if not fits(value, kind):
            shown = {None: "null", True: "true", False: "false"}.get(value, value) if _plain(value) else value
            raise RecipeError(f"model.config.{key} is {shown}; it is {_named(kind)}.")
        if key in _ACTIVATIONS and isinstance(value, str):
            _check_activation(key, value)
        found[key] = value
    return found


def fits(value: Any, kind: Any) -> bool:
    """Whether a plain value is of an annotated kind; numbers are finite, and true is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if kind is float:
        return type(value) is float and math.isfinite(value)
    if kind in _NAMES:
        return type(value) is kind
    return origin is not dict or isinstance(value, dict)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _named(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        names = list(dict.fromkeys(_named(one) for one in inner if not (one is int and float in inner)))
        return " or ".join(names)
    if origin is Literal:
        return " or ".join(str(one) for one in inner)
    if origin is list:
        return f"a list of {_plural(inner[0])}"
    return _NAMES.get(origin or kind, str(kind))


def _plural(kind: Any) -> str:
    return {int: "whole numbers", float: "numbers", str: "words"}.get(kind, "values")


def _check_activation(key: str, name: str) -> None:
    from transformers.activations import ACT2FN

    if name not in ACT2FN:
        near = difflib.get_close_matches(name, ACT2FN, 1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"choose gelu, relu, silu or another of {', '.join(ACT2FN)}."
        raise RecipeError(f"model.config.{key} is {name}, which is no activation; {hint}")
