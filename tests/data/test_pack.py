"""Packing keeps every token once, in order, and says who may see whom."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from maskwright.data.pack import Packing, best_fit
from maskwright.data.rows import Rows, write
from maskwright.errors import RecipeError

PAD, CLS, SEP = 0, 2, 3
KINDS = ("concatenate", "segment", "document")
LENGTHS = {
    "mixed": [5, 1, 40, 6, 12, 3, 100, 6, 2],
    "exact": [6, 12, 6, 18],
    "one token": [1],
    "one long": [1000],
    "many short": list(np.random.default_rng(0).integers(1, 30, 300)),
}


def packed(tmp_path, kind, length_D, length=8):
    """Rows of tokens numbered from 10 on."""
    count = int(np.sum(length_D))
    columns = {
        "ids": np.arange(10, 10 + count).astype(np.uint32),
        "bytes": np.ones(count, dtype=np.uint16),
        "word": np.arange(count) % 3 == 0,
    }
    special = {"ids": (PAD, CLS, SEP), "bytes": (0, 0, 0), "word": (True, True, True)}
    plan = Packing(kind, length).plan(np.array(length_D))
    write(tmp_path, plan, length, columns, special)
    rows = Rows(tmp_path)
    return rows, {name: value.numpy() for name, value in rows.take(np.arange(len(rows))).items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LENGTHS)
def test_every_token_stands_once(tmp_path, kind, name):
    rows, batch = packed(tmp_path, kind, LENGTHS[name])
    ids, total = batch["ids"], int(np.sum(LENGTHS[name]))
    text = ids[ids >= 10]
    if kind == "segment":
        assert sorted(text) == list(range(10, 10 + total))
    else:
        assert text.tolist() == list(range(10, 10 + total))
    assert batch["bytes"].sum() == total == rows.bytes_total
    assert (batch["bytes"][ids < 10] == 0).all()
    assert rows.tokens == (ids != PAD).sum() == (batch["document"] > 0).sum()
    assert ((ids == PAD) == (batch["document"] == 0)).all()
    assert (ids[:, 0] == CLS).all()


@pytest.mark.parametrize("name", LENGTHS)
def test_concatenated_rows_are_full_and_join_documents(tmp_path, name):
    _, batch = packed(tmp_path, "concatenate", LENGTHS[name])
    ids = batch["ids"]
    assert (ids[:-1] != PAD).all()
    assert (ids[:-1, -1] == SEP).all()
    stream, end = [], 10
    for length in LENGTHS[name]:
        stream += [*range(end, end + length), SEP]
        end += length
    final = (ids[-1] != PAD).sum() - 1
    assert ids[-1, final] == SEP
    assert [*ids[:-1, 1:-1].ravel(), *ids[-1, 1:final], SEP] == stream
    assert set(batch["document"].ravel()) <= {0, 1}


@pytest.mark.parametrize("name", LENGTHS)
def test_segments_are_framed_and_numbered(tmp_path, name):
    _, batch = packed(tmp_path, "segment", LENGTHS[name], length=16)
    owner = np.repeat(np.arange(len(LENGTHS[name])), LENGTHS[name])
    for ids, document in zip(batch["ids"], batch["document"], strict=True):
        assert document[document > 0].tolist() == sorted(document[document > 0])
        for number in range(1, document.max() + 1):
            piece = ids[document == number]
            assert piece[0] == CLS
            assert piece[-1] == SEP
            assert len(set(owner[piece[1:-1] - 10])) == 1
            assert (np.diff(piece[1:-1]) == 1).all()


def test_document_rows_hold_one_document(tmp_path):
    length_D = LENGTHS["mixed"]
    rows, batch = packed(tmp_path, "document", length_D)
    assert len(rows) == sum(-(-length // 6) for length in length_D)
    owner = np.repeat(np.arange(len(length_D)), length_D)
    for ids in batch["ids"]:
        assert len(set(owner[ids[ids >= 10] - 10])) == 1
        assert ids[(ids != PAD).sum() - 1] == SEP


@pytest.mark.parametrize("kind", KINDS)
def test_cut_units_start_again(tmp_path, kind):
    """After [CLS] or [SEP] a unit starts, or else a special token would share its mask with text."""
    rows, batch = packed(tmp_path, kind, LENGTHS["mixed"])
    special = batch["ids"] < 10
    assert batch["word"][special].all()
    assert batch["word"][:, 1:][special[:, :-1]].all()
    inside = ~special
    inside[:, 1:] &= ~special[:, :-1]
    number = batch["ids"] - 10
    assert (batch["word"][inside] == (number[inside] % 3 == 0)).all()
    assert rows.longest == {"word": 3}


def test_best_fit_fills_rows_nearly_as_well_as_can_be():
    size = np.random.default_rng(1).integers(3, 129, 5000)
    row = best_fit(size, 128)
    load = np.bincount(row, weights=size)
    assert load.max() <= 128
    assert len(load) <= 1.02 * size.sum() / 128 + 1
    first = [int(np.flatnonzero(row == number)[0]) for number in range(50)]
    assert first == sorted(first)


def test_best_fit_takes_the_row_with_least_room():
    assert best_fit(np.array([7, 5, 3, 2]), 10).tolist() == [0, 1, 0, 1]


def test_blocks_of_rows_do_not_change_them(tmp_path, monkeypatch):
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    _, whole = packed(tmp_path / "whole", "segment", LENGTHS["many short"], length=32)
    monkeypatch.setattr("maskwright.data.rows._BLOCK", 96)
    rows, parts = packed(tmp_path / "parts", "segment", LENGTHS["many short"], length=32)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])
    assert rows.longest == {"word": 3}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("part", [1, 2, 7])
def test_plans_in_parts_are_the_plan(kind, name, part, monkeypatch):
    """Only pieces that look for company in a row may find other pieces."""
    packing, length_D = Packing(kind, 8), np.array(LENGTHS[name])
    groups = np.arange(len(length_D)) % 2
    whole, grouped = packing.plan(length_D), packing.plan(length_D, groups, 2)
    monkeypatch.setattr("maskwright.data.pack._PART", part)
    for before, now in ((whole, packing.plan(length_D)), (grouped, packing.plan(length_D, groups, 2))):
        if kind == "segment":
            assert now.size_P.sum() == before.size_P.sum()
            continue
        for field in fields(before):
            np.testing.assert_array_equal(getattr(before, field.name), getattr(now, field.name))
    assert len(list(packing.parts(length_D))) >= min(2, whole.rows) // part


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("triples", 64), "packing.kind is 'triples'; choose one of concatenate, segment, document, pairs."),
        (("segment", 4), "packing.length is 4; rows have 8 to 65536 tokens."),
        (("segment", 64.0), "packing.length is 64.0; rows have 8 to 65536 tokens."),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(RecipeError, match="^" + message.replace(".", r"\.") + "$"):
        Packing(*arguments)
