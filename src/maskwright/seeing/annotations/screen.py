"""Artefacts and columns on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskwright.masking.columns import WORD
from maskwright.seeing.annotations.artefacts import Made
from maskwright.seeing.annotations.columns import CLASSES, SCORES, UNITS, Found

_CLASSES = 8  # on the screen


def print_all(
    sentence: str, summary: str, seconds: float, artefacts: Sequence[Made], columns: Sequence[Found], console: Console
) -> None:
    """What annotate.py prints."""
    console.print(sentence, style="bold", markup=False)
    console.print(f"{summary}; ready in {seconds:.1f} s", markup=False)
    if not columns:
        console.print("\nThis recipe reads no annotations; its texts and tokens are ready.")
    if artefacts:
        _print_artefacts(artefacts, console)
    if columns:
        _print_columns(columns, console)


def _print_artefacts(artefacts: Sequence[Made], console: Console) -> None:
    table = _table("artefact", "table", "rows", "size", "seconds", "from")
    for made in artefacts:
        for number, (name, rows) in enumerate(made.tables.items()):
            head = number == 0
            seconds = "" if made.seconds is None else f"{made.seconds:.1f}"
            table.add_row(
                Text(made.kind if head else "", "bold"), name, f"{rows:,}", size(made.bytes) if head else "",
                seconds if head else "", made.origin if head else "",
            )  # fmt: skip
    console.print("\nArtefacts", style="bold")
    console.print(table)
    for made in artefacts:
        console.print(f"\n{made.kind}", style="bold", markup=False)
        console.print(f"  {made.folder}", markup=False, soft_wrap=True)
        told = ", ".join(f"{key}={value}" for key, value in made.settings.items() if key != "version")
        console.print(Text(f"  {told}", "dim"))
        if made.use:
            console.print(f"  use it elsewhere: {made.use}={made.folder}", markup=False, soft_wrap=True)
        for name, first in made.examples.items():
            if first:
                console.print(Text(f"  the first rows of {name}:", "dim"))
                console.print(_examples(first))


def _examples(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("   ")
    for name, value in rows[0].items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        table.add_column(name, overflow="fold", justify="right" if number else "left")
    for row in rows:
        table.add_row("", *(Text(_value(value)) for value in row.values()))
    return table


def _print_columns(columns: Sequence[Found], console: Console) -> None:
    table = _table("column", "kind", "found", "share of tokens", "longest")
    for column in columns:
        table.add_row(
            Text(column.name, "bold"), column.kind, _found(column), f"{100 * column.share:.1f}%{_of(column)}",
            "" if column.longest is None else f"{column.longest} tokens",
        )  # fmt: skip
    console.print("\nColumns of the training rows", style="bold")
    console.print(table)
    for column in columns:
        if column.samples:
            console.print(Text.assemble((f"{column.name}: ", "bold"), " · ".join(column.samples)))


def _found(column: Found) -> str:
    if column.kind == SCORES:
        assert column.scores is not None
        return f"{column.scores['least']:.3g} to {column.scores['most']:.3g}, mean {column.scores['mean']:.3g}"
    if column.kind == CLASSES:
        listed = [f"{name} {count:,}" for name, count in list(column.classes.items())[:_CLASSES]]
        more = ", ..." if len(column.classes) > _CLASSES else ""
        return f"{column.number:,} classes: {', '.join(listed)}{more}"
    return f"{column.number:,} {column.kind}"


def _of(column: Found) -> str:
    if column.kind == UNITS:
        return " in words of several tokens" if column.name == WORD else " in units of several words"
    return ""


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, justify="right" if title in ("rows", "size", "seconds") else "left")
    return table


def size(count: int) -> str:
    """Bytes in words."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(_value(each) for each in value)
    return str(value)
