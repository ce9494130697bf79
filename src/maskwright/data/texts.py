"""Documents as tables on disk, read and written in portions, so that memory does not grow with the corpus.

Shapes: D documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from maskwright.data.flat import release

if TYPE_CHECKING:
    from datasets import Dataset, Features

_TOGETHER = 1 << 22  # bytes of text that are handled at once
_MOST = 10_000  # documents that are handled at once
_HOLD = 1 << 25  # bytes of text after which pages that were read are given back


def runs(size_D: np.ndarray, together: int = _TOGETHER, most: int = _MOST) -> Iterator[tuple[int, int]]:
    """Consecutive documents, first and one behind the last, that have up to `together` bytes or are one alone."""
    end_D = np.cumsum(size_D, dtype=np.int64)
    first = 0
    while first < len(end_D):
        before = int(end_D[first - 1]) if first else 0
        last = int(np.searchsorted(end_D, before + together, side="right"))
        last = min(max(last, first + 1), first + most)
        yield first, last
        first = last


def portions(documents: Dataset, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Consecutive documents as tables of some megabytes, each with the number of its first document.

    columns: those to read; None: all.
    """
    files = [file["filename"] for file in documents.cache_files]
    arrow = (documents if columns is None else documents.select_columns(list(columns))).with_format("arrow")
    first, size, held = 0, 16, 0
    while first < len(arrow):
        table = arrow[first : first + size]
        yield first, table
        first += len(table)
        own = max(1, pc.sum(pc.binary_length(table["text"])).as_py() or 0) if "text" in table.column_names else len(table)
        size = int(min(_MOST, max(1, _TOGETHER * len(table) / own)))
        held += own
        if held > _HOLD:
            release(files)
            held = 0
    release(files)


class Writing:
    """A file of documents in Arrow's stream format, which `Dataset.from_file` and `Texts` read. features: the types of
    its columns."""

    def __init__(self, path: Path, features: Features) -> None:
        self.schema = features.arrow_schema
        self.documents = self.bytes = 0
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._file, self.schema)

    def table(self, table: pa.Table) -> None:
        """Append documents as they are."""
        if len(table):
            self._write(table.select(self.schema.names).cast(self.schema).combine_chunks())

    def columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append documents, one list of values a column."""
        if columns["text"]:
            self._write(pa.table({name: columns[name] for name in self.schema.names}, schema=self.schema))

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table)
        self.documents += len(table)
        self.bytes += pc.sum(pc.binary_length(table["text"])).as_py()

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.close()
        self._file.close()


class Texts:
    """The documents of a file that `Writing` wrote, memory-mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map = pa.memory_map(str(path))
        reader = pa.ipc.open_stream(self._map)
        self.names: list[str] = reader.schema.names
        batches = list(reader)
        self._batches = [batch for batch in batches if batch.num_rows]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: int) -> dict[str, Any]:
        """All columns of one document."""
        batch, place = self._place(number)
        return batch.slice(place, 1).to_pylist()[0]

    def bytes_D(self) -> np.ndarray:
        """The UTF-8 bytes of each text, int64 [D]."""
        sizes = [pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False) for batch in self._batches]
        return np.concatenate([*sizes, np.zeros(0, np.int64)]).astype(np.int64)

    def column(self, name: str, first: int, last: int) -> list[Any]:
        """The values of documents first..last - 1."""
        return list(chain.from_iterable(part.to_pylist() for part in self._parts(name, first, last)))

    def utf8(self, number: int) -> memoryview:
        """The bytes of one text, without a copy."""
        batch, place = self._place(number)
        return memoryview(batch.column("text")[place].as_buffer())

    def release(self) -> None:
        """Give back the memory of what was read."""
        release([self.path])

    def _place(self, number: int) -> tuple[pa.RecordBatch, int]:
        which = int(np.searchsorted(self._ends, number, side="right"))
        return self._batches[which], number - (int(self._ends[which - 1]) if which else 0)

    def _parts(self, name: str, first: int, last: int) -> Iterator[pa.Array]:
        while first < last:
            batch, place = self._place(first)
            part = batch.column(name).slice(place, last - first)
            yield part
            first += len(part)
