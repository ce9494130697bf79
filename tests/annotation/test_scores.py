"""Scores that the documents bring, for each word or for spans of characters."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskwright.annotation.scores import DocumentScores
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.errors import RecipeError

TEXT = "The constitution, at last, stands."


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_number_for_each_word(kind, document_of):
    document = document_of(TEXT, kind, importance=[0, 3, 0.5, 1, 2, 0.5, 4, 0.25])
    assert document.words == ["The", "constitution", ",", "at", "last", ",", "stands", "."]
    found = DocumentScores("importance", 0.0).mark(document)
    assert found.dtype == np.float32
    assert found.tolist() == [document.fields["importance"][word] for word in document.word_T]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("as_columns", [False, True])
def test_spans_of_characters(kind, as_columns, document_of):
    spans = [
        {"start": 4, "end": 16, "value": 2.0},
        {"start": 13, "end": 20, "value": 5},
        {"start": 27, "end": 28, "value": 1},
    ]
    value = {name: [span[name] for span in spans] for name in spans[0]} if as_columns else spans
    document = document_of(TEXT, kind, importance=value)
    found = DocumentScores("importance", 0.5).mark(document)
    for start, end, score in zip(document.start_T.tolist(), document.end_T.tolist(), found.tolist()):
        start += len(document.text[start:end]) - len(document.text[start:end].lstrip())
        over = [span["value"] for span in spans if start < end and span["start"] < end and span["end"] > start]
        assert score == (max(over) if over else 0.5)


def test_documents_without_spans_have_the_other_score(document_of):
    for nothing in ([], None):
        document = document_of("", importance=nothing)
        assert DocumentScores("importance", 0.5).mark(document).shape == (0,)
    with pytest.raises(RecipeError, match=r"has 0 numbers, and the document 8 words"):
        DocumentScores("importance", 0.5).mark(document_of(TEXT, importance=[]))


@pytest.mark.parametrize("value", ["much", [1, "two"], [[1.0]], [float("nan")] * 8, [{"start": 0, "end": 3}], 3.0])
def test_other_things_are_refused(value, document_of):
    with pytest.raises(
        RecipeError, match="the column 'importance' of document 7 holds .*; a column of scores holds lists"
    ):
        DocumentScores("importance", 0.0).mark(document_of(TEXT, document="7", importance=value))


def test_settings_are_checked():
    with pytest.raises(RecipeError, match="^the column of scores is not set; name one that the documents carry"):
        DocumentScores(None, 0.0)
    with pytest.raises(RecipeError, match="^other of the column of scores is nan; it is a number"):
        DocumentScores("importance", float("nan"))


def test_numbers_of_words_stay_with_their_words_through_the_split(tmp_path):
    """Paragraphs that are held out too are removed from training documents, but not where columns count words."""
    file, same = tmp_path / "texts.jsonl", "These very words stand everywhere."
    with file.open("w") as lines:
        for number in range(12):
            text = f"{same}\n\nOnly document {'x' * (number + 1)} jumps over lazy quick brown foxes."
            importance = [*[1] * 6, *[2] * 10]
            lines.write(json.dumps({"text": text, "importance": importance}) + "\n")
    corpus = TextFiles(str(file), heldout=0.3, columns=["importance"])
    column = DocumentScores("importance", 0.0)
    prepared = prepare(
        corpus, TrainedTokenizer(vocabulary=64), Packing("document", 64), cache=tmp_path, columns=[column]
    )
    documents = list(prepared.source.train)
    assert len(documents) == 8
    for document in documents:
        assert document.text.startswith(same)
        assert column.mark(document)[document.word_T == 6].tolist() == [2] * int((document.word_T == 6).sum())
