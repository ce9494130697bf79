"""Phrases are found as a reader would find them: whole, the longest, across line breaks."""

from __future__ import annotations

import json

import pytest

from maskwright.annotation.gazetteer import ColumnPhrases, Gazetteer
from maskwright.errors import RecipeError

TEXT = "New York, new\nyork and New York City; YORK's Newer York. artful art, art."


def found(source, document):
    return [(document.text[start:end], kind) for start, end, kind in source(document)]


@pytest.fixture
def listed(tmp_path):
    def write(*lines, name="list.txt"):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_whole_words_and_the_longest(listed, document_of):
    file = listed("New York", "York", "New York City", "art", "", "  ")
    folded = found(Gazetteer(file, "fold", "word"), document_of(TEXT))
    expected = ["New York", "new\nyork", "New York City", "York", "art", "art"]
    assert folded == [(text, "phrase") for text in expected]  # YORK's is a word of its own
    exact = found(Gazetteer(file, "exact", "word"), document_of(TEXT))
    assert [text for text, _ in exact] == ["New York", "New York City", "York", "art", "art"]


def test_matches_equal_a_search_of_every_place(listed, document_of, addresses):
    """Against a search of the words at every place, the longest first, on real text."""
    from maskwright.data.words import begins_by_rule

    phrases = [
        "the",
        "the people",
        "the people of the United States",
        "of the",
        "United States",
        "Congress",
        "war with",
    ]
    document = document_of(addresses[0])
    text = document.text
    starts = [place for place, begins in enumerate(begins_by_rule(text)) if begins]
    words = [text[a:b].strip().casefold() for a, b in zip(starts, [*starts[1:], len(text)])]
    lists = sorted((phrase.casefold().split() for phrase in phrases), key=len, reverse=True)
    expected, place = [], 0
    while place < len(words):
        match = next((one for one in lists if words[place : place + len(one)] == one), None)
        if match:
            last = starts[place + len(match) - 1]
            expected.append((starts[place], last + len(words[place + len(match) - 1])))
        place += len(match) if match else 1
    got = [(start, end) for start, end, _ in Gazetteer(listed(*phrases), "fold", "word")(document)]
    assert got == expected and len(got) > 100


def test_types_come_from_tables(listed, document_of):
    csv = listed("phrase,type", "New York,place", '"artful",kind', name="list.csv")
    rows = [{"phrase": "New York", "type": "place"}, {"phrase": "artful", "type": "kind"}]
    lines = listed(*(json.dumps(row) for row in rows), name="list.jsonl")
    for file in (csv, lines):
        source = Gazetteer(file, "exact", "word")
        assert set(source.types) == {"place", "kind"}
        assert found(source, document_of(TEXT)) == [("New York", "place")] * 2 + [("artful", "kind")]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_inside_words_at_token_boundaries(kind, listed, document_of):
    document = document_of("acetaminophen and aceta, minophen", kind)
    ends, starts = set(document.end_T.tolist()), set()
    for start in document.start_T.tolist():
        starts.add(start + (document.text[start] == " "))
    pieces = ["aceta", "min", "a", "en", "phen"]
    source = Gazetteer(listed(*pieces), "fold", "token")
    got = source(document)
    assert got and all(start in starts and end in ends for start, end, _ in got)
    # Brute force: every place that begins a token, the longest piece that ends one, from the left.
    expected, free = [], 0
    for start in sorted(starts):
        sizes = [len(one) for one in pieces if document.text.startswith(one, start) and start + len(one) in ends]
        if start >= free and sizes:
            free = start + max(sizes)
            expected.append((start, free, "phrase"))
    assert got == expected


def test_chinese_needs_no_spaces(listed, document_of):
    document = document_of("我在北京大学，不在北京。")
    assert found(Gazetteer(listed("北京", "北京大学"), "exact", "word"), document) == [
        ("北京大学", "phrase"),
        ("北京", "phrase"),
    ]


def test_keyphrases_of_each_document(document_of):
    source = ColumnPhrases("keys", "fold", "word")
    one = document_of(TEXT, keys=["new york city", "Newer york", "absent"])
    assert [text for text, _ in found(source, one)] == ["New York City", "Newer York"]
    assert source(document_of(TEXT, keys=[])) == source(document_of(TEXT, keys=None)) == []
    spans = document_of(TEXT, keys=[{"start": 0, "end": 8, "type": "place"}])
    assert found(source, spans) == [("New York", "place")]


def test_settings_follow_the_content(listed):
    first = Gazetteer(listed("a"), "fold", "word").settings()
    assert Gazetteer(listed("a", name="other.txt"), "fold", "word").settings() == first
    assert Gazetteer(listed("b"), "fold", "word").settings() != first


def test_refusals(listed):
    with pytest.raises(RecipeError, match=r"^spans.file is not set; name"):
        Gazetteer(None, "fold", "word")
    with pytest.raises(RecipeError, match=r"^spans.file=nowhere.txt cannot be read \(No such file"):
        Gazetteer("nowhere.txt", "fold", "word")
    with pytest.raises(RecipeError, match=r"is empty; give one entry a line"):
        Gazetteer(listed(""), "fold", "word")
    with pytest.raises(RecipeError, match=r"has no column 'type'"):
        Gazetteer(listed("phrase", "a", name="bad.csv"), "fold", "word")
    with pytest.raises(RecipeError, match=r"^spans.case is lower; choose one of fold, exact"):
        Gazetteer(listed("a"), "lower", "word")
    with pytest.raises(RecipeError, match=r"^spans.boundary is line"):
        Gazetteer(listed("a"), "fold", "line")
