"""Local files as documents: text, jsonl, json, csv, tsv and parquet, in one corpus if need be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maskwright.data.corpus import CARRIED, Corpus, digest, known_columns, read_row
from maskwright.data.reading import (
    MISSING,
    Column,
    Found,
    How,
    Table,
    blocks,
    content,
    find,
    found,
    kind_of,
    lines,
    listed,
)
from maskwright.data.reading import looks_like_json, looks_like_text, names_of, shown, whole
from maskwright.data.stored import Notes, Read, stored
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_VERSION = 2


class TextFiles(Corpus):
    """Local files: text, jsonl (also ndjson, jl), json, parquet, csv, tsv, also compressed (gz, bz2, xz, zst, zip).

    files: a path, a folder, a pattern, or a list of them; kinds may be mixed. text_column: the column of tables that
    holds the text, a field within it, or a template (see `reading.Column`). document: what is one document of a text
    file: `file`, `line`, or `blank_line` (paragraphs); in a table each row is one. encoding: of all but parquet.
    format: what the files are; auto goes by their endings.
    """

    name = "text"

    def __init__(
        self,
        files: str | Sequence[str] | None = None,
        text_column: str = "text",
        document: Literal["file", "line", "blank_line"] = "file",
        encoding: str = "utf-8",
        format: Literal["auto", "text", "jsonl", "json", "csv", "tsv", "parquet"] = "auto",
        heldout: float = 0.05,
        columns: Sequence[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: Literal["exact", "near", "none"] = "exact",
    ) -> None:
        super().__init__(heldout, columns, group, balance, keep, duplicates)
        if not files:
            raise RecipeError("data.files is not set; name files or a glob, as in data.files='books/*.txt'.")
        if document not in ("file", "line", "blank_line"):
            raise RecipeError(f"data.document is {document!r}; choose file, line or blank_line.")
        self.patterns = [files] if isinstance(files, str) else [str(pattern) for pattern in files]
        self.text, self.document = Column(text_column), document
        self.how = How(format=format, encoding=encoding)

    def found(self) -> Found:
        """The files that match, each once, sorted."""
        matched = found(self.patterns, self.how, self._takes)
        matched.paths.sort()
        return matched

    def _takes(self, path: Path) -> bool:
        """Whether a file of a folder is read: by its ending or, where that is unknown, by its first bytes."""
        kind = kind_of(path, self.how)
        return kind not in ("", "conll") or (not kind and looks_like_text(path, self.how))

    def named_paths(self) -> list[tuple[str, Path]]:
        """The files with names that do not depend on where their folder lies."""
        paths = self.found().paths
        return list(zip(names_of(paths), paths, strict=True))

    def fingerprint(self, cache: Path) -> str:
        contents = [(name, content(path, self.how)) for name, path in self.named_paths()]
        return digest("text", _VERSION, contents, self.text.spec, self.document, self.how.format, self.how.codec)

    def documents(self, cache: Path) -> Dataset:
        key = digest(self.fingerprint(cache), self.columns)
        matched = self.found()
        table, notes = stored(self._rows, key, cache, self.columns)
        self.notes = [*matched.notes(), *notes]
        return table

    def _rows(self, notes: Notes) -> Iterator[Read]:
        rows = 0  # in all tables: their documents are numbered through
        named = self.named_paths()
        kinds = {path: self._kind(path) for _, path in named}
        some = empty = None
        self._name_unknown(list(kinds), notes)
        for name, path in named:
            if not path.stat().st_size:
                empty = empty or path
                notes.count("{n} empty file{s} left out")
            elif kinds[path] == "text":
                for read in self._texts(name, path, notes):
                    some = True
                    yield read
            else:
                count = 0
                for count, read in self._table(name, path, kinds[path], rows, notes):
                    if read is not None:
                        some = True
                        yield read
                if not count:
                    notes.count("{n} file{s} without rows left out")
                rows += count
        if not some and empty and len(named) == 1:
            raise RecipeError(f"data.files: {shown(empty)} is empty; give it text or leave it out.")
        if not some and not rows and "text" not in kinds.values():
            raise RecipeError("the data has no rows; give files that hold text.")

    def _kind(self, path: Path) -> str:
        kind = kind_of(path, self.how)
        if kind == "conll":
            raise RecipeError(
                f"data.files: {shown(path)} ends as files of words with tags do; use data=conll, or data.format=text."
            )
        if not kind and looks_like_json(path, self.how):
            raise RecipeError(
                f"data.files: {shown(path)} holds JSON and its ending is not known; let it end in .jsonl or .json, or "
                "set data.format=jsonl."
            )
        return kind or "text"

    def _name_unknown(self, paths: Sequence[Path], notes: Notes) -> None:
        unknown = Counter(path.suffix for path in paths if not kind_of(path, self.how))
        if unknown:
            files = f"{unknown.total():,} file" + "s" * (unknown.total() > 1)
            endings = listed([ending for ending, _ in unknown.most_common()])
            notes.sentences.append(f"{files} of unknown ending ({endings}) read as plain text; else set data.format")

    def _texts(self, name: str, path: Path, notes: Notes) -> Iterator[Read]:
        known_columns(self.columns, ["file"], f"{shown(path)}, a text file,")
        carried = (name,) * len(self.columns)
        if self.document == "file":
            text = whole(path, self.how)
            if text.strip():
                yield Read(text, name, carried)
            else:
                notes.count("{n} empty document{s} left out")
            return
        for number, text in enumerate((lines if self.document == "line" else blocks)(path, self.how)):
            if text.strip():
                yield Read(text, f"{name}:{number}", carried)
            else:
                notes.count("{n} empty line{s} left out")

    def _table(self, name: str, path: Path, kind: str, before: int, notes: Notes) -> Iterator[tuple[int, Read | None]]:
        """Each row's number in its file, and its document where it has one."""
        wanted = self.text.wanted + [(CARRIED, column) for column in self.columns if column != "file"]
        table = Table(path, kind, self.how, wanted)
        place = shown(path)
        for count, (number, row) in enumerate(table, 1):
            text = read_row(row, self.text, number, table.place, notes)
            if text is None:
                yield count, None
                continue
            values = [find(row, column) for column in self.columns]
            if any(value is MISSING for value in values):
                usual = {"file": name}
                values = [
                    usual.get(column) if value is MISSING else value for column, value in zip(self.columns, values)
                ]
            yield count, Read(text, f"row {before + count - 1}", tuple(values), place)
