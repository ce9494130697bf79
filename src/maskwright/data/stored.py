"""Documents as they are read, written to the cache in small batches; what was left out is counted."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.data.folders import folder_of
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_ROWS, _CHARACTERS = 1000, 1 << 22  # of a batch
_FILE, _NOTES = "documents.arrow", "notes.json"


class Read(NamedTuple):
    """One document. carried: the values of the columns besides. place: the file that it comes from."""

    text: str
    document: str
    carried: tuple[Any, ...] = ()
    place: str = ""


class Notes:
    """Counts of what was not taken, by a sentence with {n}, {s} and {have} in it; and whole sentences."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sentences: list[str] = []

    def count(self, sentence: str, number: int = 1) -> None:
        self.counts[sentence] += number

    def written(self) -> list[str]:
        counted = [
            sentence.format(n=f"{number:,}", s="s" * (number > 1), have="have" if number > 1 else "has")
            for sentence, number in self.counts.items()
        ]
        return [*self.sentences, *counted]


def stored(
    read: Callable[[Notes], Iterator[Read]],
    key: str,
    cache: Path,
    carried: tuple[str, ...] | list[str] = (),
    types: Mapping[str, pa.DataType] | None = None,
) -> tuple[Dataset, list[str]]:
    """The documents that `read` yields as a memory-mapped dataset (text, document, carried columns), and its notes.

    key: names the content exactly. types: of the carried columns, where the values do not show them. Memory: a batch.
    Raises RecipeError where two files hold values of different types in a carried column.
    """
    from datasets import Dataset

    def build(new: Path) -> None:
        notes = Notes()
        _write(read(notes), new, list(carried), types, notes)
        (new / _NOTES).write_text(json.dumps(notes.written()), encoding="utf-8")

    folder = folder_of(cache / "documents" / key, build)
    return Dataset.from_file(str(folder / _FILE)), json.loads((folder / _NOTES).read_text(encoding="utf-8"))


def _write(
    documents: Iterator[Read], folder: Path, carried: list[str], types: Mapping[str, pa.DataType] | None, notes: Notes
) -> None:
    """Batches go to one file as long as their types are the same, and to a further one when a column shows more."""
    import pyarrow as pa

    names = ["text", "document", *carried]
    known = [pa.string(), pa.string(), *(types[name] if types else pa.null() for name in carried)]
    parts: list[Path] = []
    writer: pa.RecordBatchStreamWriter | None = None
    for batch in _batches(documents):
        columns = list(zip(*((read.text, read.document, *read.carried) for read in batch)))
        arrays = [_texts(columns[0], batch, notes), pa.array(columns[1], pa.string())]
        for number, name in enumerate(carried, 2):
            arrays.append(_array(columns[number], known[number] if types else None, known[number], name, batch))
        found = [_united(old, array.type) for old, array in zip(known, arrays)]
        if writer is None or found != known:
            if writer is not None:
                writer.close()
            known = found
            parts.append(folder / f"part-{len(parts)}.arrow")
            writer = pa.ipc.new_stream(str(parts[-1]), pa.schema(list(zip(names, known))))
        arrays = [
            array if array.type == kind else pa.array(array.to_pylist(), kind) for array, kind in zip(arrays, known)
        ]
        writer.write_batch(pa.record_batch(arrays, names=names))
    if writer is None:
        raise RecipeError("the data holds no text; give files or rows that are not empty.")
    writer.close()
    if len(parts) == 1:
        os.replace(parts[0], folder / _FILE)
        return
    with pa.ipc.new_stream(str(folder / _FILE), pa.schema(list(zip(names, known)))) as whole:
        for part in parts:
            with pa.memory_map(str(part)) as file, pa.ipc.open_stream(file) as rows:
                for piece in rows:
                    arrays = [
                        column if column.type == kind else pa.array(column.to_pylist(), kind)
                        for column, kind in zip(piece.columns, known)
                    ]
                    whole.write_batch(pa.record_batch(arrays, names=names))
            part.unlink()


def _batches(documents: Iterator[Read]) -> Iterator[list[Read]]:
    batch: list[Read] = []
    size = 0
    for read in documents:
        batch.append(read)
        size += len(read.text)
        if len(batch) == _ROWS or size >= _CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _texts(texts: tuple[str, ...], batch: list[Read], notes: Notes) -> pa.Array:
    """Halves of surrogate pairs, which JSON can write and UTF-8 cannot, become U+FFFD."""
    import pyarrow as pa

    try:
        found = pa.array(texts, pa.string())
    except UnicodeEncodeError:
        whole = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
        changed = sum(old != new for old, new in zip(texts, whole))
        notes.count("{n} text{s} with half a character (a lone surrogate), read as U+FFFD", changed)
        found = pa.array(whole, pa.string())
    if isinstance(found, pa.ChunkedArray):
        longest = max(batch, key=lambda read: len(read.text))
        raise RecipeError(
            f"the document {longest.document} has more than 2 GiB of text; cut it, as with data.document=line or "
            "data.document=blank_line."
        )
    return found


def _array(values: tuple[Any, ...], kind: Any, known: Any, name: str, batch: list[Read]) -> pa.Array:
    """The values of a carried column. Raises RecipeError where they are not alike."""
    import pyarrow as pa

    try:
        found = pa.array(values, kind)
        _united(known, found.type)
        return found
    except UnicodeEncodeError:
        raise RecipeError(
            f"data.columns: {name!r} holds half a character (a lone surrogate) in {batch[0].place}; mend it."
        ) from None
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    for value, read in zip(values, batch):
        try:
            known = _united(known, pa.array([value]).type)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
            other = f" and {known} before" if not pa.types.is_null(known) else ""
            raise RecipeError(
                f"data.columns: the column {name!r} holds {shown} in {read.place or read.document}{other}; make its "
                "values alike, or do not carry it."
            ) from None
    raise RecipeError(f"data.columns: the values of the column {name!r} are not alike; mend them, or do not carry it.")


def _united(old: Any, new: Any) -> Any:
    """The type that holds values of both."""
    import pyarrow as pa

    if old == new:
        return old
    schemas = [pa.schema([("x", old)]), pa.schema([("x", new)])]
    return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
