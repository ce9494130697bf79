"""Units and classes of spans, against a reading of the text character by character."""

from __future__ import annotations

import random

import numpy as np
import pytest

from maskwright.annotation.sources import ColumnSpans
from maskwright.annotation.spans import SpanTypes, SpanUnits, placed, types_of
from maskwright.errors import RecipeError

KINDS = ["wordpiece", "bpe", "unigram"]


def random_spans(text, rng, number):
    spans = []
    for _ in range(number):
        start = rng.randrange(len(text))
        spans.append({"start": start, "end": start + rng.randrange(1, 25), "type": rng.choice("abc")})
    return spans


def owners(document):
    """By brute force: the span of each token (-1: none): the first span, in order and apart, that shares a character
    with it that is no space; and a token of white space has the owner of the next token in a span or word."""
    spans = ColumnSpans("spans")(document)
    found = []
    for start, end in zip(document.start_T.tolist(), document.end_T.tolist()):
        letters = [place for place in range(start, end) if not document.text[place].isspace()]
        mine = [n for n, (a, b, _) in enumerate(spans) if any(a <= place < b for place in letters)]
        found.append(mine[0] if mine else (None if not letters else -1))
    following = -1
    for token in reversed(range(len(found))):
        following = found[token] if found[token] is not None else following
        found[token] = following
    # White space inside a span is the span's, and before a span too: in both cases the next token's.
    return found, spans


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", ["word", "token"])
def test_units_and_types_equal_brute_force(kind, rest, document_of, addresses):
    rng = random.Random(1)
    for number in range(6):
        text = addresses[number][200 * number : 200 * number + 900] + "\n\n  end "
        document = document_of(text, kind, spans=random_spans(text, rng, 25))
        owner, spans = owners(document)
        units = SpanUnits("unit", ColumnSpans("spans"), rest)
        starts = units.mark(document)
        classes = SpanTypes("type", ColumnSpans("spans"), ["a", "b", "c"], None).mark(document)
        merged = SpanTypes("merged", ColumnSpans("spans"), ["a"], "one").mark(document)
        for token, span in enumerate(owner):
            kind_here = spans[span][2] if span >= 0 else ""
            assert classes[token] == ["", "a", "b", "c"].index(kind_here)
            assert merged[token] == (kind_here == "a")
            before = owner[token - 1] if token else None
            if span >= 0:
                assert starts[token] == (span != before)
            elif token and before >= 0:
                assert starts[token]  # what follows a span begins anew
            else:
                assert starts[token] == (rest == "token" or document.begins_T[token])
        assert classes.dtype == SpanTypes.dtype and starts.dtype == bool


def test_spans_without_a_token_are_dropped(document_of):
    document = document_of("a b", spans=[{"start": 1, "end": 2, "type": "x"}, {"start": 90, "end": 95, "type": "x"}])
    assert not len(placed(document, ColumnSpans("spans")).first_N)
    assert SpanUnits("unit", ColumnSpans("spans"), "word").mark(document).all()
    empty = document_of("", spans=[])
    assert len(SpanUnits("unit", ColumnSpans("spans"), "word").mark(empty)) == 0
    assert len(SpanTypes("type", ColumnSpans("spans"), ["x"], None).mark(empty)) == 0


@pytest.fixture(scope="module")
def tagged_source(tmp_path_factory, addresses):
    """Names in a column of a small corpus; the type `rare` stands in one document alone."""
    import json

    from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare

    folder = tmp_path_factory.mktemp("tagged")
    names = {"Anna": "person", "Paris": "place", "Rome": "place"}
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(40):
            more = addresses[number % 20][300 + number : 500 + number]
            text = f"Then {'Anna' if number % 2 else 'Rome'} went to Paris; {more}"
            spans = [
                {"start": at, "end": at + len(name), "type": kind}
                for name, kind in names.items()
                if (at := text.find(name)) >= 0
            ]
            file.write(json.dumps({"text": text, "names": spans, "label": number % 3}) + "\n")
    corpus = TextFiles(str(folder / "rows.jsonl"), heldout=0.2, columns=["names", "label"])

    def made(columns):
        return prepare(
            corpus, TrainedTokenizer("bpe", 300), Packing("document", 32), columns=columns, cache=folder / "cache"
        )

    return made


def test_types_are_learned_from_the_training_side(tagged_source):
    column = SpanTypes("kind", ColumnSpans("names"), None, None)
    again = SpanTypes("kind", ColumnSpans("names"), None, None)
    prepared = tagged_source([column, again, SpanUnits("unit", ColumnSpans("names"), "word")])
    assert column.names == again.names == ["", "person", "place"]
    counts = types_of(prepared.source, ColumnSpans("names"))
    texts = [document.text for document in prepared.source.train]
    assert counts == {
        "person": sum("Anna" in text for text in texts),
        "place": sum(1 + ("Rome" in text) for text in texts),
    }
    rows = prepared.train.take(np.arange(len(prepared.train)))
    persons = prepared.tokenizer.decode(rows["ids"][rows["kind"] == 1].tolist())
    assert persons.split() == ["anna"] * counts["person"]
    assert not rows["kind"][rows["document"] == 0].any()
    assert prepared.train.longest["unit"] >= 1


def test_a_missing_column_is_refused(tagged_source):
    with pytest.raises(RecipeError, match=r"^unit reads the column 'spans' of the documents, and it carries names"):
        tagged_source([SpanUnits("unit", ColumnSpans("spans"), "word")])
    with pytest.raises(RecipeError, match=r"^the unit units have rest=none; choose one of word, token"):
        SpanUnits("unit", ColumnSpans("spans"), "none")
