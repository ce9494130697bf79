"""Sources of spans: columns, several together, one of three places; overlaps are resolved alike everywhere."""

from __future__ import annotations

import itertools
import random

import pytest

from maskwright.annotation.sources import ColumnSpans, Given, Joined, Spans, apart
from maskwright.errors import RecipeError


class Fixed(Spans):
    def __init__(self, *spans):
        self.spans, self.asked = list(spans), 0

    def settings(self):
        return {"spans": self.spans}

    def find(self, document):
        self.asked += 1
        return self.spans


def test_spans_apart():
    """Of all sets without overlap, the one that a reader from the left takes, the longest where two begin together."""
    rng = random.Random(0)
    for _ in range(300):
        spans = [(start, start + rng.randrange(0, 6), "x") for start in rng.choices(range(12), k=rng.randrange(8))]
        got = apart(spans)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(got)) and set(got) <= set(spans)
        place = 0
        for span in got:
            rest = [one for one in spans if one[0] >= place and one[1] > one[0]]
            first = min(start for start, _, _ in rest)
            assert span == max((one for one in rest if one[0] == first), key=lambda one: one[1])
            place = span[1]
        assert not [one for one in spans if one[0] >= place and one[1] > one[0]]


def test_a_document_is_searched_once(document_of):
    document = document_of("some text")
    one, two = Fixed((0, 4, "a")), Fixed((0, 4, "a"))
    assert one(document) == two(document) == [(0, 4, "a")]
    assert (one.asked, two.asked) == (1, 0)  # equal settings share the document's memory
    assert one(document_of("other")) == [(0, 4, "a")] and one.asked == 2


def test_columns_in_both_shapes(document_of):
    rows = [{"start": 5, "end": 9, "type": "b"}, {"start": 0, "end": 4, "type": "a"}]
    table = {"start": [5, 0], "end": [9, 4], "type": ["b", "a"]}
    source = ColumnSpans("spans")
    expected = [(0, 4, "a"), (5, 9, "b")]
    assert source(document_of("some text", spans=rows)) == source(document_of("some text", spans=table)) == expected
    assert source(document_of("some text", spans=[{"start": 0, "end": 4}])) == [(0, 4, "span")]
    assert source(document_of("some text", spans=None)) == []
    with pytest.raises(RecipeError, match=r"^the column 'spans' of document 7 holds \['x'\]; a column of spans holds"):
        source(document_of("some text", spans=["x"], document=7))


def test_joined_sources_take_turns(document_of):
    first, second = Fixed((5, 9, "a"), (20, 22, "a")), Fixed((0, 6, "b"), (9, 12, "b"), (12, 25, "b"), (25, 26, "b"))
    joined = Joined({"one": first, "two": second})
    assert joined(document_of("x" * 30)) == [(5, 9, "a"), (9, 12, "b"), (20, 22, "a"), (25, 26, "b")]
    assert joined.types is None
    with pytest.raises(RecipeError, match="names no source"):
        Joined({})


def given(**settings):
    plain = {"what": "entities", "column": None, "file": None, "tagger": None, "types": None}
    return Given(**{**plain, "case": "fold", "boundary": "word", **settings})


def test_one_place_and_chosen_types(tmp_path, document_of):
    (tmp_path / "names.csv").write_text("phrase,type\nParis,place\nAnna,person\n")
    document = document_of("Anna sees Paris.")
    assert given(file=str(tmp_path / "names.csv"))(document) == [(0, 4, "person"), (10, 15, "place")]
    places = given(file=str(tmp_path / "names.csv"), types=["place"])
    assert places(document) == [(10, 15, "place")] and places.types == ("place",)
    with pytest.raises(RecipeError, match=r"^spans.types names 'city'; these spans have the types place, person"):
        given(file=str(tmp_path / "names.csv"), types=["city"])
    for wrong in ({}, {"column": "a", "file": "b"}):
        with pytest.raises(RecipeError, match=r"^entities need one place to come from: set one of column"):
            given(**wrong)
    assert given(column="tags").reads == ("tags",)
