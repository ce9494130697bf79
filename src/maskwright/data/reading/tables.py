"""Rows of csv, tsv, jsonl, json and parquet files, one after the other, in bounded memory.

Every cell of csv and tsv is text: nothing is guessed to be a number or to be missing. csv is quoted by RFC 4180; in tsv
a quotation mark is text.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from maskwright.data.reading.column import MISSING, find, lacks, listed, paths, unknown_column
from maskwright.data.reading.conll import sentences
from maskwright.data.reading.formats import How, checked, decoded, refusals, shown
from maskwright.errors import RecipeError

Row = dict[str, Any]

_LONGEST_CELL = (1 << 31) - 1
_CHUNK = 1 << 20
_NAMES = 1000  # rows from which the names of columns are gathered


class Table:
    """The rows of one file.

    wanted: names of columns, or of fields within them, by how the recipe calls what names them; nothing else is read
    where the format allows that, and RecipeError is raised when the file has no such column at all. None: everything.
    """

    def __init__(self, path: Path, kind: str, how: How, wanted: Sequence[tuple[str, str]] | None = None) -> None:
        self.path, self.kind, self.how = path, kind, how
        self.wanted = None if wanted is None else list(wanted)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """Rows with the number of their line (csv, tsv, jsonl) or their own number from 1; see `place`."""
        with refusals(self.path, self.kind, self.how):
            if self.kind == "parquet":
                yield from self._parquet()
                return
            with decoded(self.path, self.how) as file:
                if self.kind in ("csv", "tsv"):
                    yield from self._cells(file)
                elif self.kind == "conll":
                    yield from enumerate(sentences(file, self.path, self.how), 1)
                else:
                    yield from self._objects(file)

    def place(self, number: int) -> str:
        """As in `line 3 of words.csv`."""
        unit = "line" if self.kind in ("csv", "tsv", "jsonl") else "row"
        return f"{unit} {number:,} of {shown(self.path)}"

    def _check(self, skeleton: Row) -> None:
        """Raises RecipeError for a wanted column that is not among those of all rows."""
        for option, name in self.wanted or ():
            if find(skeleton, name) is MISSING:
                raise unknown_column(option, name, paths(skeleton), shown(self.path))

    def _cells(self, file: IO[str]) -> Iterator[tuple[int, Row]]:
        csv.field_size_limit(_LONGEST_CELL)
        separator = self.how.separator or ("," if self.kind == "csv" else "\t")
        quoting: Any = csv.QUOTE_MINIMAL if self.kind == "csv" else csv.QUOTE_NONE
        whole = (checked(line, self.path, self.how) for line in file)
        reader = csv.reader(whole, delimiter=separator, quoting=quoting, strict=self.kind == "csv")
        names = list(self.how.columns) if self.how.columns is not None else None
        if names is not None:
            self._check(dict.fromkeys(names))
        last = 0
        try:
            for cells in reader:
                first, last = last + 1, reader.line_num
                if not cells:
                    continue
                if names is None:
                    names = cells
                    self._check(dict.fromkeys(names))
                    twice = [name for _, name in self.wanted or () if names.count(name) > 1]
                    if twice:
                        raise ValueError(f"two columns are named {twice[0]!r}")
                    continue
                if len(cells) != len(names):
                    raise RecipeError(
                        f"{self.how.setting}: line {first:,} of {shown(self.path)} has {len(cells)} columns and not "
                        f"{len(names)} ({listed(names)}); mend it{self._cure()}."
                    )
                yield first, dict(zip(names, cells))
        except csv.Error as error:
            fault = "a quotation mark is not closed" if "end of data" in str(error) else str(error)
            raise ValueError(
                f"line {last + 1:,}: {fault}; in csv a cell with a quotation mark stands in quotation marks, and the "
                "mark is doubled"
            ) from error

    def _cure(self) -> str:
        return ", or set separator and columns" if self.how.plain == "tsv" else ""

    def _objects(self, file: IO[str]) -> Iterator[tuple[int, Row]]:
        seen: Row = {}
        missing = {name: option for option, name in self.wanted or ()}
        lacking: set[str] = set()
        rows: Iterable[tuple[int, Any]] = _json_lines(file) if self.kind == "jsonl" else _json(file)
        for count, (number, row) in enumerate(rows):
            if not isinstance(row, dict):
                raise RecipeError(
                    f"{self.how.setting}: {self.place(number)} is {_short(row)}, no object with columns; mend it."
                )
            if missing:
                lack = {name: lacks(row, name) for name in missing}
                lacking |= {name for name, lacked in lack.items() if lacked}
                missing = {name: option for name, option in missing.items() if lack[name] is not False}
                if count < _NAMES:
                    seen.update((name, value) for name, value in row.items() if value is not None or name not in seen)
            yield number, row
        for name in lacking & missing.keys():
            raise unknown_column(missing[name], name, paths(seen), shown(self.path))

    def _parquet(self) -> Iterator[tuple[int, Row]]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path, buffer_size=_CHUNK, pre_buffer=False) as file:
                self._check({column.name: _skeleton(column.type) for column in file.schema_arrow})
                columns = None if self.wanted is None else list(dict.fromkeys(name for _, name in self.wanted))
                number = 0
                for batch in file.iter_batches(batch_size=256, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, row
        except pa.ArrowException as error:
            raise ValueError(str(error).splitlines()[0]) from error


def json_lines(lines: Iterable[str]) -> Iterator[Row]:
    """One object a line; blank lines are left out. Raises ValueError that names the line."""
    return (row for _, row in _json_lines(lines))


def _json_lines(lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no object")
            yield number, row


def _json(file: IO[str]) -> Iterator[tuple[int, Any]]:
    """A list of rows, a `data` list of rows, SQuAD's nesting of paragraphs and questions, or one object after another."""
    found = _values(file)
    inside, first = next(found, (True, None))
    if first is None:
        return
    second = next(found, None)
    if inside or second is not None:
        rows: Iterable[Any] = _chained(first, second, found)
    elif isinstance(first, dict):
        rows = first.get("data", [first])
        if not isinstance(rows, list):
            raise ValueError("it holds no list of rows")
    else:
        raise ValueError("it holds no list of rows")
    number = 0
    for entry, row in enumerate(rows, 1):
        if isinstance(row, dict) and "paragraphs" in row:
            try:
                asked = [{**q, "context": part["context"]} for part in row["paragraphs"] for q in part["qas"]]
            except (KeyError, TypeError) as error:
                raise ValueError(f"entry {entry} lacks SQuAD's context or qas") from error
        else:
            asked = [row]
        for each in asked:
            number += 1
            yield number, each


def _chained(first: Any, second: tuple[bool, Any] | None, rest: Iterator[tuple[bool, Any]]) -> Iterator[Any]:
    yield first
    if second is not None:
        yield second[1]
    yield from (value for _, value in rest)


def _values(file: IO[str]) -> Iterator[tuple[bool, Any]]:
    """The values of a JSON list, or those that stand one after the other, and whether it is a list. Memory: a value."""
    decoder = json.JSONDecoder()
    text, at, line, size, ended = "", 0, 1, _CHUNK, False

    def space() -> bool:
        """Pass white space; whether anything is left."""
        nonlocal text, at, line, ended
        while True:
            while at < len(text) and text[at] in " \t\r\n":
                at += 1
            if at < len(text) or ended:
                return at < len(text)
            line += text.count("\n")
            text, at = file.read(_CHUNK), 0
            ended = not text

    def fault(message: str) -> ValueError:
        return ValueError(f"line {line + text.count(chr(10), 0, at):,}: {message}")

    if not space():
        return
    listed = text[at] == "["
    at += listed
    first = True
    while space():
        if listed and text[at] == "]":
            at += 1
            if space():
                raise fault("something stands behind the list")
            return
        if listed and not first:
            if text[at] != ",":
                raise fault("a comma is missing between two rows")
            at += 1
            if not space():
                break
        while True:
            try:
                value, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if ended:
                    at = error.pos
                    raise fault(error.msg) from error
            else:
                if end < len(text) or ended:
                    break
            line += text.count("\n", 0, at)
            size = max(_CHUNK, len(text) - at)  # doubled, so that a long value is not parsed again and again
            more = file.read(size)
            text, at, ended = text[at:] + more, 0, not more
        at, first = end, False
        yield listed, value
    if listed:
        raise fault("the list is not closed")


def _skeleton(kind: Any) -> Any:
    """The names within a column of objects."""
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return ""
    return {inner.name: _skeleton(inner.type) for inner in (kind.field(number) for number in range(kind.num_fields))}


def _short(value: Any) -> str:
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."
