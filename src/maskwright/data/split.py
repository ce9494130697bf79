"""Which documents are held out, and the texts of both sides.

Documents are chosen by a hash of their id, never by row, so a document's sentences are all on one side.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from maskwright.data.duplicates import is_aligned, without_repeated
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

PREFIX = "prefix_characters"  # column of the texts: characters that stand in front of the document's own text


class Rewriter(Protocol):
    """What a cleaning does to the documents of one corpus.

    train_only: held-out documents keep their text. exact: texts that differ in case, digits or punctuation are not the
    same. prefixes: see `Cleaning`.
    """

    @property
    def train_only(self) -> bool: ...

    @property
    def exact(self) -> bool: ...

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
) -> dict[str, Any]:
    """Write `train.arrow` and `heldout.arrow` to `folder`; returns the report.

    Which documents are held out is decided first, so that it is the same for every part of a corpus and every
    cleaning of it. keep: by column the values of the documents to use. Columns written: text, document, those that
    the documents carry, and `prefix_characters` where a cleaning writes one. The report counts documents, their
    `pieces` where they are cut, bytes, the paragraphs removed from train (`duplicates`) and their bytes, and has
    notes in plain words about anything unusual.
    """
    report: dict[str, Any] = {"notes": []}
    documents = _filled(documents, report["notes"])
    if len(documents) == 1 and not any(is_aligned(feature) for feature in documents.features.values()):
        documents = _blocks(documents[0], share)
        report["notes"].append(f"one document only: it was cut into {len(documents)} blocks, some of them held out")
    sizes = [len(text) for batch in documents.iter(1000) for text in batch["text"]]
    chosen = heldout_documents(documents["document"][:], sizes, share)
    if keep:
        among = _kept(documents, keep)
        documents, chosen = documents.select(among), chosen[among]
    if chosen.all() or not chosen.any():
        side = "held-out" if chosen.all() else "training"
        raise RecipeError(f"data.keep leaves {side} documents only; keep more, or change data.heldout.")
    train, heldout = documents.select(np.flatnonzero(~chosen)), documents.select(np.flatnonzero(chosen))
    exact = rewriter is not None and rewriter.exact
    if rewriter is not None:
        if rewriter.train_only:  # a paragraph could not be told from a held-out one once it is rewritten
            train = without_repeated(train, heldout, folder / "first.arrow", exact, report)
        rewriter.learn(train if rewriter.train_only else documents)
        train = _filled(rewriter.rewritten(train, "train"), report["notes"])
        heldout = _filled(rewriter.rewritten(heldout, "heldout"), report["notes"])
    train = without_repeated(train, heldout, folder / "full.arrow", exact, report)
    parts = {"train": train, "heldout": heldout}
    for name, part in parts.items():
        parts[name] = part.map(
            _cut,
            batched=True,
            batch_size=200,
            fn_kwargs={"rewriter": rewriter},
            writer_batch_size=200,
            new_fingerprint=name,
            cache_file_name=str(folder / f"{name}.arrow"),
            desc=f"write {name} documents",
        )
    report["documents"] = {"train": len(train), "heldout": len(heldout)}
    pieces = {name: len(part) for name, part in parts.items()}
    if pieces != report["documents"]:
        report["pieces"] = pieces
    del train, heldout, documents
    for file in folder.glob("*.arrow"):
        if file.stem not in parts:
            file.unlink()
    report["bytes"] = {name: _bytes(part) for name, part in parts.items()}
    return report


def heldout_documents(ids: list[str], sizes: list[int], share: float) -> np.ndarray:
    """True for held-out documents, bool [D]: those whose ids hash lowest, a `share` of them and at least one.

    A document with more than half of all text stays in train.
    """
    place = [int.from_bytes(hashlib.blake2b(f"heldout {name}".encode(), digest_size=8).digest(), "big") for name in ids]
    order = np.argsort(np.array(place, dtype=np.uint64), kind="stable")
    order = order[np.array(sizes)[order] * 2 <= sum(sizes)]
    if len(ids) < 2 or not len(order):
        raise RecipeError("the data has fewer than 2 documents, none of which can be held out; give more text.")
    count = min(max(1, math.ceil(share * len(ids) - 1e-9)), len(ids) - 1)
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[order[:count]] = True
    return chosen


def _cut(batch: dict[str, list], rewriter: Rewriter | None) -> dict[str, list]:
    """Each document as it is, or its pieces with the other columns of their document and numbered ids."""
    if rewriter is None:
        return batch
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


def _bytes(part: Dataset) -> int:
    return sum(len(text.encode()) for batch in part.iter(1000) for text in batch["text"])


def _filled(documents: Dataset, notes: list[str]) -> Dataset:
    """The documents that hold more than white space."""
    filled = [bool(text and text.strip()) for batch in documents.iter(1000) for text in batch["text"]]
    if not any(filled):
        raise RecipeError("the data holds no text; give files or rows that are not empty.")
    if all(filled):
        return documents
    notes.append(f"{len(filled) - sum(filled)} empty documents left out")
    return documents.select(np.flatnonzero(filled))


def _kept(documents: Dataset, keep: Mapping[str, list[str]]) -> np.ndarray:
    """The numbers of the documents whose columns have one of the values named for them.

    Raises RecipeError for a value that no document has.
    """
    there = np.ones(len(documents), dtype=bool)
    for column, values in keep.items():
        found = np.array([str(value) for value in documents[column][:]])
        names = np.unique(found).tolist()
        missing = [value for value in values if value not in names]
        if missing:
            some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise RecipeError(f"data.keep: no document has {column}={missing[0]}; they have {some}.")
        there &= np.isin(found, values)
    if not there.any():
        raise RecipeError(f"data.keep: no document has all of {', '.join(keep)} as asked for; ask for less.")
    return np.flatnonzero(there)


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
