"""A text out of a row: a column, a nested field (`doc.text`), or columns put together by a template (`{title}\\n{body}`)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maskwright.errors import RecipeError

MISSING: Any = object()  # a row has no such column; None: it has, and there is nothing in it

_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\", "{{": "{", "}}": "}"}


class NotText(ValueError):
    """A value stands where a text should be."""

    def __init__(self, column: str, value: Any) -> None:
        written = repr(value)
        self.column, self.value = column, written if len(written) <= 60 else f"{written[:57]}..."
        super().__init__(f"{column!r} holds {self.value}, not text")


class Column:
    """The text that `spec` names in a row.

    spec: the name of a column; `outer.inner` for a field of nested objects, where no column has that very name; or a
    template with names in braces, in which \\n and \\t are a line break and a tab and doubled braces are braces. A part
    of a template that is null, empty or missing leaves together with the text before it; the first one, with the text
    after it. setting: how the recipe names the spec.
    """

    def __init__(self, spec: str, setting: str = "data.text_column") -> None:
        if not spec:
            raise RecipeError(f"{setting} is empty; name the column that holds the text.")
        self.spec, self.setting = spec, setting
        self.names: list[str] = []
        self._between = [""]
        at = 0
        for part in _PART.finditer(spec):
            self._between[-1] += spec[at : part.start()]
            at = part.end()
            if part[1] is None:
                self._between[-1] += part[0]
            else:
                self.names.append(part[1])
                self._between.append("")
        self._between[-1] += spec[at:]
        self._between = [_unescaped(text) for text in self._between]
        self.template = bool(self.names)
        self.names = self.names or [spec]

    @property
    def wanted(self) -> list[tuple[str, str]]:
        """What the spec asks for: how the recipe calls it, and the names of columns."""
        return [(f"{self.setting} {'names' if self.template else 'is'}", name) for name in self.names]

    def value(self, row: Mapping[str, Any]) -> Any:
        """Whatever the name stands for in a row, a text or not; MISSING where there is no such column."""
        return self.text(row) if self.template else find(row, self.spec)

    def text(self, row: Mapping[str, Any]) -> Any:
        """The text; None where it is null, MISSING where the row has no such column. Raises NotText."""
        if not self.template:
            return _plain(find(row, self.spec), self.spec)
        values = [find(row, name) for name in self.names]
        parts = [_written(value, name) for value, name in zip(values, self.names)]
        there = [number for number, part in enumerate(parts) if part]
        if not there:
            return MISSING if all(value is MISSING for value in values) else None
        text = self._between[0] + parts[there[0]]
        for number in there[1:]:
            text += self._between[number] + parts[number]
        return text + self._between[-1]


def lacks(row: Mapping[str, Any], name: str) -> bool | None:
    """Whether a row has no such column; None where that cannot be seen, since the object around it is null."""
    if name in row:
        return False
    value = find(row, name)
    if value is MISSING:
        return True
    parents = (name[:at] for at, sign in enumerate(name) if sign == ".")
    return None if value is None and any(find(row, parent) is None for parent in parents) else False


def find(row: Mapping[str, Any], name: str) -> Any:
    """A value by its column's name, or else by a path with dots; None where something on the way is null."""
    if name in row:
        return row[name]
    at = name.find(".")
    while at >= 0:
        inner = row.get(name[:at], MISSING)
        if inner is None:
            return None
        if isinstance(inner, Mapping):
            value = find(inner, name[at + 1 :])
            if value is not MISSING:
                return value
        at = name.find(".", at + 1)
    return MISSING


def paths(row: Mapping[str, Any], depth: int = 3) -> list[str]:
    """The names of a row's columns and of the fields within them."""
    names = []
    for name, value in row.items():
        names.append(str(name))
        if isinstance(value, Mapping) and depth > 1:
            names += [f"{name}.{inner}" for inner in paths(value, depth - 1)]
    return names


def unknown_column(option: str, name: str, there: Iterable[str], where: str) -> RecipeError:
    """One sentence: which columns there are, and the nearest name. option: as in `data.text_column is`."""
    there = list(dict.fromkeys(there))
    alike = [other for other in there if other.strip().casefold() == name.strip().casefold()]
    near = alike or difflib.get_close_matches(name, there, n=1)
    perhaps = f", perhaps {near[0]!r}" if near else ""
    return RecipeError(f"{option} {name!r}, but the columns of {where} are {listed(there)}; name one{perhaps}.")


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names, shortened."""
    short = [name if len(name) <= 30 else f"{name[:27]}..." for name in names[:most]]
    return ", ".join([*short, *(["..."] if len(names) > most else [])]) or "none"


def _unescaped(text: str) -> str:
    return re.sub(r"\\[nt\\]|\{\{|\}\}", lambda found: _ESCAPES[found[0]], text)


def _plain(value: Any, name: str) -> Any:
    if value is None or value is MISSING or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    raise NotText(name, value)


def _written(value: Any, name: str) -> str:
    """A part of a template: numbers are written out."""
    if value is None or value is MISSING:
        return ""
    return str(value) if isinstance(value, (int, float)) else _plain(value, name)
