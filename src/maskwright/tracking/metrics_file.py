"""metrics.csv: one row per logged step, written as the run goes, exact after a kill and a resume."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricsFile:
    """An append-only CSV: `step` (int, optimizer steps done) first, then one column per metric in order of appearance.

    Every row is handed to the operating system at once, so a killed process loses at most the row it was writing; that
    half line is dropped when the file is opened again. Values written at the step of the last row join that row, so no
    step stands twice. Floats are written so that they read back exactly; None is an empty cell.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.columns: list[str] = ["step"]
        self._last: dict[str, str] = {}
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8")
            rows = self._read(text)
            if not text.endswith("\n"):
                self._rewrite(rows)

    @property
    def last_step(self) -> int | None:
        """The step of the last row, or None while there is none."""
        return int(self._last["step"]) if self._last else None

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Write `values` (name -> number, text, 0-dim tensor or None) at `step`.

        Raises:
            ValueError: `step` lies before the last row, or a value is called "step".
        """
        if "step" in values:
            raise ValueError("'step' is the row's own column; give the value another name.")
        last = self.last_step
        if last is not None and step < last:
            raise ValueError(f"step {step} comes before step {last}, already in {self.path.name}; rewind first.")
        cells = {name: _cell(value) for name, value in values.items()}
        new = [name for name in cells if name not in self.columns]
        if step == last or new or not self.path.exists():
            rows = self._read(self.path.read_text(encoding="utf-8")) if self.path.exists() else []
            self.columns += new
            if step == last:
                rows[-1].update(cells)
            else:
                rows.append({"step": str(step), **cells})
            self._rewrite(rows)
        else:
            self._last = {"step": str(step), **cells}
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._line(self._last))

    def rewind(self, step: int) -> None:
        """Drop the rows after `step` (-1 drops all) and a half-written last line, atomically."""
        if not self.path.exists():
            return
        rows = self._read(self.path.read_text(encoding="utf-8"))
        kept = [row for row in rows if int(row["step"]) <= step]
        if not kept:
            self.columns = ["step"]
        self._rewrite(kept)

    def rows(self) -> list[dict[str, str]]:
        """All rows as text, empty cells left out."""
        return self._read(self.path.read_text(encoding="utf-8")) if self.path.exists() else []

    def _read(self, text: str) -> list[dict[str, str]]:
        whole = text[: text.rfind("\n") + 1]
        lines = list(csv.reader(io.StringIO(whole)))
        if not lines:
            self.columns, self._last = ["step"], {}
            return []
        self.columns = lines[0]
        rows = [{k: v for k, v in zip(self.columns, line, strict=False) if v != ""} for line in lines[1:]]
        self._last = rows[-1] if rows else {}
        return rows

    def _line(self, row: Mapping[str, str]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow([row.get(name, "") for name in self.columns])
        return out.getvalue()

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + ".new")
        header = self._line({name: name for name in self.columns})
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.write(header + "".join(map(self._line, rows)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        self._last = rows[-1] if rows else {}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "item"):  # tensors and numpy scalars
        value = value.item()
    if isinstance(value, str):
        return " ".join(value.split())
    return repr(value)
