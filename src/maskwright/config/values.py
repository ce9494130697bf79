"""Whether a value is what an annotation says, by pydantic, and the annotation in words.

Strict where people err: 2.5, true, nan and '3' are no whole numbers, 3 is a number, and a text is no list of texts.
Nothing is converted: the config says what was used.
"""

from __future__ import annotations

import collections.abc
import contextlib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    AfterValidator,
    AllowInfNan,
    InstanceOf,
    PydanticSchemaGenerationError,
    Strict,
    StringConstraints,
    TypeAdapter,
)
from pydantic import ValidationError as Mismatch

from maskwright.errors import RecipeError
from maskwright.tracking.secrets import without_secrets

_LONGEST = 60  # letters of a value in a message
_LARGEST = 1e30  # what float32 holds, with room for products
_SCALARS: dict[Any, Any] = {
    int: Annotated[int, Strict(), Ge(-(2**63)), Lt(2**63)],  # what a tensor holds
    float: Annotated[float, Strict(), AllowInfNan(False)],
    bool: Annotated[bool, Strict()],
    str: Annotated[str, Strict(), StringConstraints(pattern=r"^[^\x00]*$")],
}
_ONE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts", Path: "paths"}
_UNIONS = (typing.Union, types.UnionType)


@dataclass(frozen=True)
class Words:
    """What to give, where the type does not tell: `Annotated[str, pattern, Words("a time such as 45m")]`."""

    text: str


def check(key: str, value: Any, annotation: Any, said: Any = None) -> None:
    """Raise RecipeError unless `value` is what `annotation` says.

    key: as the user would type it. said: what the config says where `value` was built from it.
    """
    if fits(value, annotation):
        return
    said = value if said is None else said
    raise RecipeError(f"{key} is {shown(said, key)}; give {in_words(annotation)}{_such_as(key, said, annotation)}.")


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is what an annotation says."""
    try:
        _adapter(annotation).validate_python(value)
    except Mismatch:
        return False
    return True


def shown(value: Any, key: str = "") -> str:
    """A value as a message shows it: in one line, cut, without secrets."""
    last = key.rpartition(".")[2]
    value = without_secrets({last: value})[last]
    if isinstance(value, dict) and "_target_" in value:
        return f"a {str(value['_target_']).rpartition('.')[2]}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, (str, int, float, list, tuple, dict)) else f"a {type(value).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def in_words(annotation: Any) -> str:
    """`a whole number from 1 up, or null`: what to give."""
    kind, bounds = _parted(annotation)
    for one in bounds:
        if isinstance(one, Words):
            return one.text
    if get_origin(kind) in _UNIONS:
        parts = [part for part in get_args(kind) if part is not type(None)]
        words = list(dict.fromkeys(in_words(part) for part in parts))
        if "a number" in words and "a whole number" in words:
            words.remove("a whole number")
        words = [*words[:-1], words[-1] + _within(bounds)]
        if len(parts) < len(get_args(kind)):
            words.append("null")
        comma = any(" " in word.removeprefix("a ").removeprefix("whole ") for word in words)
        return words[0] if len(words) == 1 else ", ".join(words[:-1]) + (", or " if comma else " or ") + words[-1]
    if kind in _ONE:
        return _ONE[kind] + _within(bounds)
    if kind is type(None):
        return "null"
    if kind is Any:
        return "a setting"
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        return "names with their values, as in {name: value}"
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and (inner or origin in (list, tuple)):
        return f"a list of {_MANY[inner[0]]}" if inner and inner[0] in _MANY else "a list"
    return f"a part with _target_, of the kind {getattr(kind, '__name__', kind)}"


def classes(annotation: Any) -> tuple[type, ...] | None:
    """The classes that a part with `_target_` may have where the annotation stands; None: any."""
    kind, _ = _parted(annotation)
    if kind is Any or _is_protocol(kind) or isinstance(kind, (typing.TypeVar, str)):
        return None  # whether an object keeps to a protocol is seen once it is there
    inner = get_args(kind)
    if not inner:
        return (kind,) if isinstance(kind, type) else None
    found: list[type] = []
    for part in inner:
        below = () if part is Ellipsis else classes(part)
        if below is None:
            return None
        found += below
    return tuple(found)


def inside(annotation: Any) -> Any:
    """The annotation of what a list or mapping holds."""
    kind, _ = _parted(annotation)
    if get_origin(kind) in _UNIONS:
        parts = [part for part in get_args(kind) if get_args(part)]
        return inside(parts[0]) if len(parts) == 1 else Any
    inner = [part for part in get_args(kind) if part is not Ellipsis]
    return inner[-1] if inner else Any


def _parted(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The bare annotation and its bounds."""
    if get_origin(annotation) is Annotated:
        return annotation.__origin__, annotation.__metadata__
    return annotation, ()


def _is_protocol(kind: Any) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _within(bounds: tuple[Any, ...]) -> str:
    limits = {type(bound): bound for bound in bounds}
    low: Any = limits.get(Ge) or limits.get(Gt)
    high: Any = limits.get(Le) or limits.get(Lt)
    least = None if low is None else getattr(low, "ge", getattr(low, "gt", None))
    most = None if high is None else getattr(high, "le", getattr(high, "lt", None))
    if least is not None and most is not None:
        return f" between {least} and {most}"
    if least is not None:
        return f" from {least} up" if Ge in limits else f" above {least}"
    if most is not None:
        return f" up to {most}" if Le in limits else f" below {most}"
    return ""


def _such_as(key: str, said: Any, annotation: Any) -> str:
    """The value as it was perhaps meant, or why a number is none that can be used."""
    if isinstance(said, (int, float)) and _LARGEST < abs(said) < math.inf and fits(1.0, annotation):
        return f", {'at most' if said > 0 else 'at least'} {math.copysign(_LARGEST, said):g}"
    if isinstance(said, float) and math.isfinite(said) and said.is_integer() and fits(int(said), annotation):
        return f", such as {int(said)}"
    if isinstance(said, (bool, int, float)) and fits(str(said), annotation):
        return f", in two pairs of quotes, as in {key}=\"'{str(said).lower()}'\""
    return ""


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(_strict(annotation))
    except PydanticSchemaGenerationError:  # an annotation of somebody's own class that pydantic does not know
        return TypeAdapter(Any)


def _strict(annotation: Any) -> Any:
    """The annotation as pydantic is to read it: nothing converted, iterables read, classes by isinstance."""
    kind, bounds = _parted(annotation)
    if kind in _SCALARS:
        return Annotated[(_SCALARS[kind], *bounds, AfterValidator(_usable))]
    if bounds:
        return Annotated[(_strict(kind), *bounds)]
    if kind is Path:
        return _SCALARS[str] | Path
    origin, inner = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        return typing.Union[tuple(_strict(part) for part in inner)]  # noqa: UP007
    if origin is Literal or kind in (Any, None, type(None), list, dict, tuple, set):
        return kind
    if origin is not None:
        if origin in (collections.abc.Iterable, collections.abc.Collection):
            origin = collections.abc.Sequence
        if isinstance(origin, type) and issubclass(origin, (collections.abc.Sequence, collections.abc.Set, Mapping)):
            with contextlib.suppress(TypeError):
                return typing.cast(Any, origin)[tuple(part if part is Ellipsis else _strict(part) for part in inner)]
        return Any
    if _is_protocol(kind):  # what it asks for may be there only once the data is
        return _PART
    return typing.cast(Any, InstanceOf)[kind] if isinstance(kind, type) else Any


def _usable(value: Any) -> Any:
    if isinstance(value, float) and _LARGEST < abs(value) < math.inf:
        raise ValueError("too large")
    return value


def _part(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float, list, dict)):
        raise ValueError("no object")
    return value


_PART = Annotated[Any, AfterValidator(_part)]
