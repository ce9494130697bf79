"""Which documents are held out, and the texts of both sides.

Documents are chosen by a hash of their id, never by row, so a document's sentences are all on one side.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from maskwright.data.duplicates import Cleared, Heldout, is_aligned
from maskwright.data.progress import progress
from maskwright.data.texts import Writing, portions
from maskwright.data.workers import in_order
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

PREFIX = "prefix_characters"  # column of the texts: characters that stand in front of the document's own text


class Rewriter(Protocol):
    """What a cleaning does to the documents of one corpus.

    train_only: held-out documents keep their text. prefixes: see `Cleaning`.
    """

    @property
    def train_only(self) -> bool: ...

    @property
    def prefixes(self) -> bool: ...

    def learn(self, documents: Dataset) -> None:
        """See the documents before any is rewritten."""

    def rewritten(self, documents: Dataset, side: str) -> Dataset:
        """The documents with their new texts and columns, in their order."""
        ...

    def pieces(self, text: str, fields: dict[str, Any]) -> list[str]: ...

    def prefix(self, fields: dict[str, Any]) -> str: ...


def split(
    documents: Dataset,
    share: float,
    folder: Path,
    keep: Mapping[str, list[str]] | None = None,
    rewriter: Rewriter | None = None,
    duplicates: str = "exact",
    processes: int = 1,
) -> dict[str, Any]:
    """Write `train.arrow` and `heldout.arrow` to `folder`; returns the report.

    Which documents are held out is decided first, so that it is the same for every part of a corpus and every
    cleaning of it. keep: by column the values of the documents to use. duplicates: what is removed from train because
    it stands in the held-out documents: `exact`, `near` or `none`, see `duplicates.py`. Columns written: text,
    document, those that the documents carry, and `prefix_characters` where a cleaning writes one. The report counts
    documents, their `pieces` where they are cut, bytes, the documents and paragraphs removed from train (`duplicates`,
    `duplicate_documents` of them whole) and their bytes, and has notes in plain words about anything unusual.
    """
    report: dict[str, Any] = {"notes": []}
    there_D, size_D = _survey(documents)
    _count_empty(there_D, report["notes"])
    if there_D.sum() == 1 and not any(is_aligned(feature) for feature in documents.features.values()):
        documents = _blocks(documents[int(np.flatnonzero(there_D)[0])], share)
        report["notes"].append(f"one document only: it was cut into {len(documents)} blocks, some of them held out")
        there_D, size_D = _survey(documents)
    ids = (name for name, there in zip(_values(documents, "document"), there_D) if there)
    heldout_D = np.zeros(len(there_D), dtype=bool)
    heldout_D[there_D] = heldout_documents(ids, size_D[there_D], share)
    if keep:
        there_D &= _kept(documents, keep, there_D)
    train, heldout = _Part(documents, there_D & ~heldout_D), _Part(documents, there_D & heldout_D)
    if not train.D.any() or not heldout.D.any():
        side = "training" if train.D.any() else "held-out"
        raise RecipeError(f"data.keep leaves {side} documents only; keep more, or change data.heldout.")
    del there_D, heldout_D, size_D
    removing = _Removing(duplicates, processes, report)
    if rewriter is not None:
        if rewriter.train_only:  # a paragraph could not be told from a held-out one once it is rewritten
            with Writing(folder / "first.arrow", documents.features) as first:
                for table in removing(train, heldout):
                    first.table(table)
            train = _Part(_opened(folder / "first.arrow"))
        rewriter.learn(train.dataset() if rewriter.train_only else documents.select(np.flatnonzero(train.D | heldout.D)))
        train = _rewritten(train, rewriter, "train", report)
        heldout = _rewritten(heldout, rewriter, "heldout", report)
    report["documents"] = {
        "train": _write(folder / "train.arrow", train, removing(train, heldout), rewriter, "train", report),
        "heldout": _write(folder / "heldout.arrow", heldout, heldout, rewriter, "heldout", report),
    }
    if report["pieces"] == report["documents"]:
        del report["pieces"]
    del train, heldout, documents
    for file in folder.glob("*.arrow"):
        if file.stem not in ("train", "heldout"):
            file.unlink()
    return report


class _Part:
    """Some documents of a dataset. D: which, bool; None: all."""

    def __init__(self, documents: Dataset, chosen_D: np.ndarray | None = None) -> None:
        self.documents = documents
        self.D = np.ones(len(documents), dtype=bool) if chosen_D is None else chosen_D

    def __iter__(self) -> Iterator[pa.Table]:
        for first, table in portions(self.documents):
            chosen = self.D[first : first + len(table)]
            if chosen.any():
                yield table if chosen.all() else table.filter(pa.array(chosen))

    def dataset(self) -> Dataset:
        return self.documents if self.D.all() else self.documents.select(np.flatnonzero(self.D))


class _Removing:
    """Removes from training documents what is held out, and adds up what it removed in the report."""

    def __init__(self, kind: str, processes: int, report: dict[str, Any]) -> None:
        self.kind, self.processes, self.report = kind, processes, report
        report |= {"duplicates_by": kind, "duplicates": 0, "duplicate_documents": 0, "duplicate_bytes": 0}

    def __call__(self, train: _Part, heldout: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The training documents that stay, in tables. Raises RecipeError when none does."""
        if self.kind == "none":
            yield from train
            return
        aligned = [name for name, feature in train.documents.features.items() if is_aligned(feature)]
        note = f"{', '.join(aligned)} counts places: only whole training documents that repeat were removed"
        if aligned and note not in self.report["notes"]:
            self.report["notes"].append(note)
        known = Heldout(near=self.kind == "near")
        for table in heldout:
            for text in table["text"].to_pylist():
                known.add(text)
        waiting: deque[pa.Table] = deque()

        def tasks() -> Iterator[list[str]]:
            for table in train:
                waiting.append(table)
                yield table["text"].to_pylist()

        stayed = False
        # Near ones take a hundred times the work of exact ones, which a single process does as fast as it reads.
        processes = self.processes if self.kind == "near" else 1
        for cleared in in_order(_cleared, tasks(), processes, _know, (known, bool(aligned))):
            table = self._without(waiting.popleft(), cleared)
            if len(table):
                stayed = True
                yield table
        _know(None, False)
        if not stayed:
            raise RecipeError(
                "every training document also stands in the held-out documents; give more varied text, or set "
                "data.duplicates=none to compare nothing."
            )

    def _without(self, table: pa.Table, cleared: Sequence[Cleared]) -> pa.Table:
        if not any(one.whole or one.paragraphs for one in cleared):
            return table
        before = pc.sum(pc.binary_length(table["text"])).as_py()
        place = table.column_names.index("text")
        table = table.set_column(place, table.field(place), pa.array([one.text for one in cleared], table.field(place).type))
        table = table.filter(pa.array([not one.whole for one in cleared]))
        whole = sum(one.whole for one in cleared)
        self.report["duplicates"] += whole + sum(one.paragraphs for one in cleared)
        self.report["duplicate_documents"] += whole
        self.report["duplicate_bytes"] += before - (pc.sum(pc.binary_length(table["text"])).as_py() or 0)
        return table


_known: tuple[Heldout | None, bool] = (None, False)  # of this process: what `_cleared` compares with


def _know(heldout: Heldout | None, whole_only: bool) -> None:
    global _known
    _known = (heldout, whole_only)


def _cleared(texts: list[str]) -> list[Cleared]:
    heldout, whole_only = _known
    assert heldout is not None
    return [heldout.cleared(text, whole_only) for text in texts]


def _write(
    place: Path, part: _Part, tables: Iterable[pa.Table], rewriter: Rewriter | None, side: str, report: dict[str, Any]
) -> int:
    """Write one side of the split, in pieces where the rewriter cuts; returns its documents."""
    from datasets import Value

    features = part.documents.features.copy()
    if rewriter is not None and rewriter.prefixes:
        features[PREFIX] = Value("int64")
    count = 0
    with Writing(place, features) as writing, progress(f"write {side} documents", int(part.D.sum())) as advance:
        for table in tables:
            if rewriter is None:
                writing.table(table)
            else:
                writing.columns(_cut(table.to_pydict(), rewriter))
            count += len(table)
            advance(len(table))
    report.setdefault("pieces", {})[side] = writing.documents
    report.setdefault("bytes", {})[side] = writing.bytes
    return count


def _rewritten(part: _Part, rewriter: Rewriter, side: str, report: dict[str, Any]) -> _Part:
    documents = rewriter.rewritten(part.dataset(), side)
    there_D, _ = _survey(documents)
    _count_empty(there_D, report["notes"])
    return _Part(documents, there_D)


def _opened(path: Path) -> Dataset:
    from datasets import Dataset

    return Dataset.from_file(str(path))


def heldout_documents(ids: Iterable[str], sizes: Sequence[int] | np.ndarray, share: float) -> np.ndarray:
    """True for held-out documents, bool [D]: those whose ids hash lowest, a `share` of them and at least one.

    A document with more than half of all text stays in train.
    """
    size_D = np.asarray(sizes)
    hashes = (hashlib.blake2b(f"heldout {name}".encode(), digest_size=8).digest() for name in ids)
    place_D = np.fromiter((int.from_bytes(value, "big") for value in hashes), dtype=np.uint64, count=len(size_D))
    order = np.argsort(place_D, kind="stable")
    order = order[size_D[order] * 2 <= size_D.sum()]
    if len(size_D) < 2 or not len(order):
        raise RecipeError("the data has fewer than 2 documents, none of which can be held out; give more text.")
    count = min(max(1, math.ceil(share * len(size_D) - 1e-9)), len(size_D) - 1)
    chosen_D = np.zeros(len(size_D), dtype=bool)
    chosen_D[order[:count]] = True
    return chosen_D


def _cut(batch: dict[str, list], rewriter: Rewriter) -> dict[str, list]:
    """The pieces of each document with the other columns of their document and numbered ids."""
    out: dict[str, list] = {name: [] for name in [*batch, *([PREFIX] if rewriter.prefixes else [])]}
    for values in zip(*batch.values()):
        fields = dict(zip(batch, values))
        text, document = fields.pop("text"), fields["document"]
        prefix, parts = rewriter.prefix(fields), rewriter.pieces(text, fields)
        for number, part in enumerate(parts):
            name = document if len(parts) == 1 else f"{document}#{number}"
            piece = {**fields, "text": prefix + part, "document": name, PREFIX: len(prefix)}
            for column, found in out.items():
                found.append(piece[column])
    return out


def _survey(documents: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Which documents hold more than white space, bool [D], and how many characters they have, int64 [D].

    Raises RecipeError when none holds any.
    """
    there_D, size_D = np.zeros(len(documents), dtype=bool), np.zeros(len(documents), dtype=np.int64)
    for first, table in portions(documents, ["text"]):
        part = slice(first, first + len(table))
        there_D[part] = [bool(text) and not text.isspace() for text in table["text"].to_pylist()]
        size_D[part] = pc.fill_null(pc.utf8_length(table["text"]), 0).to_numpy()
    if not there_D.any():
        raise RecipeError("the data holds no text; give files or rows that are not empty.")
    return there_D, size_D


def _count_empty(there_D: np.ndarray, notes: list[str]) -> None:
    if not there_D.all():
        notes.append(f"{np.count_nonzero(~there_D)} empty documents left out")


def _values(documents: Dataset, column: str) -> Iterator[Any]:
    for _, table in portions(documents, [column]):
        yield from table[column].to_pylist()


def _kept(documents: Dataset, keep: Mapping[str, list[str]], there_D: np.ndarray) -> np.ndarray:
    """Those of the documents `there_D` whose columns have one of the values named for them, bool [D].

    Raises RecipeError for a value that no document has.
    """
    kept_D = there_D.copy()
    for column, values in keep.items():
        wanted, names = set(values), set[str]()
        for number, value in enumerate(_values(documents, column)):
            if there_D[number]:
                names.add(str(value))
                kept_D[number] &= str(value) in wanted
        missing = [value for value in values if value not in names]
        if missing:
            some = ", ".join(sorted(names)[:20]) + (", ..." if len(names) > 20 else "")
            raise RecipeError(f"data.keep: no document has {column}={missing[0]}; they have {some}.")
    if not kept_D.any():
        raise RecipeError(f"data.keep: no document has all of {', '.join(keep)} as asked for; ask for less.")
    return kept_D


def _blocks(document: dict[str, str], share: float) -> Dataset:
    """One text as consecutive blocks of about equal size, cut where a line, or else a word, begins."""
    from datasets import Dataset

    text, wanted = document["text"], 2 * math.ceil(1 / share)
    edges = [0]
    for block in range(1, wanted):
        aim = len(text) * block // wanted
        edge = max(text.rfind("\n", edges[-1], aim), edges[-1])
        edge = edge if edge > edges[-1] else text.rfind(" ", edges[-1], aim)
        if edge > edges[-1]:
            edges.append(edge)
    if len(edges) < 2:
        raise RecipeError("the data is one document too short to be split; give more text.")
    blocks = [text[begin:end] for begin, end in zip(edges, [*edges[1:], len(text)], strict=True)]
    blocks = [block for block in blocks if block.strip()]
    numbers = range(len(blocks))
    carried = {name: [value] * len(blocks) for name, value in document.items() if name not in ("text", "document")}
    return Dataset.from_dict({"text": blocks, "document": [f"{document['document']}#{n}" for n in numbers], **carried})
