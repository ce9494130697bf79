"""Running text to measure on: rows of a source or the documents that a run held out, cut into pieces."""

from __future__ import annotations

import numpy as np

from maskwright.data.order import permutation
from maskwright.errors import RecipeError
from maskwright.evaluation.passages import word_spans
from maskwright.evaluation.source import Source, text_of
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.texts import Request
from maskwright.evaluation.tools import Tools

SEED = 0


class RunningText:
    """source: rows with a column `text`; without one the held-out documents. piece: texts are cut into runs of so many
    words, by characters alone and so alike for every tokenizer (None: they are not cut). most: pieces that are read,
    drawn with a fixed seed (None: all).
    """

    def __init__(self, source: Source | None, text: str, piece: int | None, most: int | None) -> None:
        for key, value in (("piece", piece), ("most", most)):
            if value is not None and value < 1:
                raise RecipeError(f"evaluation.{key} is {value}; give a whole number from 1 up, or null.")
        self.source, self.text, self.piece, self.most = source, text, piece, most

    def check(self, subject: Subject, suite: str) -> None:
        """Raises RecipeError when there is no text."""
        if self.source is not None:
            self.source.check()
        elif subject.heldout is None:
            raise RecipeError(
                f"evaluation={suite} needs texts, and {subject.name} does not come from a run that says which were "
                "held out; name some, as in evaluation.source.files=texts.jsonl or data=sotu."
            )

    def read(self, subject: Subject, tools: Tools) -> tuple[list[str], str]:
        """The texts, and where they are from."""
        if self.source is None:
            assert subject.heldout is not None
            return subject.heldout.documents(tools.cache)[0], subject.heldout.corpus.name
        rows = self.source.rows(self.text)
        return [text_of(row, self.text, "evaluation.text") for row in rows], str(self.source)

    def requests(self, texts: list[str]) -> list[Request]:
        """The pieces, each under (number of its text, number of the piece)."""
        cut = [
            Request((n, place), piece) for n, text in enumerate(texts) for place, piece in enumerate(self._cut(text))
        ]
        return [cut[int(number)] for number in np.sort(permutation(len(cut), SEED, 0)[: self.most])]

    def _cut(self, text: str) -> list[str]:
        if self.piece is None:
            return [text]
        at = word_spans(text)
        starts = range(0, len(at), self.piece)
        return [text[at[first][0] : at[min(first + self.piece, len(at)) - 1][1]] for first in starts]
