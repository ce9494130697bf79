"""A column of the user's as a score of each token: numbers that the documents bring.

Shapes: T tokens and W words of one document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskwright.data.annotate import Annotator
from maskwright.data.document import Document
from maskwright.errors import RecipeError


class DocumentScores(Annotator):
    """A column of the documents with a list of numbers, one for each word (as `words=` counts them), or of
    {start, end, value}, in characters, `end` behind the last.

    other: the score of tokens that no span covers. Where spans overlap, the highest value counts.
    """

    dtype = np.float32
    outside = 0.0

    def __init__(self, column: str | None, other: float) -> None:
        if not column:
            raise RecipeError(
                "the column of scores is not set; name one that the documents carry, as in "
                "masking.weight.column.column=importance data.columns=[importance]."
            )
        if isinstance(other, bool) or not isinstance(other, (int, float)) or not np.isfinite(other):
            raise RecipeError(f"other of the column of scores is {other}; it is a number.")
        self.name, self.reads, self.other = column, (column,), float(other)

    def settings(self) -> dict[str, Any]:
        return {"version": 1, "other": self.other}

    def mark(self, document: Document) -> np.ndarray:
        value, where = (
            document.fields[self.name],
            f"the column {self.name!r} of document {document.fields.get('document')}",
        )
        try:
            if isinstance(value, Mapping):  # a table of columns, as some datasets give lists of records
                value = [dict(zip(value, one)) for one in zip(*value.values(), strict=True)]
            if value and isinstance(value[0], Mapping):
                return self._of_spans(document, value)
            score_W = np.array(value if value is not None else [], np.float32)
            if score_W.ndim != 1 or not np.isfinite(score_W).all():
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise RecipeError(
                f"{where} holds {_short(value)}; a column of scores holds lists of numbers, or of "
                "{start, end, value}."
            ) from None
        if len(score_W) != len(document.words):
            raise RecipeError(
                f"{where} has {len(score_W)} numbers, and the document {len(document.words)} words, punctuation marks "
                "among them; give one for each word as words= counts them, or {start, end, value} in characters."
            )
        return score_W[document.word_T]

    def _of_spans(self, document: Document, spans: list[Mapping[str, Any]]) -> np.ndarray:
        score_T = np.full(len(document), -np.inf, np.float32)
        for span in spans:
            value = float(span["value"])
            if not np.isfinite(value):
                raise ValueError
            tokens = document.first_tokens(int(span["start"]), int(span["end"]))
            score_T[tokens] = np.maximum(score_T[tokens], value)
        return np.where(np.isneginf(score_T), np.float32(self.other), score_T)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
