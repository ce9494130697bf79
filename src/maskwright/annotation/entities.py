"""Entities that may stand for each other: of one type and as many tokens.

Shapes: T tokens of one document, N entries of the pool.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from maskwright.annotation.artefact import Artefact, artefact
from maskwright.annotation.passes import over_documents
from maskwright.annotation.pool import Pooled, pool_of
from maskwright.annotation.spans import SpanUnits, placed
from maskwright.annotation.tally import Tally
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Side, Source
from maskwright.errors import RecipeError
from maskwright.masking.corruptions import Pool

_VERSION = 1


class EntityPool(Annotator):
    """Each token's entity as a row of the pool of all entities of the training side (-1: it belongs to none).

    unit: the units, whose spans are the entities. least_count: how often an entity must occur. most: the most frequent
    ones are kept, and what is not kept is exchanged for nothing. Memory: the pool itself; counts are kept on disk.
    """

    dtype = np.int32
    outside = -1

    def __init__(self, name: str, unit: SpanUnits, least_count: int, most: int) -> None:
        if not isinstance(unit, SpanUnits):
            raise RecipeError(f"the {name} exchanges spans, and its units are none; use masking=entity or keyphrase.")
        for setting, value, least in (("least_count", least_count, 1), ("most", most, 2)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{setting} of the {name} is {value}; it is a whole number from {least} up.")
        self.name, self.unit, self.least_count, self.most, self.reads = name, unit, least_count, most, unit.reads

    def settings(self) -> dict[str, Any]:
        own = {"version": _VERSION, "least_count": self.least_count, "most": self.most}
        return own | {"spans": self.unit.spans.key}

    def fit(self, source: Source) -> None:
        self._artefact: Artefact = artefact(source, "entity_pool", self.settings(), self._learned)

    def mark(self, document: Document) -> np.ndarray:
        row_T = np.full(len(document), -1, self.dtype)
        first_N, behind_N, types = placed(document, self.unit.spans)
        ids, rows = document.id_T.tolist(), self._rows
        for first, behind, kind in zip(first_N.tolist(), behind_N.tolist(), types):
            row_T[first:behind] = rows.get((tuple(ids[first:behind]), kind), -1)
        return row_T

    @property
    def pool(self) -> Pool:
        return self._pooled.pool

    @cached_property
    def group_of_size(self) -> Tensor:
        """Int64 [S + 1], all -1: what is no entity is never exchanged for one."""
        return torch.full((self.pool.piece_NS.shape[1] + 1,), -1, dtype=torch.int64)

    @cached_property
    def _entries(self) -> list[tuple[tuple[int, ...], str]]:
        table = self._artefact.table("entries")
        return list(zip(map(tuple, table.column("pieces").to_pylist()), table.column("type").to_pylist()))

    @cached_property
    def _pooled(self) -> Pooled:
        return pool_of(self._entries)

    @cached_property
    def _rows(self) -> dict[tuple[tuple[int, ...], str], int]:
        return dict(zip(self._entries, self._pooled.row_E.tolist()))

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        with Tally(source.cache, "string") as tally:
            work = partial(_count, unit=self.unit)
            for keys, counts in over_documents(source.train, work, f"collect {self.name}", source.processes):
                tally.add(pa.array(keys, pa.string()), counts)
            table = tally.sums(self.least_count)
        table = table.sort_by([("count", "descending"), ("key", "ascending")])[: self.most]
        if not table.num_rows:
            raise RecipeError(
                f"the training documents hold no {self.unit.name} that occurs {self.least_count} times; check its "
                f"spans, or lower least_count of the {self.name}."
            )
        parts = [key.rpartition("\t") for key in table.column("key").to_pylist()]
        pieces = [[int(number) for number in numbers.split()] for _, _, numbers in parts]
        texts = source.tokenizer.batch_decode(pieces)
        columns = {
            "entity": pa.array([text.strip() for text in texts], pa.string()),
            "type": pa.array([kind for kind, _, _ in parts], pa.string()),
            "count": table.column("count"),
            "pieces": pa.array(pieces, pa.list_(pa.int32())),
        }
        return {"entries": pa.table(columns)}


def _count(side: Side, first: int, last: int, unit: SpanUnits) -> tuple[list[str], list[int]]:
    """Entities of documents first..last - 1, each written as its type and its token ids."""
    counts: Counter[str] = Counter()
    for number in range(first, last):
        document = side[number]
        first_N, behind_N, types = placed(document, unit.spans)
        for begin, behind, kind in zip(first_N.tolist(), behind_N.tolist(), types):
            counts[f"{kind}\t{' '.join(map(str, document.id_T[begin:behind].tolist()))}"] += 1
    return list(counts), list(counts.values())
