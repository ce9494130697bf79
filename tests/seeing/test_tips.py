"""Hovering says what the view says."""

from __future__ import annotations

import re

from maskwright.seeing.pieces import Reader
from maskwright.seeing.seen import seen
from maskwright.seeing.text_html import outlined
from maskwright.seeing.tips import one_box, tips


def of(look, row=0):
    (each,) = seen([look], row + 1)
    reader = Reader(look.prepared.tokenizer)
    tokens = each.rows[row].tokens
    return tokens, tips(each, tokens, outlined(each), reader), reader


def test_a_unit_is_named_by_its_text(look_at):
    tokens, said, reader = of(look_at("masking=span", "rate.value=0.5"))
    for number, (token, text) in enumerate(zip(tokens, said)):
        lines = text.splitlines()
        assert lines[0] == reader.piece(token.id)
        unit = next((line for line in lines if line.startswith("unit of")), None)
        assert (unit is not None) == bool(token.outcome)
        if unit is None:
            continue
        assert lines[1] == "masked, shown as [MASK]"
        first = last = number
        while one_box(tokens[first - 1] if first else None, tokens[first]):
            first -= 1
        while last + 1 < len(tokens) and one_box(tokens[last], tokens[last + 1]):
            last += 1
        size = int(re.match(r"unit of (\d+) token", unit)[1])
        assert size == last - first + 1
        assert all(member.unit == token.unit for member in tokens[first : last + 1])
        if size > 1:
            letters = "".join(reader[member.id].text for member in tokens[first : last + 1])
            assert "".join(unit.partition(": ")[2].split()) == letters


def test_classes_weights_and_prediction_are_told(look_at, strata):
    tokens, said, _ = of(look_at(*strata, "prediction=share", "prediction.value=0.05"))
    for token, text in zip(tokens, said):
        lines = text.splitlines()
        assert (f"stratum: {token.columns['stratum']}" in lines) == (token.columns["stratum"] is not None)
        assert f"rate {100 * token.steer:.3g}%" in lines
        assert ("not predicted" in lines) == (bool(token.outcome) and not token.predicted)
    assert any("not predicted" in text for text in said) and any("stratum: stop" in text for text in said)


def test_units_of_the_column_are_named_where_they_are_visible(look_at):
    tokens, said, _ = of(look_at("masking=whole_word", "rate.value=0.0"))
    for number, token in enumerate(tokens):
        behind = tokens[number + 1] if number + 1 < len(tokens) else None
        several = not token.columns["word"] or (behind is not None and not behind.columns["word"])
        assert bool(re.search(r"^word of \d+ tokens: ", said[number], re.MULTILINE)) == several
