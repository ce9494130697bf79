"""Items to evaluate on: rows of local files (jsonl, json, csv, tsv, parquet, CoNLL) or of a hub dataset.

Every value of a csv, tsv or CoNLL file is text; nothing is guessed to be a number or to be missing.
"""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from maskwright.errors import RecipeError

Row = dict[str, Any]

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
FORMATS = ("auto", "jsonl", "json", "csv", "tsv", "parquet", "conll")
_BY_ENDING = {
    "jsonl": "jsonl", "json": "json", "csv": "csv", "tsv": "tsv", "txt": "tsv", "parquet": "parquet",
    "conll": "conll", "conllu": "conll", "iob": "conll", "iob2": "conll", "bio": "conll",
}  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


class Source:
    """Rows as dictionaries.

    files: a path, a glob or a list of them; or path, name and split: a dataset as `datasets.load_dataset` takes it.
    columns: names of the columns of files without a header line (None: the first line names them; a CoNLL file has the
    ten columns of CoNLL-U, or `form` first and `tag` last). separator: between columns (None: a comma, in tsv a tab,
    in CoNLL tabs or else spaces). format: see FORMATS; auto goes by the file's ending.
    """

    def __init__(
        self,
        files: str | Iterable[str] | None = None,
        path: str | None = None,
        name: str | None = None,
        split: str = "train",
        columns: Iterable[str] | None = None,
        separator: str | None = None,
        format: str = "auto",
        key: str = "evaluation.source.files",
    ) -> None:
        if bool(files) == bool(path):
            fault = "both a file and a hub dataset are named" if files else "no data is named"
            hub = key.rsplit(".", 1)[0] + ".path"
            raise RecipeError(f"{key}: {fault}; set either {key} (a file or a glob) or {hub} (a hub dataset).")
        if format not in FORMATS:
            raise RecipeError(f"{key.rsplit('.', 1)[0]}.format is {format!r}; choose one of {', '.join(FORMATS)}.")
        self.patterns = [] if not files else [files] if isinstance(files, str) else [str(file) for file in files]
        self.path, self.name, self.split = path, name, split
        self.columns = list(columns) if columns is not None else None
        self.separator, self.format, self.key = separator, format, key

    def __str__(self) -> str:
        hub = " ".join(part for part in (self.path, self.name, self.split) if part)
        return hub if self.path else ", ".join(self.patterns)

    def check(self) -> None:
        """Raises RecipeError when a file is missing; reads nothing."""
        self._files()

    def rows(self, *needed: str) -> list[Row]:
        """All rows. Raises RecipeError when there are none, when they cannot be read or one lacks a needed column."""
        parts = [(str(self), self._hub())] if self.path else [(str(f), list(self._read(f))) for f in self._files()]
        for place, rows in parts:
            for number, row in enumerate(rows, 1):
                self._check(row, number, place, needed)
        if not any(rows for _, rows in parts):
            raise RecipeError(f"{self.key}: {self} holds no rows; give data.")
        return [row for _, rows in parts for row in rows]

    def _check(self, row: Any, number: int, place: str, needed: Iterable[str]) -> None:
        if not isinstance(row, dict):
            raise RecipeError(f"{self.key}: row {number} of {place} is {row!r}, no object with columns; mend it.")
        missing = next((column for column in needed if column not in row), None)
        if missing is None:
            return
        there = ", ".join(str(name) for name in row)
        if number > 1:
            raise RecipeError(f"{self.key}: row {number} of {place} has no column {missing!r} but {there}; mend it.")
        raise RecipeError(
            f"{self.key}: {place} has no column {missing!r} but {there}; name the right one, or name the columns "
            "of a file without a header line (columns)."
        )

    def _files(self) -> list[Path]:
        found: dict[Path, None] = {}
        for pattern in self.patterns:
            matches = [Path(match) for match in glob.glob(os.path.expanduser(pattern), recursive=True)]
            matches = sorted(match for match in matches if match.is_file())
            if not matches:
                raise RecipeError(f"{self.key}: no file matches {pattern!r} from {os.getcwd()}; mend the pattern.")
            found.update(dict.fromkeys(matches))
        return list(found)

    def _hub(self) -> list[Row]:
        import datasets

        try:
            return list(datasets.load_dataset(str(self.path), self.name, split=self.split))
        except Exception as error:  # network, missing names, unreadable files: each library raises its own
            offline = " (offline: HF_HUB_OFFLINE is set)" if datasets.config.HF_HUB_OFFLINE else ""
            raise RecipeError(
                f"{self.key.rsplit('.', 1)[0]}.path={self.path}: the dataset cannot be loaded{offline}; check path, "
                f"name and split. datasets says: {_first_line(error)}"
            ) from error

    def _read(self, file: Path) -> Iterator[Row]:
        bare = uncompressed(file)
        kind = self.format if self.format != "auto" else _BY_ENDING.get(bare.suffix.lower().lstrip("."), "")
        if not kind:
            raise RecipeError(
                f"{self.key}: the ending of {file.name} says no format; set {self.key.rsplit('.', 1)[0]}.format to one "
                f"of {', '.join(FORMATS[1:])}."
            )
        try:
            if kind == "parquet":
                import pyarrow.parquet

                yield from pyarrow.parquet.read_table(file).to_pylist()
                return
            import fsspec

            with fsspec.open(str(file), "rt", encoding="utf-8-sig", compression="infer", newline="") as lines:
                reader: dict[str, Callable[[Iterable[str], Path], Iterator[Row]]] = {
                    "jsonl": lambda lines, file: json_lines(lines), "json": _json,
                    "csv": self._table, "tsv": self._table, "conll": self._conll,
                }  # fmt: skip
                yield from reader[kind](lines, file)
        except UnicodeDecodeError as error:
            raise RecipeError(f"{self.key}: {file} is not UTF-8 text; convert it or leave it out.") from error
        except (OSError, EOFError, ValueError, csv.Error) as error:
            if isinstance(error, RecipeError):
                raise
            raise RecipeError(
                f"{self.key}: {file} cannot be read as {kind} ({_first_line(error)}); mend it."
            ) from error

    def _table(self, lines: Iterable[str], file: Path) -> Iterator[Row]:
        """Comma-separated values are quoted as usual; in tab-separated ones a quotation mark is text."""
        kind = self.format if self.format != "auto" else "csv" if ".csv" in file.suffixes else "tsv"
        separator = self.separator or ("," if kind == "csv" else "\t")
        quoting: Any = csv.QUOTE_MINIMAL if kind == "csv" else csv.QUOTE_NONE
        csv.field_size_limit(1 << 30)
        reader = csv.reader(lines, delimiter=separator, quoting=quoting)
        names = self.columns
        for cells in reader:
            if not cells:
                continue
            if names is None:
                names = cells
                continue
            if len(cells) != len(names):
                raise RecipeError(
                    f"{self.key}: line {reader.line_num} of {file} has {len(cells)} columns and not {len(names)} "
                    f"({', '.join(names)}); mend it, or set separator and columns."
                )
            yield dict(zip(names, cells, strict=True))

    def _conll(self, lines: Iterable[str], file: Path) -> Iterator[Row]:
        """One row per sentence, each column a list; ranges (1-2) and empty nodes (1.1) of CoNLL-U are left out."""
        universal = ".conllu" in file.suffixes
        names = self.columns or (list(UNIVERSAL) if universal else None)
        width = len(names) if names is not None else 0
        sentence: list[list[str]] = []
        for number, line in enumerate([*lines, ""], 1):
            line = line.rstrip("\r\n")
            if line.startswith("# global.columns =") and self.columns is None:  # CoNLL-U Plus
                names, universal = line.split("=", 1)[1].lower().split(), True
            cells = line.split(self.separator or ("\t" if "\t" in line else None))
            # in CoNLL-U a line that begins with # is a comment; elsewhere it may be a token
            if (line.startswith("#") and (universal or len(cells) != width)) or line.startswith("-DOCSTART-"):
                continue
            if line.strip():
                width = len(cells)
                if names is not None and len(cells) != len(names):
                    raise RecipeError(
                        f"{self.key}: line {number} of {file} has {len(cells)} columns and not {len(names)}; mend it, "
                        "or set separator and columns."
                    )
                if not (universal and ("-" in cells[0] or "." in cells[0])):
                    sentence.append(cells)
            elif sentence:
                yield _sentence(sentence, names)
                sentence = []


def _sentence(tokens: list[list[str]], names: list[str] | None) -> Row:
    if names is None:
        return {"form": [cells[0] for cells in tokens], "tag": [cells[-1] for cells in tokens]}
    return {name: [cells[number] for cells in tokens] for number, name in enumerate(names)}


def uncompressed(file: Path) -> Path:
    """The name without the ending of its compression."""
    return file.with_suffix("") if file.suffix.lower() in COMPRESSED else file


def json_lines(lines: Iterable[str]) -> Iterator[Row]:
    """One object a line; blank lines are left out. Raises ValueError that names the line."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no object")
            yield row


def _json(lines: Iterable[str], file: Path) -> Iterator[Row]:
    """A list of rows, a `data` list of rows, or SQuAD's nesting of paragraphs and questions."""
    content = json.loads("".join(lines))
    if isinstance(content, dict):
        content = content.get("data", [content])
    if not isinstance(content, list):
        raise ValueError("it holds no list of rows")
    for number, row in enumerate(content, 1):
        if isinstance(row, dict) and "paragraphs" in row:
            try:
                asked = [{**q, "context": part["context"]} for part in row["paragraphs"] for q in part["qas"]]
            except (KeyError, TypeError) as error:
                raise ValueError(f"entry {number} lacks SQuAD's context or qas") from error
            yield from asked
        else:
            yield row


def optional(
    files: str | Iterable[str] | None = None,
    path: str | None = None,
    name: str | None = None,
    split: str = "train",
    columns: Iterable[str] | None = None,
    separator: str | None = None,
    format: str = "auto",
) -> Source | None:
    """A source; None where neither files nor a dataset is named."""
    return Source(files, path, name, split, columns, separator, format) if files or path else None


class Splits:
    """Rows to learn from (train), to choose by (dev) and to report on (test); see `Source` for the other settings.

    train, dev, test: files, or names of a hub dataset's splits where path is set. Without dev a share of train is kept
    for it; without test the figures of dev are reported, and say so.
    """

    def __init__(
        self,
        train: str | Iterable[str] | None = None,
        dev: str | Iterable[str] | None = None,
        test: str | Iterable[str] | None = None,
        path: str | None = None,
        name: str | None = None,
        columns: Iterable[str] | None = None,
        separator: str | None = None,
        format: str = "auto",
    ) -> None:
        if not train:
            raise RecipeError("evaluation.data.train is not set; name a file, or a split with evaluation.data.path.")
        self.parts: dict[str, Source] = {}
        for part, named in (("train", train), ("dev", dev), ("test", test)):
            if not named:
                continue
            where: dict[str, Any] = {"path": path, "name": name, "split": named} if path else {"files": named}
            self.parts[part] = Source(
                **where, columns=columns, separator=separator, format=format, key=f"evaluation.data.{part}"
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
