"""Held-out text of a corpus for a subject: packed rows for the ruler, and the documents themselves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.data import Corpus, Packing
from maskwright.data.cleaning import Cleaning
from maskwright.data.corpus import cache_root
from maskwright.data.prepare import prepare, texts_of
from maskwright.data.rows import Rows


@dataclass(frozen=True)
class HeldOut:
    """A corpus as a run cleans, splits and packs it. ruler_length, ruler_rows: of the ruler's rows (None: all)."""

    corpus: Corpus
    packing: Packing
    ruler_length: int = 128
    ruler_rows: int | None = None
    cleaning: Cleaning | None = None

    @property
    def markers(self) -> tuple[str, ...]:
        """Tokens that the cleaning writes into the text and that are never masked, as in training."""
        return self.cleaning.markers if self.cleaning else ()

    def rows(self, tokenizer: Any, columns: Sequence[Any], cache: Path | None) -> Rows:
        """The ruler's rows under a tokenizer, with the columns that masks read. Words are those of the fixed rule."""
        given = _Given(copy.deepcopy(tokenizer))  # preparing sets the tokenizer's longest text
        return prepare(
            self.corpus, given, self.packing, self.ruler_length, columns=columns, cache=cache, cleaning=self.cleaning
        ).ruler

    def documents(self, cache: Path | None) -> tuple[list[str], str]:
        """The held-out documents and the key of the split that they come from."""
        from datasets import Dataset

        folder, key = texts_of(self.corpus, Path(cache).expanduser() if cache else cache_root(), self.cleaning)
        return list(Dataset.from_file(str(folder / "heldout.arrow"))["text"]), key


@dataclass(frozen=True)
class _Given:
    """A tokenizer that is there already, as data.prepare asks for one."""

    tokenizer: Any

    def load(self, texts: Callable[[], Iterable[str]], corpus_key: str, cache: Path, *more: Any) -> Any:
        return self.tokenizer
