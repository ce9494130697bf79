"""Sentences end where a reader ends them."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.annotation.sentences import Sentences
from maskwright.annotation.sources import ColumnSpans
from maskwright.annotation.spans import SpanUnits

HARD = (
    "Mr. J. R. Smith came to St. Louis at 5 p.m. on Monday.",
    "He left at 6 p.m.",
    'He said "What?" and "No!" she cried.',
    '"Who goes there?"',
    "She ran... and ran...",
    "The U.S. Army won.",
    "It cost $3.14 in the U.S.",
    "The price fell.",
    "1. First item.",
    "2. Second item.",
    "See Fig. 3 and No. 5 for pp. 7 f.",
    "No.",
    "(He did.)",
    "Wait!",
    "John F. Kennedy vs. Nixon, etc., i.e. the\nrace of 1960.",
    "Was it I?",
    "It was I.",
    "They knew.",
)


def split(text, document_of, more=None):
    spans = Sentences(more)(document_of(text))
    assert "".join(text[start:end] for start, end, _ in spans) == text  # nothing is lost
    return [text[start:end].strip() for start, end, _ in spans]


def test_hard_ends(document_of):
    assert split(" ".join(HARD), document_of) == list(HARD)


def test_blank_lines_end_sentences_and_line_breaks_do_not(document_of):
    text = "A heading\n\nA line\nthat goes on. And\n\t\nanother"
    assert split(text, document_of) == ["A heading", "A line\nthat goes on.", "And", "another"]


def test_chinese(document_of):
    text = "今天很好。明天呢？“好！”他说。没有"
    assert split(text, document_of) == ["今天很好。", "明天呢？", "“好！”", "他说。", "没有"]


def test_further_abbreviations(tmp_path, document_of):
    (tmp_path / "more.txt").write_text("Zdr.\nabc\n")
    text = "The zdr. Grabner came. The abc. Next one. End"
    assert len(split(text, document_of)) == 5
    assert split(text, document_of, str(tmp_path / "more.txt")) == [
        "The zdr. Grabner came.", "The abc. Next one.", "End"]  # fmt: skip
    assert Sentences(str(tmp_path / "more.txt")).settings() != Sentences(None).settings()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_every_token_belongs_to_a_sentence(kind, document_of):
    text = " ".join(HARD)
    document = document_of(text, kind)
    units = SpanUnits("sentence", Sentences(None), "word").mark(document)
    assert units.sum() == len(HARD)
    begins = np.cumsum([0, *(len(sentence) + 1 for sentence in HARD[:-1])])
    first = document.start_T[units]
    assert (abs(first - begins) <= 1).all()  # tokens may begin with the space before


def test_all_text_of_a_corpus_is_kept(document_of, addresses):
    for text in addresses[:5]:
        found = split(text, document_of)
        assert 30 < len(text) / len(found) < 500


def test_columns_give_sentences_too(document_of):
    document = document_of("One. Two", marks=[{"start": 0, "end": 8}])
    assert SpanUnits("sentence", ColumnSpans("marks"), "word").mark(document).sum() == 1
