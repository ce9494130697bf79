"""What documents say of themselves, as classes of their tokens."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest
import torch

from maskwright.annotation.fields import Field, MetadataValues, period_of
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.errors import RecipeError


def spell(number):
    """Letters, so that no two documents are alike but for their digits."""
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dated")
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(60):
            date = f"{1900 + number % 6}-{1 + number % 12:02}-15"
            wing = "left" if number % 2 else "far right"
            text = f"{date[:4]} [DATE] {wing} [WING] We met {spell(number)} times in {date}."
            file.write(json.dumps({"text": text, "date": date, "lang": "de" if number % 3 else None}) + "\n")
    corpus = TextFiles(str(folder / "rows.jsonl"), heldout=0.1, columns=["date", "lang"])

    def made(columns, markers=("[DATE]", "[WING]")):
        return prepare(
            corpus,
            TrainedTokenizer("wordpiece", 64),
            Packing("document", 64),
            columns=columns,
            markers=markers,
            cache=folder / "cache",
        )

    return made


def test_fields_are_classes_of_all_tokens(dated):
    year, lang = Field("year", "date", "year"), Field("language", "lang", None)
    prepared = dated([year, lang])
    assert year.names == ["", *map(str, range(1900, 1906))] and lang.names == ["", "de"]
    rows = prepared.train.take(np.arange(len(prepared.train)))
    assert len(prepared.train) == len(prepared.source.train)
    for row, document in enumerate(prepared.source.train):
        real = (rows["document"][row] > 0) & ~torch.isin(rows["ids"][row], torch.tensor([0, 2, 3]))
        assert set(rows["year"][row][real].tolist()) == {year.names.index(document.text[:4])}
        assert set(rows["language"][row][real].tolist()) == {int(document.fields["lang"] == "de")}
        assert not rows["year"][row][~real].any()


def test_values_of_held_out_documents_alone_are_no_class(dated, document_of):
    year = Field("year", "date", "year")
    dated([year])
    assert set(year.mark(document_of("text", date="2024-01-01", lang=None)).tolist()) == {0}


@pytest.mark.parametrize(
    ("value", "period", "expected"),
    [
        (1984, "year", "1984"),
        ("1984-06-30", "year", "1984"),
        ("1984-06-30", "month", "1984-06"),
        ("1984/6/3", "day", "1984-06-03"),
        ("1984-06-30T12:00:00Z", "week", "1984-W26"),
        (datetime.datetime(2021, 1, 3, 5), "week", "2020-W53"),
        ("793", "year", "0793"),
    ],
)
def test_periods(value, period, expected):
    assert period_of(value, period, "date") == expected


def test_dates_that_are_none():
    with pytest.raises(RecipeError, match=r"^the column 'date' holds 'soon', which is no date; write dates as"):
        period_of("soon", "year", "date")
    with pytest.raises(RecipeError, match=r"^the column 'date' holds 1984, which has no month; choose a coarser"):
        period_of(1984, "month", "date")
    with pytest.raises(RecipeError, match=r"which has no day"):
        period_of("1984-02-31", "day", "date")
    with pytest.raises(RecipeError, match=r"^the period of year is hour; choose one of year, month, week, day"):
        Field("year", "date", "hour")
    with pytest.raises(RecipeError, match=r"^the column of year is not set"):
        Field("year", None, "year")


def test_values_before_the_text(dated):
    """Against the text itself: what stands before each marker is that field's value, and nothing else is one."""
    values = MetadataValues("metadata", {"wing": "[WING]", "date": "[DATE]"})
    prepared = dated([values])
    assert values.names == ["", "wing", "date"]
    vocabulary = prepared.tokenizer.get_vocab()
    shown = {1: set(), 2: set()}
    for document in prepared.source.train:
        class_T = values.mark(document)
        text = document.text
        date, wing = text.index(" [DATE]"), text.index(" [WING]")
        for end, token, kind in zip(document.end_T, document.id_T, class_T):
            marker = token in (vocabulary["[DATE]"], vocabulary["[WING]"])
            expected = 2 if end <= date else 1 if end <= wing else 0
            assert kind == (0 if marker else expected)
            if kind:
                shown[int(kind)].add(int(token))
    for number in (1, 2):
        first, size = int(values.first_C[number]), int(values.size_C[number])
        assert set(values.token_T[first : first + size].tolist()) == shown[number] and size == len(shown[number])
    assert int(values.size_C[0]) == 0 and len(values.token_T) == int(values.size_C.sum())
    assert not set(values.token_T.tolist()) & {vocabulary["[DATE]"], vocabulary["[WING]"]}


def test_markers_that_nobody_writes(dated):
    with pytest.raises(RecipeError, match=r"^metadata: no text is marked with \[PLACE\] \(place\), which"):
        dated([MetadataValues("metadata", {"place": "[PLACE]"})])
    with pytest.raises(RecipeError, match=r"^metadata: no training document has a value before \[PLACE\]"):
        dated([MetadataValues("metadata", {"place": "[PLACE]"})], markers=("[DATE]", "[PLACE]"))
    with pytest.raises(RecipeError, match=r"^metadata has no fields"):
        MetadataValues("metadata", {})


def test_erwt_shows_whole_years_in_place_of_years(compose, tmp_path):
    """Tokens that the class of dates may show, and shows, are all years."""
    import re

    import torch

    from maskwright.masking import Outcome
    from maskwright.training.recipe import assemble

    cfg, choices = compose("experiment=erwt", "tokenizer.vocabulary=800", "packing.length=192", "logger=csv",
                           "hardware=cpu", "heldout_rows=16", f"cache={tmp_path}", small=False)  # fmt: skip
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    views = recipe.bind(prepared, 0)
    rows = prepared.train.take(np.arange(400))
    rows["visit"] = torch.zeros_like(rows["sample"])
    view = views(rows, 0.0)["main"]
    dated_BL = (rows["metadata"] > 0) & (rows["ids"] != prepared.tokenizer.convert_tokens_to_ids("[DATE]"))
    assert (dated_BL.sum(1) == 1).all() and (dated_BL & view.maskable_BL).any()
    assert (view.outcome_BL > 0)[dated_BL].double().mean().item() == pytest.approx(0.25, abs=0.08)
    shown = prepared.tokenizer.convert_ids_to_tokens(
        view.ids_BM[dated_BL & (view.outcome_BL == Outcome.RANDOM)].tolist()
    )
    assert shown and all(re.fullmatch(r"\[\d{4}\]", token) for token in shown)
