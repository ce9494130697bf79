"""Items to evaluate on: rows of local files (jsonl, json, csv, tsv, parquet, CoNLL) or of a hub dataset.

Files are read as training reads them (`maskwright.data.reading`); but .txt is tsv, and CoNLL gives rows too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from maskwright.data.hub import load
from maskwright.data.reading import MISSING, Column, How, NotText, Row, Table, found, kind_of, shown
from maskwright.errors import RecipeError

Format = Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "conll"]


class Source:
    """Rows as dictionaries.

    files: a path, a folder, a pattern or a list of them; or path, name and split: a dataset as `datasets.load_dataset`
    takes it. columns: names of the columns of files without a header line (None: the first line names them; a CoNLL
    file has the ten columns of CoNLL-U, or `form` first and `tag` last). separator: between columns (None: a comma, in
    tsv a tab, in CoNLL tabs or else spaces). format: what the files are; auto goes by their endings.
    """

    def __init__(
        self,
        files: str | Sequence[str] | None = None,
        path: str | None = None,
        name: str | None = None,
        split: str = "train",
        columns: Sequence[str] | None = None,
        separator: str | None = None,
        format: Format = "auto",
        encoding: str = "utf-8",
        key: str = "evaluation.source.files",
    ) -> None:
        if bool(files) == bool(path):
            fault = "both a file and a hub dataset are named" if files else "no data is named"
            hub = key.rsplit(".", 1)[0] + ".path"
            raise RecipeError(f"{key}: {fault}; set either {key} (a file or a glob) or {hub} (a hub dataset).")
        self.patterns = [] if not files else [files] if isinstance(files, str) else [str(file) for file in files]
        self.path, self.name, self.split, self.key = path, name, split, key
        named = tuple(columns) if columns is not None else None
        self.how = How(key, format, encoding, named, separator, plain="tsv")

    def __str__(self) -> str:
        hub = " ".join(part for part in (self.path, self.name, self.split) if part)
        return hub if self.path else ", ".join(self.patterns)

    def check(self) -> None:
        """Raises RecipeError when a file is missing; reads nothing."""
        self._files()

    def rows(self, *needed: str) -> list[Row]:
        """All rows. needed: columns that each of them must have; a field of a nested object (`outer.inner`) or a
        template of columns is put into the row under that name.

        Raises RecipeError when there are none, when they cannot be read or one lacks a needed column.
        """
        parts = [(str(self), self._hub())] if self.path else [(shown(f), self._read(f)) for f in self._files()]
        columns = [Column(name, self.key) for name in needed]
        for place, rows in parts:
            for number, row in enumerate(rows, 1):
                self._check(row, number, place, columns)
        if not any(rows for _, rows in parts):
            raise RecipeError(f"{self.key}: {self} holds no rows; give data.")
        return [row for _, rows in parts for row in rows]

    def _check(self, row: Any, number: int, place: str, needed: Sequence[Column]) -> None:
        if not isinstance(row, dict):
            raise RecipeError(f"{self.key}: row {number} of {place} is {row!r}, no object with columns; mend it.")
        for column in needed:
            if column.spec in row:
                continue
            try:
                value = column.value(row)
            except NotText as error:
                raise RecipeError(f"{self.key}: {error} in row {number} of {place}; mend it.") from None
            if value is MISSING:
                raise self._missing(row, number, place, column.spec)
            row[column.spec] = value

    def _missing(self, row: Row, number: int, place: str, missing: str) -> RecipeError:
        there = ", ".join(str(name) for name in row)
        if number > 1:
            return RecipeError(f"{self.key}: row {number} of {place} has no column {missing!r} but {there}; mend it.")
        return RecipeError(
            f"{self.key}: {place} has no column {missing!r} but {there}; name the right one, or name the columns "
            "of a file without a header line (columns)."
        )

    def _files(self) -> list[Path]:
        return found(self.patterns, self.how, lambda path: bool(kind_of(path, self.how))).paths

    def _hub(self) -> list[Row]:
        option = f"{self.key.rsplit('.', 1)[0]}.path"
        return list(load(str(self.path), self.name, self.split, option=option)[0])  # type: ignore[arg-type]

    def _read(self, file: Path) -> list[Row]:
        kind = kind_of(file, self.how)
        if not kind:
            raise RecipeError(
                f"{self.key}: the ending of {shown(file)} says no format; set {self.key.rsplit('.', 1)[0]}.format to "
                f"one of {', '.join(self.how.formats[1:])}."
            )
        return [row for _, row in Table(file, kind, self.how)]


def optional(
    files: str | Sequence[str] | None = None,
    path: str | None = None,
    name: str | None = None,
    split: str = "train",
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    format: Format = "auto",
    encoding: str = "utf-8",
) -> Source | None:
    """A source; None where neither files nor a dataset is named."""
    return Source(files, path, name, split, columns, separator, format, encoding) if files or path else None


class Splits:
    """Rows to learn from (train), to choose by (dev) and to report on (test); see `Source` for the other settings.

    train, dev, test: files, or names of a hub dataset's splits where path is set. Without dev a share of train is kept
    for it; without test the figures of dev are reported, and say so.
    """

    def __init__(
        self,
        train: str | Sequence[str] | None = None,
        dev: str | Sequence[str] | None = None,
        test: str | Sequence[str] | None = None,
        path: str | None = None,
        name: str | None = None,
        columns: Sequence[str] | None = None,
        separator: str | None = None,
        format: Format = "auto",
        encoding: str = "utf-8",
    ) -> None:
        if not train:
            raise RecipeError("evaluation.data.train is not set; name a file, or a split with evaluation.data.path.")
        self.parts: dict[str, Source] = {}
        for part, named in (("train", train), ("dev", dev), ("test", test)):
            if not named:
                continue
            where: dict[str, Any] = {"path": path, "name": name, "split": named} if path else {"files": named}
            self.parts[part] = Source(
                **where,
                columns=columns,
                separator=separator,
                format=format,
                encoding=encoding,
                key=f"evaluation.data.{part}",
            )

    def check(self) -> None:
        """Raises RecipeError when a file is missing; reads nothing."""
        for source in self.parts.values():
            source.check()

    def rows(self, part: str, *needed: str) -> list[Row] | None:
        """The rows of train, dev or test; None where it was not named."""
        return self.parts[part].rows(*needed) if part in self.parts else None


def text_of(row: Row, column: str, key: str) -> str:
    """A text; anything else in its place is refused."""
    value = row[column]
    if not isinstance(value, str):
        raise RecipeError(f"{key} names the column {column!r}, which holds {value!r}, not text; name a text column.")
    return value
