"""What maskings read of the data: columns that are aligned with the tokens, named by the maskings that want them.

A column is a name (`word`, which the data has by default) or an annotator of `maskwright.annotation`, which is named
like its column. A bool column marks the first token of every unit, an integer column holds classes (0: none) whose
`names` the annotator lists, a float column holds scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from maskwright.errors import RecipeError

WORD = "word"  # the first token of every word, by the rule that `words=` chose


@runtime_checkable
class Column(Protocol):
    """An annotator, as far as masking cares."""

    name: str


@runtime_checkable
class Classes(Column, Protocol):
    """A column of classes: token value c stands for names[c]; names[0] is the class of everything else."""

    names: Sequence[str]


def named(column: str | Column) -> str:
    """The name under which the rows carry it."""
    return column if isinstance(column, str) else column.name


def class_number(column: Column, name: str, setting: str) -> int:
    """The value that stands for a class. Raises RecipeError that lists the classes when there is none of this name."""
    names = list(getattr(column, "names", ()))
    if name not in names:
        raise RecipeError(
            f"{setting} names {name!r}, which the column {named(column)} does not have; "
            f"its classes are {', '.join(each for each in names if each)}."
        )
    return names.index(name)
