"""Sums by key over a corpus of any size: duckdb keeps them on disk and spills what does not fit into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np

_MEMORY = "1GB"  # that duckdb may take before it spills


class Tally:
    """Adds up columns of integers by key, portion by portion.

    key: `uint64` or `string`. numbers: names of the columns; the first one decides what is rare. The database lies in a
    temporary folder below `folder`, takes 1 GB of memory at most and is gone when the `with` block ends.
    """

    def __init__(
        self, folder: Path, key: str = "uint64", numbers: Sequence[str] = ("count",), threads: int = 1
    ) -> None:
        self.numbers = tuple(numbers)
        self._key = {"uint64": "ubigint", "string": "varchar"}[key]
        self._folder, self._threads = folder, threads

    def __enter__(self) -> Tally:
        import duckdb

        self._place = tempfile.TemporaryDirectory(prefix=".tally-", dir=self._folder)
        place = self._place.name
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": self._threads,
            "temp_directory": f"{place}/spilled",
        }
        self._database = duckdb.connect(f"{place}/tally.duckdb", config=config)
        columns = ", ".join(f'"{name}" bigint' for name in self.numbers)
        self._database.execute(f"create table portions (key {self._key}, {columns})")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.close()
        self._place.cleanup()

    def add(self, keys: np.ndarray | Sequence[Any], *numbers: np.ndarray | Sequence[int]) -> None:
        """Keys, each with one value for every number; a key may come again."""
        portion = pa.table([pa.array(keys), *(pa.array(values) for values in numbers)], ["key", *self.numbers])
        self._database.register("portion", portion)
        self._database.execute("insert into portions select * from portion")
        self._database.unregister("portion")

    def sums(self, least: int = 1) -> pa.Table:
        """Columns key and numbers, sorted by key: the keys whose first number adds up to `least` or more."""
        sums = ", ".join(f'sum("{name}")::bigint as "{name}"' for name in self.numbers)
        query = f'select key, {sums} from portions group by key having sum("{self.numbers[0]}") >= {int(least)}'
        return self._database.sql(f"{query} order by key").to_arrow_table()
