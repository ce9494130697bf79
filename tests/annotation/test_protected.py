"""Which words are protected, against plain sets."""

from __future__ import annotations

from collections import Counter

import pytest
from datasets import Dataset

from maskwright.annotation.gazetteer import Gazetteer
from maskwright.annotation.protected import AllowList, Frequent, Spanned
from maskwright.annotation.sources import ColumnSpans, Given
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError

TEXT = "The cat of Ann Lee saw 2 cats, and THE dog: it's Ann's."


def found(detector, text=TEXT, fields=None):
    words = word_spans(text)
    flags = detector.find(text, words, fields or {})
    return [text[slice(*word)] for word, flag in zip(words, flags, strict=True) if flag]


def words_of(text):
    return [text[slice(*word)] for word in word_spans(text)]


def test_words_of_a_text():
    assert words_of(TEXT) == [
        "The", "cat", "of", "Ann", "Lee", "saw", "2", "cats", ",", "and", "THE", "dog", ":", "it's", "Ann's", ".",
    ]  # fmt: skip
    assert word_spans("") == []
    assert words_of(" 中文 a\u200bb ") == ["中", "文", "a", "b"]


def test_all_but_listed_words(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("the\nCat\nsaw\n2\nand\n.\n,\n:\n")
    detector = AllowList(str(file))
    assert found(detector) == ["of", "Ann", "Lee", "cats", "dog", "it's", "Ann's"]
    assert detector.safe("CAT") and not detector.safe("cats")
    before = detector.settings()
    file.write_text("the\n")
    assert AllowList(str(file)).settings() != before
    with pytest.raises(RecipeError, match=r"^cleaning.detector.file is not set; name a UTF-8 text file"):
        AllowList(None)


def test_all_but_frequent_words(tmp_path):
    texts = [f"{TEXT} word{n % 7} word{n % 3}" for n in range(600)]
    counts = Counter(word.casefold() for text in texts for word in words_of(text) if any(map(str.isalnum, word)))
    listed = sorted(counts, key=lambda word: (-counts[word], word))
    for most in (1, 5, len(listed), 1000):
        detector = Frequent(most)
        detector.learn(Dataset.from_dict({"text": texts, "document": texts}), tmp_path)
        assert detector.words == set(listed[:most])
        signs = {",", ":", "."}
        assert set(found(detector)) == {w for w in words_of(TEXT) if w.casefold() not in listed[:most]} | signs
    assert not list(tmp_path.iterdir())  # nothing is left of the counting
    with pytest.raises(RecipeError, match=r"^cleaning.detector.most is 0; it is a number of words from 1 up."):
        Frequent(0)


def test_words_that_spans_touch(tmp_path):
    detector = Spanned(ColumnSpans("names"))
    assert detector.reads == ("names",)
    assert detector.safe("Ann")
    spans = [{"start": 11, "end": 14}, {"start": 15, "end": 18}, {"start": 49, "end": 52}]
    assert found(detector, fields={"names": spans}) == ["Ann", "Lee", "Ann's"]
    nested = [{"start": 4, "end": 18}, {"start": 8, "end": 10}]
    assert found(detector, fields={"names": nested}) == ["cat", "of", "Ann", "Lee"]
    assert found(detector, fields={"names": []}) == []
    file = tmp_path / "names.txt"
    file.write_text("Ann Lee\nDog\n")
    given = Given("entities", None, str(file), None, None, "fold", "word")
    for gazetteer in (Gazetteer(str(file), "fold", "word"), given):
        listed = Spanned(gazetteer)
        assert found(listed) == ["Ann", "Lee", "dog"]
        assert listed.again and not listed.reads
        assert listed.safe("Ann") and not listed.safe("dog")
    assert Spanned(ColumnSpans("names")).settings() == detector.settings() != listed.settings()
