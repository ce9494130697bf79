"""Similar words: for each word of the corpus others that may stand for it (MacBERT, arXiv 2004.13922).

Shapes: T tokens of one document, N rows of the table, C similar words at most, S the most pieces of a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from maskwright.annotation.artefact import Artefact, artefact
from maskwright.annotation.counts import word_counts
from maskwright.annotation.neighbours import neighbour_counts
from maskwright.annotation.ngrams import is_word
from maskwright.annotation.pieces import Pieces, PieceTable, spelled, tells_spaces
from maskwright.annotation.tablefiles import TableFile, sha_of
from maskwright.annotation.vectors import file_vectors, nearest, pmi_vectors
from maskwright.data.annotate import Annotator
from maskwright.data.document import Document, Source
from maskwright.errors import RecipeError

_VERSION = 1
_MORE = 3  # neighbours learned for each that is kept: in other capitals some have another number of tokens


class SimilarWords(Annotator):
    """Each token's word as a row of a table of similar words (-1: it has none).

    A similar word has as many tokens, in the form in which the word stands in the text: behind a space or not, and
    with its capitals. Which words are similar is learned from the corpus, by the cosine of PMI vectors with neighbours
    to the left and to the right apart, so that words that may stand for each other are near, not words that stand
    together; or by `vectors` (a text file in word2vec's format); or it is given in `table` (a file of columns word and
    similar: a list, or one text with spaces).

    candidates: similar words kept for each. least_cosine: how near they are at least. vocabulary, least_count: words
    looked at: the most frequent, and how often they occur. window: words to each side that are neighbours. contexts:
    the most frequent words that count as neighbours. dimensions: of the vectors. Memory for learning: 16 bytes x
    vocabulary x contexts at most, however large the corpus is.
    """

    name = "similar_word"
    dtype = np.int32
    outside = -1
    unit = "word"

    def __init__(
        self,
        table: str | None,
        vectors: str | None,
        candidates: int,
        least_cosine: float,
        vocabulary: int,
        least_count: int,
        window: int,
        contexts: int,
        dimensions: int,
    ) -> None:
        if table is not None and vectors is not None:
            raise RecipeError("similar words have both a table and vectors; set one of the two to null.")
        numbers = {"candidates": candidates, "vocabulary": vocabulary, "least_count": least_count, "window": window}
        numbers |= {"contexts": contexts, "dimensions": dimensions}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} of the similar words is {value}; it is a whole number from 1 up.")
        if not -1 <= least_cosine <= 1:
            raise RecipeError(f"least_cosine of the similar words is {least_cosine}; a cosine lies between -1 and 1.")
        self._numbers = {**numbers, "least_cosine": float(least_cosine)}
        self._given = None if table is None else TableFile(table, ("word", "similar"), "table of the similar words")
        self._vectors = vectors
        self._vectors_sha = None if vectors is None else sha_of(vectors, "vectors of the similar words")

    def settings(self) -> dict[str, Any]:
        table = None if self._given is None else self._given.sha
        return {"version": _VERSION, **self._numbers, "table": table, "vectors": self._vectors_sha}

    def fit(self, source: Source) -> None:
        self._artefact: Artefact = artefact(source, "similar_words", self.settings(), self._learned)

    def mark(self, document: Document) -> np.ndarray:
        return self._table.rows(document)

    @cached_property
    def pieces_N(self) -> Tensor:
        """Int64: tokens of each row's word."""
        return torch.from_numpy(self._column("pieces", lengths=True))

    @cached_property
    def number_N(self) -> Tensor:
        """Int64: how many similar words each row has."""
        return torch.from_numpy(self._column("similar", lengths=True)) // self.pieces_N

    @cached_property
    def similar_NCS(self) -> Tensor:
        """Int64: their token ids, padded with 0."""
        most, longest = int(self.number_N.amax()), int(self.pieces_N.amax())
        ids_NCS = torch.zeros(len(self.number_N), most, longest, dtype=torch.int64)
        there_NC = torch.arange(most) < self.number_N[:, None]
        there_NCS = there_NC[:, :, None] & (torch.arange(longest) < self.pieces_N[:, None])[:, None]
        ids_NCS[there_NCS] = torch.from_numpy(self._column("similar"))
        return ids_NCS

    @cached_property
    def _table(self) -> PieceTable:
        first_N = np.cumsum(self.pieces_N.numpy()) - self.pieces_N.numpy()
        ids = self._column("pieces").tolist()
        return PieceTable([tuple(ids[a : a + n]) for a, n in zip(first_N.tolist(), self.pieces_N.tolist())])

    def _column(self, name: str, lengths: bool = False) -> np.ndarray:
        """The numbers of a column of lists one after the other, or how many each list has: int64."""
        column = self._artefact.table("rows").column(name)
        values = pa.compute.list_value_length(column) if lengths else pa.compute.list_flatten(column)
        return values.to_numpy().astype(np.int64)

    def _learned(self, source: Source) -> dict[str, pa.Table]:
        forms = _Forms(source)
        near = self._near_given() if self._given is not None else self._near_learned(source, forms)
        rows = list(forms.rows({word: [other for other, _ in found] for word, found in near.items()}, self._most))
        if not rows:
            raise RecipeError(
                "no word of the corpus has a similar one of as many tokens; lower least_count or least_cosine of the "
                "similar words, or give another table."
            )
        listed = [
            {"word": word, "similar": [other for other, _ in found], "cosine": [cosine for _, cosine in found]}
            for word, found in near.items()
        ]
        texts, ids = pa.list_(pa.string()), pa.list_(pa.int32())
        kinds = pa.schema([("word", pa.string()), ("similar", texts), ("cosine", pa.list_(pa.float32()))])
        row_kinds = [("word", pa.string()), ("spaced", pa.bool_()), ("pieces", ids), ("words", texts), ("similar", ids)]
        return {"words": pa.Table.from_pylist(listed, kinds), "rows": pa.Table.from_pylist(rows, pa.schema(row_kinds))}

    @property
    def _most(self) -> int:
        return int(self._numbers["candidates"])

    def _near_given(self) -> dict[str, list[tuple[str, float | None]]]:
        """The similar words of the user's table."""
        assert self._given is not None
        words, similar = (self._given.table.column(name).to_pylist() for name in self._given.columns)
        near: dict[str, list[tuple[str, float | None]]] = {}
        for word, others in zip(words, similar):
            others = others.split() if isinstance(others, str) else others or []
            near.setdefault(str(word).lower(), []).extend((str(other), None) for other in others)
        return near

    def _near_learned(self, source: Source, forms: _Forms) -> dict[str, list[tuple[str, float | None]]]:
        """The nearest of those that usually have as many tokens."""
        numbers = self._numbers
        counts = word_counts(source)
        frequent = counts.filter(pa.compute.greater_equal(counts.column("count"), int(numbers["least_count"])))
        words = [word for word in frequent.column("word").to_pylist() if is_word(word)][: int(numbers["vocabulary"])]
        if len(words) < 2:
            raise RecipeError("fewer than two words occur least_count times; lower least_count of the similar words.")
        if self._vectors is not None:
            rows = {word: row for row, word in enumerate(words)}
            vector_VD = file_vectors(self._vectors, rows, "vectors of the similar words")
        else:
            contexts, window = int(numbers["contexts"]), int(numbers["window"])
            counts_VC = neighbour_counts(source, words, contexts, window)[0].reshape(len(words), -1)
            vector_VD = pmi_vectors(counts_VC, int(numbers["dimensions"]))
        size_V = np.array([len(pieces) if pieces else -1 for pieces in forms.usual(words)])
        found = nearest(vector_VD, size_V, _MORE * self._most, numbers["least_cosine"])
        return {word: [(words[row], cosine) for row, cosine in pairs] for word, pairs in zip(words, found) if pairs}


class _Forms:
    """How words stand in the text: capitals, the space before, and the tokens."""

    def __init__(self, source: Source) -> None:
        self._spell = partial(spelled, tokenizer=source.tokenizer)
        self._spaces = (True, False) if tells_spaces(source.tokenizer) else (True,)
        self._written: dict[str, list[str]] = {}  # by the word in small letters, the most frequent first
        for word in word_counts(source, lowercase=False).column("word").to_pylist():
            self._written.setdefault(word.lower(), []).append(word)

    def usual(self, words: Iterable[str]) -> list[Pieces | None]:
        """The tokens of each word as it is mostly written, inside a sentence."""
        return self._spell([self._usual(word) for word in words], True)

    def rows(self, near: Mapping[str, list[str]], most: int) -> Iterable[dict[str, Any]]:
        """A row for each form of each word that has similar words of as many tokens, `most` of them at most."""
        wanted = [
            (written, [_like(written, self._usual(other)) for other in others])
            for word, others in near.items()
            for written in dict.fromkeys([*self._written.get(word, ()), word])
        ]
        taken: set[Pieces] = set()
        for spaced in self._spaces:
            texts = sorted({*chain.from_iterable((written, *others) for written, others in wanted)})
            pieces_of = dict(zip(texts, self._spell(texts, spaced)))
            for written, others in wanted:
                own = pieces_of[written]
                if own is None or own in taken:  # lower-casing tokenizers write several forms alike
                    continue
                alike: dict[Pieces, str] = {}
                for other in others:
                    pieces = pieces_of[other]
                    if pieces is not None and len(pieces) == len(own) and pieces != own:
                        alike.setdefault(pieces, other)
                kept = list(alike.items())[:most]
                if kept:
                    taken.add(own)
                    row = {"word": written, "spaced": spaced, "pieces": own, "words": [other for _, other in kept]}
                    yield row | {"similar": list(chain.from_iterable(pieces for pieces, _ in kept))}

    def _usual(self, word: str) -> str:
        return next(iter(self._written.get(word.lower(), (word,))))


def _like(written: str, other: str) -> str:
    """The other word with the capitals of the written one: all, the first, or its own."""
    if len(written) > 1 and written.isupper():
        return other.upper()
    return other[:1].upper() + other[1:] if written[:1].isupper() else other
