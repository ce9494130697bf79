"""Columns are summed up as counting by hand finds them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from maskwright.data.annotate import Annotator
from maskwright.masking.field import Field
from maskwright.seeing.annotations.columns import Real, _classes, _entries, _scores, _units, found


class Pairs(Annotator):
    """Units of two words each."""

    name = "pairs"

    def settings(self):
        return {"version": 1}

    def mark(self, document):
        return document.begins_T & (document.word_T % 2 == 0)


class Letters(Annotator):
    """The first letter of a token's word as its class: a, b, or none of them."""

    name, dtype, outside, names = "letters", np.uint8, 0, ("", "a", "b", "never")

    def settings(self):
        return {"version": 1}

    def mark(self, document):
        number = [{"a": 1, "b": 2}.get(word[:1].lower(), 0) for word in document.words]
        return np.array(number, np.uint8)[document.word_T]


class Lengths(Annotator):
    """Letters of the token's word, as a score; none for words of one letter."""

    name, dtype, outside = "lengths", np.float32, 0.0

    def settings(self):
        return {"version": 1}

    def mark(self, document):
        number = [len(word) if len(word) > 1 else 0 for word in document.words]
        return np.array(number, np.float32)[document.word_T]


class Rows(Annotator):
    """A row of a table for every third word."""

    name, dtype, outside = "rows", np.int32, -1

    def settings(self):
        return {"version": 1}

    def mark(self, document):
        return np.where(document.word_T % 3 == 0, document.word_T % 5, -1).astype(np.int32)


@pytest.fixture(scope="module")
def prepared(compose):
    """A small corpus with all of these columns."""
    from maskwright.data.prepare import prepare
    from maskwright.training.recipe import assemble

    cfg, choices = compose()
    recipe = assemble(cfg, choices)
    columns = ["word", Pairs(), Letters(), Lengths(), Rows()]
    return prepare(recipe.corpus, recipe.tokenizer, recipe.packing, 32, columns)


@pytest.fixture(scope="module")
def special(prepared):
    """The special tokens, and one that often stands inside a word, as a marker may inside a unit."""
    rows = prepared.train.take(np.arange(len(prepared.train)))
    inside = rows["ids"][~rows["word"]].bincount().argmax().item()
    return (*prepared.tokenizer.all_special_ids, inside)


@pytest.fixture(scope="module")
def field(prepared, special):
    """The training rows as maskings see them."""
    rows = prepared.train.take(np.arange(len(prepared.train)))
    return Field((rows["document"] > 0) & ~torch.isin(rows["ids"], torch.tensor(special)), rows, rows["ids"])


def by_hand(field, name):
    """For each unit of a column, its words, its tokens and its first token's place."""
    starts_BL, words_BL, units = field.starts(name), field.starts("word"), []
    for row, place in field.maskable_BL.nonzero().tolist():
        if starts_BL[row, place]:
            units.append([0, 0])
        units[-1][0] += bool(words_BL[row, place] or starts_BL[row, place])
        units[-1][1] += 1
    return units


@pytest.mark.parametrize("annotator", [Pairs(), None], ids=["pairs", "word"])
def test_units_are_counted_as_maskings_cut_them(annotator, prepared, special, field):
    name = "word" if annotator is None else annotator.name
    column = found(prepared, special, name, annotator, 0)
    units = by_hand(field, name)
    assert column.kind == "units" and column.number == len(units)
    several = [tokens for words, tokens in units if (tokens if annotator is None else words) > 1]
    assert column.share == pytest.approx(sum(several) / sum(tokens for _, tokens in units)) and several
    assert column.longest == prepared.train.longest[name] >= max(tokens for _, tokens in units)


def test_classes_are_counted(prepared, special, field):
    column = found(prepared, special, "letters", Letters(), 0)
    counted = Counter(Letters.names[c] for c in field.column("letters")[field.maskable_BL].tolist())
    assert column.kind == "classes" and column.classes == {name: counted[name] for name in ("a", "b")}
    assert column.number == 2
    assert column.share == pytest.approx((counted["a"] + counted["b"]) / counted.total())


def test_scores_and_entries_are_summed_up(prepared, special, field):
    scores = field.column("lengths")[field.maskable_BL].double()
    column = found(prepared, special, "lengths", Lengths(), 0)
    assert column.scores == pytest.approx(
        {"least": scores.min().item(), "mean": scores.mean().item(), "most": scores.max().item()}
    )
    assert column.kind == "scores" and column.number == (scores != 0).sum()
    entries = field.column("rows")[field.maskable_BL]
    column = found(prepared, special, "rows", Rows(), 0)
    assert (column.kind, column.number) == ("entries", 5)
    assert column.share == pytest.approx((entries >= 0).double().mean().item())


def test_a_portion_at_a_time_changes_nothing(prepared, special, monkeypatch):
    whole = [
        count(Real(prepared.train, special), annotator.name, annotator)
        for count, annotator in ((_units, Pairs()), (_classes, Letters()), (_entries, Rows()), (_scores, Lengths()))
    ]
    monkeypatch.setattr("maskwright.seeing.annotations.columns._ROWS", 7)
    parts = [
        count(Real(prepared.train, special), annotator.name, annotator)
        for count, annotator in ((_units, Pairs()), (_classes, Letters()), (_entries, Rows()), (_scores, Lengths()))
    ]
    for one, other in zip(whole, parts):
        assert (one.number, one.classes, one.longest) == (other.number, other.classes, other.longest)
        assert one.share == pytest.approx(other.share) and (one.scores or {}) == pytest.approx(other.scores or {})


def test_samples_stand_in_the_text(prepared, special):
    texts = [" ".join(document.text.split()) for document in prepared.source.train]
    pairs = found(prepared, special, "pairs", Pairs(), 9).samples
    assert len(pairs) == len(set(pairs)) == 9
    assert all(any(pair in text for text in texts) for pair in pairs)
    letters = found(prepared, special, "letters", Letters(), 9).samples
    assert len(letters) == 9
    for sample in letters:
        run, name = sample[:-4], sample[-2]
        assert sample.endswith(f" ({name})") and all(
            word[0].lower() == name for word in run.split() if word[0].isalpha()
        )
    for sample in found(prepared, special, "lengths", Lengths(), 6).samples:
        word, length = sample.rsplit(" ", 1)
        assert len(word) == int(length) > 6  # the longest first
    words = found(prepared, special, "word", None, 5).samples
    assert len(words) == 5 and all(len(prepared.tokenizer.tokenize(word)) > 1 for word in words)
