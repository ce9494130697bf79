"""The removal of training paragraphs that also stand in held-out documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_LINES = re.compile(r"\n")
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_SPACE = re.compile(r"\s+")


def without_repeated(train: Dataset, heldout: Dataset, place: Path, exact: bool, report: dict[str, Any]) -> Dataset:
    """The training documents without held-out paragraphs, cached in the file `place`.

    exact: paragraphs that differ in case, digits or punctuation are not the same. What is removed is added up in the
    report, as `duplicates` and `duplicate_bytes`. Where a column counts characters or words, documents go whole or not
    at all.
    """
    known = {
        _normal(part, exact) for batch in heldout.iter(1000) for text in batch["text"] for part in paragraphs(text)
    }
    aligned = [name for name, feature in train.features.items() if is_aligned(feature)]
    if aligned:
        note = f"{', '.join(aligned)} counts places: only whole training documents that repeat were removed"
        report["notes"].append(note)
    train = train.map(
        _without,
        batched=True,
        batch_size=200,
        fn_kwargs={"known": known - {""}, "exact": exact, "whole": bool(aligned)},
        new_fingerprint=place.stem,
        cache_file_name=str(place),
        desc="remove paragraphs that are held out",
    )
    report["duplicates"] = report.get("duplicates", 0) + int(sum(train["removed"]))
    report["duplicate_bytes"] = report.get("duplicate_bytes", 0) + int(sum(train["lost"]))
    kept = np.flatnonzero([bool(text.strip()) for text in train["text"]])
    if not len(kept):
        raise RecipeError("every training paragraph also stands in the held-out documents; give more varied text.")
    return train.select(kept).remove_columns(["removed", "lost"])


def paragraphs(text: str) -> list[str]:
    """Parts between blank lines, or between line ends in a text that has no blank line."""
    parts = _BLANK_LINES.split(text)
    return parts if len(parts) > 1 else _LINES.split(text)


def is_aligned(feature: Any) -> bool:
    """A column of lists of {start, end, ...}, character offsets in the text, or of numbers, one for each word."""
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) and feature else feature)
    if isinstance(inner, dict):
        return {"start", "end"} <= set(inner)
    return inner is not feature and getattr(inner, "dtype", "").startswith(("int", "uint", "float"))


def _normal(paragraph: str, exact: bool) -> str:
    """Without spacing; and, unless exact, without case, digits and punctuation."""
    return _SPACE.sub(" ", paragraph if exact else _NOT_LETTERS.sub(" ", paragraph.casefold())).strip()


def _without(batch: dict[str, list], known: set[str], exact: bool, whole: bool) -> dict[str, list]:
    """Remove known paragraphs, or with `whole` documents of which all are known; other text stays as it is."""
    out: dict[str, list] = {"text": [], "removed": [], "lost": []}
    for text in batch["text"]:
        parts = paragraphs(text)
        kept = [part for part in parts if _normal(part, exact) not in known]
        kept = parts if whole and any(part.strip() for part in kept) else kept
        removed = len(parts) - len(kept)
        separator = "\n\n" if _BLANK_LINES.search(text) else "\n"
        out["text"].append(separator.join(kept) if removed else text)
        out["removed"].append(removed)
        out["lost"].append(len(text.encode()) - len(out["text"][-1].encode()))
    return out
