"""Tables that the user gives: csv, tsv, jsonl or parquet, with a header or keys that name the columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.data import reading
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = ("csv", "tsv", "jsonl", "parquet")
_NUMBERS = ("weight",)  # columns of csv and tsv whose cells are numbers; those of all others are text as it stands


class TableFile:
    """A file of rows with certain columns, read when it is first needed. setting: how the recipe names the file."""

    def __init__(self, file: str, columns: Sequence[str], setting: str) -> None:
        self.path, self.columns, self.setting = Path(file).expanduser(), tuple(columns), setting
        self._shown = f"{setting}={file}"
        if not self.path.is_file():
            raise RecipeError(f"{self._shown} is no file; name a csv, tsv, jsonl or parquet file.")
        if self._kind not in _KINDS:
            raise RecipeError(f"{self._shown} has an unknown ending; name a csv, tsv, jsonl or parquet file.")

    @property
    def _kind(self) -> str:
        return reading.kind_of(self.path, self._how)

    @property
    def _how(self) -> reading.How:
        return reading.How(self._shown)

    @cached_property
    def sha(self) -> str:
        """sha256 of the file."""
        return sha_of(str(self.path), self.setting)

    @cached_property
    def table(self) -> pa.Table:
        """The columns asked for. Raises RecipeError when the file cannot be read or lacks one."""
        import pyarrow as pa
        from pyarrow import csv, parquet

        try:
            if self._kind == "parquet":
                table = parquet.read_table(self.path)
            elif self._kind == "jsonl":
                table = self._objects()
            else:
                table = csv.read_csv(
                    self.path,
                    read_options=csv.ReadOptions(block_size=1 << 24),
                    parse_options=csv.ParseOptions(
                        delimiter="\t" if self._kind == "tsv" else ",", newlines_in_values=True
                    ),
                    convert_options=csv.ConvertOptions(
                        column_types={name: pa.string() for name in self.columns if name not in _NUMBERS}
                    ),
                )
        except (pa.ArrowException, OSError) as error:
            raise RecipeError(f"{self._shown} cannot be read: {str(error).splitlines()[0]}.") from None
        self._check(table.column_names)
        return table.select(list(self.columns))

    def _check(self, there: Sequence[str]) -> None:
        missing = [name for name in self.columns if name not in there]
        if missing:
            raise RecipeError(
                f"{self._shown} has no column {missing[0]!r}, and it has {', '.join(there)}; the first line of a csv, "
                "or the keys of a jsonl, must name it."
            )

    def _objects(self) -> pa.Table:
        """Only the columns asked for; others may differ from row to row."""
        import pyarrow as pa

        rows = [row for _, row in reading.Table(self.path, "jsonl", self._how)]
        self._check(list(dict.fromkeys(name for row in rows for name in row)))
        return pa.table({name: [row.get(name) for row in rows] for name in self.columns})


def sha_of(file: str, setting: str) -> str:
    """sha256 of a file. Raises RecipeError when it cannot be read."""
    found = hashlib.sha256()
    try:
        with Path(file).expanduser().open("rb") as opened:
            while part := opened.read(1 << 20):
                found.update(part)
    except OSError as error:
        raise RecipeError(f"{setting}={file} cannot be read ({error.strerror}); name another file.") from None
    return found.hexdigest()
