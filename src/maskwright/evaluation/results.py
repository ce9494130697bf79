"""What an evaluation leaves: figures for programs, tables for people, facts for both."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Screen

from maskwright.tracking.writing import write_text


@dataclass
class Table:
    """Rows for people; numbers are shown in four digits."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass
class Result:
    """figures: name -> number, or None with its reason under `<name>/reason`. The first one is the suite's headline;
    names that begin with `by/` break it down. facts: what else a reader must know, such as what was skipped."""

    figures: dict[str, float | int | str | None]
    tables: list[Table] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it: what is not a number is null."""
        tables = [{"title": t.title, "columns": list(t.columns), "rows": [list(row) for row in t.rows]}
                  for t in self.tables]  # fmt: skip
        return _plain({"figures": self.figures, "facts": self.facts, "tables": tables})

    def numbers(self) -> dict[str, float]:
        """The figures that are finite numbers."""
        found = {name: value for name, value in self.figures.items() if isinstance(value, int | float)}
        return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def write(folder: Path, document: dict[str, Any]) -> Path:
    """results.json in `folder`, whole or not at all."""
    path = folder / "results.json"
    write_text(path, json.dumps(_plain(document), indent=1, ensure_ascii=False) + "\n")
    return path


def show(result: Result, console: Console) -> None:
    """The tables, then what was left out."""
    for table in result.tables:
        screen = Screen(title=table.title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
        numeric = [all(isinstance(row[i], int | float | None) for row in table.rows) for i in range(len(table.columns))]
        for name, number in zip(table.columns, numeric, strict=True):
            screen.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in table.rows:
            screen.add_row(*(escape(cell(value)) for value in row))
        console.print()
        console.print(screen)
    for name, value in result.figures.items():
        if name.endswith("/reason") and value:
            console.print(f"{name.removesuffix('/reason')}: {escape(str(value))}", soft_wrap=True)
    for note in result.facts.get("notes", []):
        console.print(f"note: {escape(note)}", soft_wrap=True)
    for name, value in result.facts.get("skipped", {}).items():
        console.print(f"skipped: {value:,} ({escape(name)})")


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}" if abs(value) >= 100 else f"{value:.4f}"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
