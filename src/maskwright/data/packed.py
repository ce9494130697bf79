"""Tokenised text and its annotations as packed rows, each column in a folder of the cache of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.data import rows as row_files
from maskwright.data.annotate import Annotator
from maskwright.data.corpus import digest
from maskwright.data.flat import mapped
from maskwright.data.folders import folder_of
from maskwright.data.pack import Packing, Plan
from maskwright.data.progress import progress
from maskwright.data.rows import Rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VERSION = 2  # of what the stages behind the texts write; raise it when that changes


class Packed(NamedTuple):
    """Rows, and the key that names their text and its places exactly."""

    rows: Rows
    key: str


@dataclass(frozen=True)
class Packer:
    """Packs either side of the split by any rule.

    texts_key, tokenizer_key: name the text and the tokenizer. tokens: the folder of both sides' tokens. columns: the
    folder of each annotator's column. groups, group_of: see `Prepared`; by side the group of each document.
    """

    root: Path
    texts_key: str
    tokenizer_key: str
    tokens: Path
    tokenizer: PreTrainedTokenizerFast
    annotators: Sequence[Annotator]
    columns: Sequence[Path]
    group: str | None
    groups: Sequence[str]
    group_of: Mapping[str, np.ndarray]

    def __call__(self, side: str, rule: Packing, grouped: bool) -> Packed:
        """The rows of `side`; with `grouped`, no row holds documents of two groups."""
        # Annotations are left out: the same text in the same rows is the same data, whatever a masking wants to know.
        named = [self.group] if grouped else []
        key = digest("rows", VERSION, self.texts_key, self.tokenizer_key, side, rule.key, *named)
        tokens = self.tokens / side

        def build_text(new: Path) -> None:
            columns = {name: mapped(tokens / f"{name}.npy") for name in ("ids", "bytes")}
            ids = self.tokenizer
            special = {"bytes": (0, 0, 0), "ids": (ids.pad_token_id, ids.cls_token_id, ids.sep_token_id)}
            with progress(f"pack {side} rows of {rule.length}", len(columns["ids"]), "tokens") as advance:
                row_files.write(new, self._plan(side, rule, grouped), rule.length, columns, special, advance=advance)

        place = folder_of(self.root / "rows" / key, build_text)
        folders = []
        for annotator, column in zip(self.annotators, self.columns, strict=True):

            def build(new: Path, annotator: Annotator = annotator, column: Path = column) -> None:
                values = {annotator.name: mapped(column / side / f"{annotator.name}.npy")}
                special = {annotator.name: (annotator.outside,) * 3}
                plan = self._plan(side, rule, grouped)
                with progress(f"pack {side} {annotator.name}", len(values[annotator.name]), "tokens") as advance:
                    row_files.write(new, plan, rule.length, values, special, with_document=False, advance=advance)

            folders.append(folder_of(self.root / "packed" / digest(key, column.name), build))
        return Packed(Rows(place, folders), key)

    def _plan(self, side: str, rule: Packing, grouped: bool) -> Iterator[Plan]:
        prefix = self.tokens / side / "prefix.npy"
        return rule.parts(
            mapped(self.tokens / side / "length.npy"),
            group_D=self.group_of[side] if grouped else None,
            groups=len(self.groups),
            prefix_D=mapped(prefix) if prefix.exists() else None,
        )
