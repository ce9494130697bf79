"""Datasets of the Hugging Face hub, and whatever else `datasets.load_dataset` takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maskwright.data.corpus import CARRIED, Corpus, cache_root, digest, read_row
from maskwright.data.reading import MISSING, Column, How, content, find, found, paths, unknown_column
from maskwright.data.stored import Notes, Read, stored
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset


class HubDataset(Corpus):
    """A dataset of the Hugging Face hub, or anything `datasets.load_dataset` takes; each row is one document.

    path, name, split, revision: as for `load_dataset`. text_column: the column that holds the text, a field within it,
    or a template (see `reading.Column`). data_files: for generic loaders such as `json`.
    """

    def __init__(
        self,
        path: str | None = None,
        name: str | None = None,
        split: str = "train",
        text_column: str = "text",
        revision: str | None = None,
        data_files: str | Sequence[str] | None = None,
        heldout: float = 0.05,
        columns: Sequence[str] = (),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: Literal["exact", "near", "none"] = "exact",
    ) -> None:
        super().__init__(heldout, columns, group, balance, keep, duplicates)
        if not path:
            raise RecipeError("data.path is not set; name a dataset, as in data.path=Salesforce/wikitext.")
        self.path, self.config, self.split, self.revision = path, name, split, revision
        self.text = Column(text_column)
        self.data_files = data_files if data_files is None or isinstance(data_files, str) else list(data_files)
        self.name = path.rstrip("/").rsplit("/", 1)[-1]

    def _table(self, cache: Path) -> tuple[Dataset, str]:
        return load(self.path, self.config, self.split, self.revision, self.data_files, cache, "data.path")

    def fingerprint(self, cache: Path) -> str:
        return self._key(self._table(cache)[1])

    def _key(self, content: str) -> str:
        return digest("hub", content, self.split, self.text.spec)

    def documents(self, cache: Path) -> Dataset:
        table, content = self._table(cache)
        skeleton = {name: _skeleton(feature) for name, feature in table.features.items()}
        wanted = self.text.wanted + [(CARRIED, name) for name in self.columns]
        for option, name in wanted:
            if find(skeleton, name) is MISSING:
                raise unknown_column(option, name, paths(skeleton), self.path)
        if not len(table):
            raise RecipeError("the data has no rows; give files that hold text.")
        heads = [name for name in skeleton if any(f"{asked}.".startswith(f"{name}.") for _, asked in wanted)]
        table = table.select_columns(heads)
        flat = all(column in table.features for column in self.columns)
        types = {column: table.features.arrow_schema.field(column).type for column in self.columns} if flat else None

        def place(number: int) -> str:
            return f"row {number} of {self.path}"

        def rows(notes: Notes) -> Iterator[Read]:
            number = -1
            for batch in table.with_format("arrow").iter(256):
                for row in batch.to_pylist():
                    number += 1
                    text = read_row(row, self.text, number, place, notes)
                    if text is not None:
                        values = [find(row, column) for column in self.columns]
                        carried = tuple(None if value is MISSING else value for value in values)
                        yield Read(text, f"row {number}", carried, self.path)

        documents, self.notes = stored(rows, digest(self._key(content), self.columns), cache, self.columns, types)
        return documents


def load(
    path: str,
    name: str | None,
    split: str,
    revision: str | None = None,
    data_files: str | Sequence[str] | None = None,
    cache: Path | None = None,
    option: str = "data.path",
) -> tuple[Dataset, str]:
    """A dataset, and a key of its content. option: how the recipe names the path.

    `datasets` knows local files by their path and time stamp; here each content has a cache of its own. Raises
    RecipeError when it cannot be loaded.
    """
    import datasets

    try:
        local = _local(path, data_files)
        place = {"cache_dir": str((cache or cache_root()) / "hub" / local)} if local else {}
        table = datasets.load_dataset(path, name, split=split, revision=revision, data_files=data_files, **place)
        return table, digest(local, name) if local else table._fingerprint
    except Exception as error:  # network, missing names, unreadable files: each library raises its own
        offline = " (offline: HF_HUB_OFFLINE is set)" if datasets.config.HF_HUB_OFFLINE else ""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RecipeError(
            f"{option}={path}: the dataset cannot be loaded{offline}; check path, name and split. datasets says: {reason}"
        ) from error


def _local(path: str, data_files: str | Sequence[str] | None) -> str:
    """The hash of the local files that a dataset is made of; nothing for one of the hub."""
    if os.path.exists(path):
        patterns = [path]
    elif data_files and "/" not in path:
        patterns = [data_files] if isinstance(data_files, str) else list(data_files)
    else:
        return ""
    try:
        how = How("data.data_files")
        files = found(patterns, how, lambda file: True).paths
        return digest(path, [(str(file), content(file, how)) for file in files])
    except RecipeError:  # addresses, or nothing: `datasets` says what is wrong
        return ""


def _skeleton(feature: Any) -> Any:
    """The names within a column of objects."""
    if isinstance(feature, dict):
        return {name: _skeleton(inner) for name, inner in feature.items()}
    return ""
