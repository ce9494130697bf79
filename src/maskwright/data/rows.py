"""Rows: the packed corpus as memory-mapped columns, one .npy file per column.

Columns, each [N, L]: `ids` (token ids, padded with the pad id), `document` (0 = padding, else 1.. = number of the
document inside the row), `bytes` (UTF-8 bytes of original text that a token stands for; special tokens 0), and one
per annotation, such as `word` (True at the first token of every word and at every special token).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskwright.data.flat import Appending, release
from maskwright.data.pack import Plan

_BLOCK = 1 << 20  # places filled at once


class Rows:
    """Packed rows in a folder; the row number is the stable sample id. Picklable: a worker maps the files again.

    columns: folders of further columns of the same rows.
    """

    def __init__(self, folder: Path, columns: Sequence[Path] = ()) -> None:
        self.folder, self.column_folders = Path(folder), [Path(place) for place in columns]
        facts = _facts(self.folder)
        self.length: int = facts["length"]
        self.tokens: int = facts["tokens"]  # not padding
        self.bytes_total: int = facts["bytes_total"]
        self.group_rows: list[int] = facts["group_rows"]  # rows of each group, which lie one group after the other
        self.grouped: bool = facts.get("grouped", len(self.group_rows) > 1)
        self._count: int = facts["rows"]
        self._places: dict[str, Path] = {}
        self.longest: dict[str, int] = {}  # column -> tokens of its longest unit
        for place in (self.folder, *self.column_folders):
            own = _facts(place)
            self._places |= {name: place / f"{name}.npy" for name in own["columns"]}
            self.longest |= own["longest"]
        self._columns = self._map()

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_columns"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._columns = self._map()

    def take(self, index_B: np.ndarray) -> dict[str, Tensor]:
        """Rows by number: `ids`, `document`, `bytes` int64 [B, L], marks bool [B, L], classes int64 [B, L], scores
        float32 [B, L], `sample` and, where there are groups, `group` int64 [B]."""
        index_B = np.asarray(index_B, dtype=np.int64)
        batch = {"sample": torch.from_numpy(index_B.copy())}
        if self.grouped:
            ends_G = np.cumsum(self.group_rows)
            batch["group"] = torch.from_numpy(np.searchsorted(ends_G, index_B, side="right"))
        for name, column in self._columns.items():
            values = np.asarray(column[index_B])
            kind = {"b": np.bool_, "f": np.float32}.get(values.dtype.kind, np.int64)
            batch[name] = torch.from_numpy(values.astype(kind, copy=False))
        return batch

    def _map(self) -> dict[str, np.ndarray]:
        return {name: np.load(path, mmap_mode="r") for name, path in self._places.items()}


def _facts(folder: Path) -> dict:
    return json.loads((folder / "rows.json").read_text(encoding="utf-8"))


def write(
    folder: Path,
    plan: Plan | Iterable[Plan],
    length: int,
    columns: Mapping[str, np.ndarray],
    special: Mapping[str, tuple[int, int, int]],
    with_document: bool = True,
    advance: Callable[[float], None] | None = None,
) -> None:
    """Carry out a plan, or its parts one after the other, in `folder`.

    `columns` are flat, one value per token of all documents; `special` gives each column's values at padding, [CLS]
    and [SEP]. A bool column marks the first token of units: the first token of a piece always starts one, because
    packing may cut a unit. with_document: write the numbers of documents too, and count tokens and bytes. advance: is
    told how many tokens were written.
    """
    kinds = {name: values.dtype for name, values in columns.items()}
    kinds |= {"document": np.dtype(np.uint16)} if with_document else {}
    facts: dict = {"rows": 0, "length": length, "longest": {}, "group_rows": [0], "columns": list(kinds)}
    tokens = 0
    with ExitStack() as stack:
        outputs = {
            name: stack.enter_context(Appending(folder / f"{name}.npy", kind, (length,))) for name, kind in kinds.items()
        }
        for part in [plan] if isinstance(plan, Plan) else plan:
            facts["rows"] += part.rows
            facts["grouped"] = bool(part.groups)
            facts["group_rows"] = [a + b for a, b in zip_longest(facts["group_rows"], part.group_rows, fillvalue=0)]
            for filled in _blocks(part, length, columns, special, facts["longest"]):
                for name, output in outputs.items():
                    output.append(filled[name].reshape(-1, length))
                written = int(np.count_nonzero(filled["document"]))
                tokens += written
                release(values.filename for values in columns.values() if isinstance(values, np.memmap))
                if advance:
                    advance(written)
    if with_document:
        facts |= {"tokens": tokens, "bytes_total": _sum(columns["bytes"])}
    (folder / "rows.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _blocks(
    plan: Plan,
    length: int,
    columns: Mapping[str, np.ndarray],
    special: Mapping[str, tuple[int, int, int]],
    longest: dict[str, int],
) -> Iterator[dict[str, np.ndarray]]:
    """The places of some rows at once, one after the other: the values of each column, and of `document`.

    longest: is kept up to date with the tokens of each column's longest unit.
    """
    step = max(1, _BLOCK // length)
    for first in range(0, plan.rows, step):
        block = slice(first, min(first + step, plan.rows))
        pieces = slice(*np.searchsorted(plan.row_P, (block.start, block.stop)))
        marks = slice(*np.searchsorted(plan.row_S, (block.start, block.stop)))
        size_P = plan.size_P[pieces]
        shift = np.arange(size_P.sum()) - np.repeat(np.cumsum(size_P) - size_P, size_P)
        place_P = (plan.row_P[pieces] - first) * length + plan.column_P[pieces]
        place = np.repeat(place_P, size_P) + shift
        source = np.repeat(plan.source_P[pieces], size_P) + shift
        place_S = (plan.row_S[marks] - first) * length + plan.column_S[marks]

        document = np.zeros((block.stop - first) * length, dtype=np.uint16)
        document[place] = np.repeat(plan.document_P[pieces], size_P)
        document[place_S] = plan.document_S[marks]
        found = {"document": document}
        for name, values in columns.items():
            pad, cls, sep = special[name]
            filled = np.full(document.shape, pad, dtype=values.dtype)
            filled[place] = values[source]
            filled[place_S] = np.where(plan.is_sep_S[marks], sep, cls)
            if values.dtype == bool:
                filled[place_P] = True
                longest[name] = max(longest.get(name, 1), _longest(filled, document, length))
            found[name] = filled
        yield found


def _sum(values: np.ndarray) -> int:
    """The sum of a long column, which is read in portions."""
    total = 0
    for first in range(0, len(values), _BLOCK):
        total += int(values[first : first + _BLOCK].sum(dtype=np.int64))
        release([values.filename] if isinstance(values, np.memmap) else [])
    return total


def _longest(starts: np.ndarray, document: np.ndarray, length: int) -> int:
    """Tokens of the longest unit; units end with their row, and padding belongs to none."""
    edge = starts | (document == 0)
    edge[::length] = True
    return int(np.diff(np.flatnonzero(edge), append=len(edge)).max())
