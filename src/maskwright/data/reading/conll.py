"""Sentences of files with one token a line, as rows whose columns are lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from maskwright.data.reading.formats import How, shown
from maskwright.errors import RecipeError

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def sentences(lines: Iterable[str], path: Path, how: How) -> Iterator[dict[str, Any]]:
    """One row per sentence; ranges (1-2) and empty nodes (1.1) of CoNLL-U are left out.

    Columns: those of `how`, of CoNLL-U Plus' first line, the ten of CoNLL-U, or else `form` first and `tag` last.
    """
    universal = ".conllu" in path.suffixes
    names = list(how.columns) if how.columns is not None else list(UNIVERSAL) if universal else None
    width = len(names) if names is not None else 0
    sentence: list[list[str]] = []
    for number, line in enumerate(chain(lines, [""]), 1):
        line = line.rstrip("\r\n")
        if line.startswith("# global.columns =") and how.columns is None:  # CoNLL-U Plus
            names, universal = line.split("=", 1)[1].lower().split(), True
        cells = line.split(how.separator or ("\t" if "\t" in line else None))
        # in CoNLL-U a line that begins with # is a comment; elsewhere it may be a token
        if (line.startswith("#") and (universal or len(cells) != width)) or line.startswith("-DOCSTART-"):
            continue
        if line.strip():
            width = len(cells)
            if names is not None and len(cells) != len(names):
                raise RecipeError(
                    f"{how.setting}: line {number} of {shown(path)} has {len(cells)} columns and not {len(names)}; "
                    "mend it, or set separator and columns."
                )
            if not (universal and ("-" in cells[0] or "." in cells[0])):
                sentence.append(cells)
        elif sentence:
            yield _row(sentence, names)
            sentence = []


def _row(tokens: list[list[str]], names: list[str] | None) -> dict[str, Any]:
    if names is None:
        return {"form": [cells[0] for cells in tokens], "tag": [cells[-1] for cells in tokens]}
    return {name: [cells[number] for cells in tokens] for number, name in enumerate(names)}
