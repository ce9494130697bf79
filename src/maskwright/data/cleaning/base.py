"""What a cleaning is, and how it is carried out over a corpus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.data.split import is_spans
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset


class Cleaning(ABC):
    """Rewrites the text of each document.

    markers: special tokens that it writes into the text: the tokenizer keeps them whole, and they are never masked.
    reads: columns of the documents that it needs (`data.columns`).
    """

    markers: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that shape the result: part of the cache's keys."""

    @abstractmethod
    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        """The text rewritten. It must change nothing when applied to its own result."""


def cleaned(documents: Dataset, cleaning: Cleaning, place: Path) -> Dataset:
    """The documents rewritten, cached in the file `place`.

    Raises RecipeError when a column that it reads is missing, or when a column counts characters of the old text.
    """
    missing = [name for name in cleaning.reads if name not in documents.column_names]
    if missing:
        raise RecipeError(
            f"cleaning reads the column {missing[0]!r}, which the documents do not carry; "
            f"set data.columns=[{missing[0]}] with data that has it."
        )
    spans = [name for name, feature in documents.features.items() if is_spans(feature)]
    if spans:
        raise RecipeError(
            f"cleaning would move the characters that the column {spans[0]!r} counts; use cleaning=none with it."
        )
    return documents.map(
        _rewritten,
        fn_kwargs={"cleaning": cleaning},
        new_fingerprint="cleaned",
        cache_file_name=str(place),
        desc="clean documents",
    )


def _rewritten(document: dict[str, Any], cleaning: Cleaning) -> dict[str, str]:
    fields = {name: value for name, value in document.items() if name != "text"}
    return {"text": cleaning(document["text"], fields)}
