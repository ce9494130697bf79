"""What an annotator sees of one document, and of the training side as a whole.

Shapes: C characters and T tokens of one document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.flat import mapped, release
from maskwright.data.texts import Texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_HOLD = 1 << 21  # tokens after which the memory of what was read is given back


@dataclass
class Document:
    """One document and its tokens. `fields` are the columns that the corpus carries besides the text; `memo` keeps what
    several annotators want of it."""

    text: str
    id_T: np.ndarray  # uint16 or uint32 token ids
    start_T: np.ndarray  # uint32 character offsets in `text`
    end_T: np.ndarray  # uint32
    begins_T: np.ndarray  # bool: the first token of every word
    fields: dict[str, Any]
    memo: dict[Any, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id_T)

    @cached_property
    def word_T(self) -> np.ndarray:
        """The number of each token's word, int64, from 0."""
        return np.cumsum(self.begins_T) - 1

    @cached_property
    def words(self) -> list[str]:
        """The words as written in the text, without the white space around them."""
        first_W = np.flatnonzero(self.begins_T)
        if not len(first_W):
            return []
        start_W = self.start_T[first_W].tolist()
        end_W = self.end_T[np.append(first_W[1:], len(self)) - 1].tolist()
        return [self.text[begin:end].strip() for begin, end in zip(start_W, end_W)]

    def first_tokens(self, start: int, end: int) -> slice:
        """The tokens that overlap the characters start..end: a slice, empty where none does."""
        first = int(np.searchsorted(self.end_T, start, side="right"))
        last = int(np.searchsorted(self.start_T, end, side="left"))
        while first < last and self.text[int(self.start_T[first]) : int(self.end_T[first])].strip() == "":
            first += 1  # a token of white space alone belongs to nothing
        return slice(first, max(first, last))


class Side:
    """Tokenised documents of one side of the split, memory-mapped. Picklable: a worker maps the files again."""

    def __init__(self, texts: Path, tokens: Path, words: Path | None = None) -> None:
        self._paths = (texts, tokens, words)
        self._open()

    def _open(self) -> None:
        texts, tokens, words = self._paths
        self._table = Texts(texts)
        self._number_D = mapped(tokens / "number.npy")  # where each document stands in the table
        self.length_D = mapped(tokens / "length.npy")
        self.first_D = np.cumsum(self.length_D, dtype=np.int64) - self.length_D
        self._columns = {name: mapped(tokens / f"{name}.npy") for name in ("ids", "start", "end")}
        self._word = None if words is None else mapped(words)

    def __getstate__(self) -> dict[str, Any]:
        return {"_paths": self._paths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._paths = state["_paths"]
        self._open()

    def __len__(self) -> int:
        return len(self.length_D)

    @property
    def tokens(self) -> int:
        return len(self._columns["ids"])

    @property
    def ids(self) -> np.ndarray:
        """All token ids, one document after the other."""
        return self._columns["ids"]

    def values(self, column: str) -> list[Any]:
        """A column that the documents carry: one value a document, read without their text."""
        values = self._table.column(column, 0, len(self._table))
        return [values[number] for number in self._number_D.tolist()]

    def __getitem__(self, number: int) -> Document:
        part = slice(int(self.first_D[number]), int(self.first_D[number] + self.length_D[number]))
        row = self._table[int(self._number_D[number])]
        text = row.pop("text")
        begins = np.zeros(0, bool) if self._word is None else np.asarray(self._word[part])
        columns = {name: np.asarray(values[part]) for name, values in self._columns.items()}
        return Document(text, columns["ids"], columns["start"], columns["end"], begins, row)

    def __iter__(self) -> Iterator[Document]:
        held = 0
        for number in range(len(self)):
            document = self[number]
            yield document
            held += len(document)
            if held > _HOLD:
                self.release()
                held = 0

    def release(self) -> None:
        """Give back the memory of what was read."""
        words = [] if self._word is None else [self._word]
        arrays = [*self._columns.values(), self._number_D, *words]
        self._table.release()
        release(array.filename for array in arrays if isinstance(array, np.memmap))


@dataclass
class Source:
    """The training side, for annotators that learn from the whole corpus. key: names text, tokens and words exactly.

    cache: the folder below which artefacts are kept.
    """

    train: Side
    tokenizer: PreTrainedTokenizerFast
    key: str
    cache: Path
    processes: int = 1
