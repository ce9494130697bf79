"""Artefacts: tables learned from a corpus, made once, kept by a hash of the content and the settings that made them.

An artefact is a folder of parquet tables and one settings.json: readable by any tool, the same on every machine, and
small enough to hand on: `table=<folder>` uses one that was made elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from maskwright.data.corpus import digest
from maskwright.data.document import Source
from maskwright.data.prepare import folder_of
from maskwright.errors import RecipeError

_VERSION = 1  # of the layout; raise it when that changes
_FACTS = "settings.json"
_listening: list[Callable[[Artefact], None]] = []


class Artefact:
    """A folder of tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        for hear in _listening:
            hear(self)

    def table(self, name: str) -> pa.Table:
        """A table of the artefact."""
        return pq.read_table(self.folder / f"{name}.parquet", memory_map=True)

    @property
    def tables(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.parquet"))


@contextmanager
def opened() -> Iterator[list[Artefact]]:
    """The artefacts that are built or opened inside, in order, each folder once."""
    listed: list[Artefact] = []

    def note(one: Artefact) -> None:
        if all(one.folder != other.folder for other in listed):
            listed.append(one)

    _listening.append(note)
    try:
        yield listed
    finally:
        _listening.remove(note)


def artefact(
    source: Source,
    kind: str,
    settings: Mapping[str, Any],
    build: Callable[[Source], Mapping[str, pa.Table]],
    given: str | None = None,
) -> Artefact:
    """The tables that `build` learns from the training side, or those made before from the same text with the same
    settings. given: the folder of an artefact to use instead.

    Raises RecipeError when `given` is no artefact of this kind.
    """
    if given is not None:
        return _given(Path(given).expanduser(), kind)
    key = digest("artefact", _VERSION, kind, dict(settings), source.key)

    def make(new: Path) -> None:
        began = time.perf_counter()
        tables = build(source)
        for name, table in tables.items():
            pq.write_table(table, new / f"{name}.parquet", compression="zstd")
        rows = {name: table.num_rows for name, table in tables.items()}
        facts: dict[str, Any] = {"kind": kind, "settings": dict(settings), "source": source.key, "rows": rows}
        facts |= {"seconds": round(time.perf_counter() - began, 1)}
        (new / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    return Artefact(folder_of(source.cache / "artefacts" / f"{kind}-{key}", make))


def contents(folder: str | Path) -> str:
    """A hash of the tables in a folder that the user names: part of the settings of whoever uses it.

    Raises RecipeError when there are none.
    """
    found = hashlib.blake2b(digest_size=16)
    tables = sorted(Path(folder).expanduser().glob("*.parquet"))
    if not tables:
        raise RecipeError(
            f"table={folder} holds no table; name the folder of an artefact, or null to learn it from the corpus."
        )
    for path in tables:
        found.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def _given(folder: Path, kind: str) -> Artefact:
    try:
        found = Artefact(folder)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"table={folder} holds no artefact ({_FACTS} cannot be read: {error}); name the folder of one, or null to "
            "learn it from the corpus."
        ) from None
    if found.facts.get("kind") != kind:
        raise RecipeError(f"table={folder} holds {found.facts.get('kind')}, not {kind}; name an artefact of that kind.")
    return found
