"""Which documents are held out, and the removal of training paragraphs that also stand in held-out documents.

Documents are chosen by a hash of their id, never by row, so a document's sentences are all on one side.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_LINES = re.compile(r"\n")
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_SPACE = re.compile(r"\s+")


PREFIX = "prefix"  # column of the texts: characters that stand in front of the document's own text


class Cutter(Protocol):
    """Cuts the text of a document into pieces in the end; each is then a document of its own. See `Cleaning`."""

    prefixes: bool

    def pieces(self, text: str, fields: dict[str, Any]) -> list[str]: ...

    def prefix(self, fields: dict[str, Any]) -> str: ...


def split(
    documents: Dataset,
    share: float,
    folder: Path,
    keep: Mapping[str, list[str]] | None = None,
    rewrite: Callable[[Dataset], Dataset] | None = None,
    cutter: Cutter | None = None,
) -> dict[str, Any]:
    """Write `train.arrow` and `heldout.arrow` to `folder`; returns the report.

    Which documents are held out is decided first, so that it is the same for every part of a corpus and every cleaning
    of it. keep: by column the values of the documents to use. rewrite: changes texts and columns, document by document.
    Columns written: text, document, those that the documents carry, and `prefix` where a cutter writes one. The report
    counts documents, bytes, the paragraphs removed from train (`duplicates`) and their bytes, and has notes in plain
    words about anything unusual.
    """
    notes: list[str] = []
    documents = documents.select(_filled(documents, notes))
    if len(documents) == 1 and not any(is_spans(feature) for feature in documents.features.values()):
        documents = _blocks(documents[0], share)
        notes.append(f"one document only: it was cut into {len(documents)} blocks of text, some of them held out")
    sizes = [len(text) for batch in documents.iter(1000) for text in batch["text"]]
    chosen = heldout_documents(documents["document"][:], sizes, share)
    if keep:
        among = _kept(documents, keep)
        documents, chosen = documents.select(among), chosen[among]
    if rewrite is not None:
        documents = rewrite(documents)
        among = _filled(documents, notes)
        documents, chosen = documents.select(among), chosen[among]
    if chosen.all() or not chosen.any():
        side = "held-out" if chosen.all() else "training"
        raise RecipeError(
            f"only {side} documents are left by data.keep and cleaning; keep more, or change data.heldout."
        )
    heldout = documents.select(np.flatnonzero(chosen))
    known = {_normal(part) for text in heldout["text"] for part in paragraphs(text)} - {""}
    train = documents.select(np.flatnonzero(~chosen))
    aligned = [name for name, feature in documents.features.items() if is_spans(feature)]
    if aligned:  # offsets count characters of the whole text, so documents are removed whole or not at all
        notes.append(f"{', '.join(aligned)} counts characters: only whole training documents that repeat were removed")
    train = train.map(
        _without,
        batched=True,
        batch_size=200,
        fn_kwargs={"known": known, "whole": bool(aligned)},
        new_fingerprint="train",
        cache_file_name=str(folder / "full.arrow"),
        desc="remove paragraphs that are held out",
    )
    report: dict[str, Any] = {"duplicates": int(sum(train["removed"])), "duplicate_bytes": int(sum(train["lost"]))}
    kept = np.flatnonzero([bool(text.strip()) for text in train["text"]])
    if not len(kept):
        raise RecipeError("every training paragraph also stands in the held-out documents; give more varied text.")
    train = train.select(kept).remove_columns(["removed", "lost"])
    parts = {"train": train, "heldout": heldout}
    for name, part in parts.items():
        parts[name] = part.map(
            _cut,
            batched=True,
            batch_size=200,
            fn_kwargs={"cutter": cutter},
            writer_batch_size=200,
            new_fingerprint=name,
            cache_file_name=str(folder / f"{name}.arrow"),
            desc=f"write {name} documents",
        )
        if len(parts[name]) != len(part):
            notes.append(f"{len(part):,} {name} documents were cut into {len(parts[name]):,} pieces")
    (folder / "full.arrow").unlink(missing_ok=True)
    report["documents"] = {name: len(part) for name, part in parts.items()}
    report["bytes"] = {name: _bytes(part) for name, part in parts.items()}
    return report | {"notes": notes}


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


def paragraphs(text: str) -> list[str]:
    """Parts between blank lines, or between line ends in a text that has no blank line."""
    parts = _BLANK_LINES.split(text)
    return parts if len(parts) > 1 else _LINES.split(text)


def _normal(paragraph: str) -> str:
    """Without case, digits, punctuation and spacing."""
    return _SPACE.sub(" ", _NOT_LETTERS.sub(" ", paragraph.casefold())).strip()


def is_spans(feature: Any) -> bool:
    """A column of lists of {start, end, ...}: character offsets in the text."""
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) and feature else None)
    return isinstance(inner, dict) and {"start", "end"} <= set(inner)


def _without(batch: dict[str, list], known: set[str], whole: bool) -> dict[str, list]:
    """Remove known paragraphs, or with `whole` documents of which all are known; other text stays as it is."""
    out: dict[str, list] = {"text": [], "removed": [], "lost": []}
    for text in batch["text"]:
        parts = paragraphs(text)
        kept = [part for part in parts if _normal(part) not in known]
        kept = parts if whole and any(part.strip() for part in kept) else kept
        removed = len(parts) - len(kept)
        separator = "\n\n" if _BLANK_LINES.search(text) else "\n"
        out["text"].append(separator.join(kept) if removed else text)
        out["removed"].append(removed)
        out["lost"].append(len(text.encode()) - len(out["text"][-1].encode()))
    return out


def _cut(batch: dict[str, list], cutter: Cutter | None) -> dict[str, list]:
    """Each document as it is, or its pieces with the other columns of their document and numbered ids."""
    if cutter is None:
        return batch
    out: dict[str, list] = {name: [] for name in [*batch, *([PREFIX] if cutter.prefixes else [])]}
    for values in zip(*batch.values()):
        fields = dict(zip(batch, values))
        text, document = fields.pop("text"), fields["document"]
        prefix, parts = cutter.prefix(fields), cutter.pieces(text, fields)
        for number, part in enumerate(parts):
            name = document if len(parts) == 1 else f"{document}#{number}"
            piece = {**fields, "text": prefix + part, "document": name, PREFIX: len(prefix)}
            for column, found in out.items():
                found.append(piece[column])
    return out


def _bytes(part: Dataset) -> int:
    return sum(len(text.encode()) for batch in part.iter(1000) for text in batch["text"])


def _filled(documents: Dataset, notes: list[str]) -> np.ndarray:
    """The numbers of the documents that hold more than white space."""
    filled = [bool(text and text.strip()) for batch in documents.iter(1000) for text in batch["text"]]
    if not any(filled):
        raise RecipeError("the data holds no text; give files or rows that are not empty.")
    if not all(filled):
        notes.append(f"{len(filled) - sum(filled)} empty documents left out")
    return np.flatnonzero(filled)


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
