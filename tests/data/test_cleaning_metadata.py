"""Metadata stands in front of every row; pieces of a document stay on one side."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest

from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.data.cleaning import Metadata, Several, Web
from maskwright.data.pack import Packing as Rule
from maskwright.errors import RecipeError

FIELDS = [{"column": "date", "marker": "[DATE]", "granularity": "year"}, {"column": "side", "marker": "[POL]"}]
WORDS = ("the", "house", "will", "consider", "again", "what", "has", "been", "proposed", "by", "members", "on", "trade")


@pytest.fixture(scope="module")
def articles(tmp_path_factory):
    """40 dated articles with words of their own, so that each piece says where it came from."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(40):
        words = [f"{WORDS[draw.integers(len(WORDS))]}" for _ in range(int(draw.integers(5, 90)))]
        name = "".join(chr(97 + int(digit)) for digit in f"{number:02d}")
        text = "\n\n".join(" ".join([name, *words[first : first + 20]]) for first in range(0, len(words), 20))
        side = None if number == 3 else ("liberal", "conservative party")[number % 2]
        rows.append({"text": text, "date": f"{1880 + number}-05-{1 + number % 28:02d}", "side": side})
    path = tmp_path_factory.mktemp("articles") / "articles.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def made(articles, tmp_path, cleaning, length=32, kind="document", columns=("date", "side"), **options):
    corpus = TextFiles(str(articles), heldout=0.2, columns=columns, **options)
    tokenizer = TrainedTokenizer(vocabulary=150, min_frequency=1)
    return prepare(corpus, tokenizer, Packing(kind, length), 32, cache=tmp_path, cleaning=cleaning)


def rows_of(prepared, rows):
    return rows.take(np.arange(len(rows)))["ids"].numpy()


def parts(prepared, row):
    """Year, side (or None) and the body's letters of one row."""
    tokens = prepared.tokenizer.convert_ids_to_tokens(row[row > 0].tolist())[1:-1]
    date, side = tokens.index("[DATE]"), tokens.index("[POL]") if "[POL]" in tokens else -1
    label = " ".join(tokens[date + 1 : side]).replace(" ##", "") if side >= 0 else None
    body = "".join(token.removeprefix("##") for token in tokens[max(date, side) + 1 :])
    return "".join(token.removeprefix("##") for token in tokens[:date]), label, body


@pytest.mark.parametrize("words", [10, 100, None])
def test_every_row_begins_with_the_prefix_and_no_token_is_lost(articles, tmp_path, words):
    prepared = made(articles, tmp_path, Metadata(FIELDS, words))
    given = {row["date"][:4]: row for row in map(json.loads, articles.read_text().splitlines())}
    seen = dict.fromkeys(given, "")
    years = []
    for rows in (prepared.train, prepared.heldout):
        found = [parts(prepared, row) for row in rows_of(prepared, rows)]
        for year, side, body in found:
            assert side == given[year]["side"]
            seen[year] += body
        years.append({year for year, _, _ in found})
        assert max((rows_of(prepared, rows) > 0).sum(1)) <= 32
    assert seen == {year: "".join(row["text"].split()) for year, row in given.items()}
    assert not years[0] & years[1]  # all pieces of a document are on one side
    assert prepared.report["documents"] == {"train": len(years[0]), "heldout": len(years[1])}
    longest = max(len(row["text"].split()) for row in given.values())
    assert ("pieces" in prepared.report) == (words is not None and words < longest)


def test_pieces_have_as_many_words_as_asked_for():
    cleaning = Metadata(FIELDS, 3)
    text = " one two\nthree  four five\n\nsix seven "
    assert cleaning.pieces(text, {}) == ["one two\nthree", "four five\n\nsix", "seven"]
    assert cleaning(text, {}) == text
    assert Metadata(FIELDS, None).pieces(text, {}) == [text.strip()]


@pytest.mark.parametrize(
    ("granularity", "value", "text"),
    [
        (None, "a  b\n", "a b [D] "),
        (None, None, ""),
        (None, 1898, "1898 [D] "),
        ("day", "1898-05-31", "1898-05-31 [D] "),
        ("day", "18980531", "1898-05-31 [D] "),
        ("month", "1898/05/31", "1898-05 [D] "),
        ("year", 1898, "1898 [D] "),
        ("year", datetime.date(1898, 5, 31), "1898 [D] "),
        ("decade", "1898", "1890 [D] "),
        ("century", "1898-05", "1800 [D] "),
    ],
)
def test_dates_are_written_as_finely_as_asked_for(granularity, value, text):
    field = {"column": "when", "marker": "[D]", "granularity": granularity}
    assert Metadata([field]).prefix({"when": value}) == text


def test_values_can_be_tokens_of_their_own(articles, tmp_path):
    fields = [{**FIELDS[0], "own": True}, {**FIELDS[1], "own": True}]
    cleaning = Metadata(fields, 10)
    prepared = made(articles, tmp_path, cleaning)
    assert len(prepared.tokenizer) == 150 + 2 + 40 + 2
    year, side, _ = parts(prepared, rows_of(prepared, prepared.train)[0])
    assert year in [f"[{number}]" for number in range(1880, 1920)]
    assert side in ("[liberal]", "[conservative_party]")
    again = Metadata(fields, 10)
    assert made(articles, tmp_path, again).fingerprints == prepared.fingerprints
    assert again.tokens == cleaning.tokens
    assert {"[1880]", "[liberal]", "[conservative_party]"} < set(again.tokens)
    assert not {"[DATE]", "[POL]"} & set(again.tokens)


def test_after_another_cleaning(articles, tmp_path):
    both = Several([Web(), Metadata([{**FIELDS[0], "own": True}], 10)])
    prepared = made(articles, tmp_path, both, columns=("date",))
    assert both.markers == ("[URL]", "[EMAIL]", "[DATE]")
    assert len(both.tokens) == 40
    assert parts(prepared, rows_of(prepared, prepared.train)[0])[0] in both.tokens
    fresh = Several([Web(), Metadata([{**FIELDS[0], "own": True}], 10)])
    made(articles, tmp_path, fresh, columns=("date",))
    assert fresh.tokens == both.tokens  # remembered beside the texts


def test_groups_keep_their_prefixes(articles, tmp_path):
    prepared = made(articles, tmp_path, Metadata(FIELDS[:1], 50), columns=("date",), group="side")
    date = prepared.tokenizer.convert_tokens_to_ids("[DATE]")
    assert ((rows_of(prepared, prepared.train) == date).sum(1) == 1).all()
    assert len(prepared.groups) == 3


def test_the_plan_repeats_prefixes():
    """Against a plain loop over documents."""
    draw = np.random.default_rng(3)
    length_D = draw.integers(1, 60, 200)
    prefix_D = np.minimum(draw.integers(0, 8, 200), length_D)
    plan = Rule("document", 20).plan(length_D, prefix_D=prefix_D)
    rows = np.zeros((plan.rows, 20), dtype=np.int64) - 1
    for row, column, source, size in zip(plan.row_P, plan.column_P, plan.source_P, plan.size_P, strict=True):
        rows[row, column : column + size] = np.arange(source, source + size)
    for row, column, is_sep in zip(plan.row_S, plan.column_S, plan.is_sep_S, strict=True):
        assert rows[row, column] == -1
        rows[row, column] = -3 if is_sep else -2
    expected, first = [], 0
    for length, prefix in zip(length_D, prefix_D, strict=True):
        body = list(range(first + prefix, first + length))
        room = 18 - prefix
        for begin in range(0, max(1, len(body)), room):
            line = [-2, *range(first, first + prefix), *body[begin : begin + room], -3]
            expected.append(line + [-1] * (20 - len(line)))
        first += length
    assert rows.tolist() == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Metadata(), "cleaning.fields is empty; list what to write, as in cleaning.fields="),
        (lambda: Metadata([{"column": "a"}]), "cleaning.fields has {'column': 'a'}; a field has column and marker"),
        (lambda: Metadata([{"column": "a", "marker": "x y"}]), "cleaning.fields: the marker of a is 'x y'; give one"),
        (lambda: Metadata([{**FIELDS[0], "granularity": "week"}]), "cleaning.fields: the granularity of date is"),
        (lambda: Metadata([FIELDS[0], FIELDS[0]]), "cleaning.fields has one marker twice; give every field its own."),
        (lambda: Metadata(FIELDS, 0), "cleaning.words is 0; give a whole number from 1 up, or null."),
        (lambda: Metadata(FIELDS).prefix({"date": "May 1898"}),
         "cleaning.fields: date holds 'May 1898', of which no year can be read; write dates as 1898-05-31"),
    ],
)  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(RecipeError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_row_must_have_room_for_more_than_the_prefix(articles, tmp_path):
    with pytest.raises(RecipeError, match=r"^packing.length is 8, and what the cleaning writes before a text takes up"):
        made(articles, tmp_path, Metadata(FIELDS), length=8)
    with pytest.raises(RecipeError, match=r"^the cleaning writes a prefix that every row must show, and packing=conc"):
        made(articles, tmp_path, Metadata(FIELDS), kind="concatenate")
    with pytest.raises(RecipeError, match=r"^cleaning reads the column 'side', which the documents do not carry; set"):
        made(articles, tmp_path, Metadata(FIELDS), columns=("date",))
