"""Expressions of time are found whole, with their type, and what only looks like one is not."""

from __future__ import annotations

import pytest

from maskwright.annotation.temporal import TYPES, Temporal
from maskwright.errors import RecipeError

EXPECTED = (
    ("On July 4, 1776 they met", [("July 4, 1776", "date")]),
    ("Tuesday, 3 March 1903", [("Tuesday, 3 March 1903", "date")]),
    ("the 4th of July", [("the 4th of July", "date")]),
    ("the 3d of December, 1807", [("the 3d of December, 1807", "date")]),
    ("in March\n1865", [("March\n1865", "date")]),
    ("2001-09-11 and 12/25/1999", [("2001-09-11", "date"), ("12/25/1999", "date")]),
    ("Sept. 11 and Jan Smith", [("Sept. 11", "date")]),
    ("in 1898, by 2020", [("1898", "year"), ("2020", "year")]),
    ("44 B.C. and A.D. 79", [("44 B.C.", "year"), ("A.D. 79", "year")]),
    ("the 1920s, the ’60s", [("the 1920s", "decade"), ("the ’60s", "decade")]),
    ("the late nineties", [("the late nineties", "decade")]),
    ("the early nineteenth century", [("the early nineteenth century", "century")]),
    ("the 19th century", [("the 19th century", "century")]),
    ("the summer of 1914", [("the summer of 1914", "season")]),
    ("two years ago and last week", [("two years ago", "relative"), ("last week", "relative")]),
    ("Yesterday or to-morrow", [("Yesterday", "relative"), ("to-morrow", "relative")]),
    ("on Monday in October", [("Monday", "weekday"), ("October", "month")]),
    ("in May he may march since May", [("May", "month"), ("since", "signal"), ("May", "month")]),
    ("before the war, During it, prior to it", [("before", "signal"), ("During", "signal"), ("prior to", "signal")]),
    ("1776 men, $1898, 1,898 and 1898.5, page 1999-2, 1898%, x1898, 18981", []),
    ("marching maybe monday sunk thence 12 yearlings", []),
)  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), EXPECTED, ids=lambda value: value if isinstance(value, str) else "")
def test_expressions(text, expected, document_of):
    assert [(text[a:b], kind) for a, b, kind in Temporal(None)(document_of(text))] == expected


def test_every_type_occurs_above():
    assert {kind for _, expected in EXPECTED for _, kind in expected} == set(TYPES)


def test_chosen_types(document_of):
    document = document_of("before July 4, 1776 and in 1898")
    assert [kind for *_, kind in Temporal(["year"])(document)] == ["year", "year"]  # the date's own year is one
    assert [kind for *_, kind in Temporal(["signal"])(document)] == ["signal"]
    assert Temporal(["signal", "year"]).types == ("year", "signal")
    with pytest.raises(RecipeError, match=r"^spans.types is \['hour'\]; temporal expressions are of the types date,"):
        Temporal(["hour"])
