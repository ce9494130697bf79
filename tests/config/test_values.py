"""Which values an annotation takes, and how it is put into words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pytest
from annotated_types import Ge, Gt, Le
from pydantic import AllowInfNan

from maskwright.config.values import check, fits, in_words, shown
from maskwright.errors import RecipeError
from maskwright.masking.rates import Constant, Rate


class Named(Protocol):
    name: str


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [0, -3, 2**63 - 1], [2.5, 1.0, True, "3", None, float("nan"), 2**63, [1]]),
        (float, [1, 0.5, -1e30], [1e300, -1e300, True, "0.5", None, float("nan"), float("inf"), [0.5]]),
        (Annotated[float, AllowInfNan(True)], [float("inf")], ["inf"]),
        (bool, [True, False], [1, "true", None]),
        (str, ["", "a", "日本"], [1, True, None, ["a"], "a\x00b", "\ud800"]),
        (int | None, [1, None], ["null", 1.5]),
        (str | int, ["auto", 3], [2.5, True]),
        (Path, ["a/b", Path("a")], [3, None]),
        (Sequence[str], [[], ["a"]], ["a", [1], {"a": 1}, None]),
        (Iterable[str] | None, [["a"], None], ["a", 3]),
        (str | Iterable[str] | None, ["a", ["a"]], [5, [5]]),
        (Sequence[float], [[0.5, 1]], [[0.5, "a"], 0.5, [float("nan")]]),
        (tuple[int, ...], [[1, 2], []], [[1.5], 3]),
        (Mapping[str, float], [{"a": 1}], [{"a": "b"}, {1: 1.0}, [1], 3]),
        (Literal["a", "b"], ["a"], ["c", 1]),
        (Any, [1, "a", None, [float("nan")]], []),
        (Rate, [Constant(0.15)], [0.15, "constant", {"value": 1}, None]),
        (Rate | None, [Constant(0.15), None], [0.15]),
        (Mapping[str, Rate], [{"a": Constant(0.1)}], [{"a": 0.1}]),
        (Named, [Constant(0.15)], ["word", 5, None, [], {}]),
        (str | Named, ["word", Constant(0.15)], [5, None, {}]),
        (Annotated[int, Ge(1)], [1], [0, 1.5]),
    ],
)
def test_which_values_fit(annotation, good, bad):
    assert [value for value in good if not fits(value, annotation)] == []
    assert [value for value in bad if fits(value, annotation)] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Ge(1)], "a whole number from 1 up"),
        (Annotated[float, Gt(0)] | None, "a number above 0, or null"),
        (Annotated[float, Ge(0), Le(1)], "a number between 0 and 1"),
        (int | None, "a whole number or null"),
        (int | float, "a number"),
        (int | str, "a whole number or a text"),
        (Sequence[float], "a list of numbers"),
        (str | Sequence[str] | None, "a text, a list of texts, or null"),
        (Mapping[str, Any], "names with their values, as in {name: value}"),
        (Literal["a", "b"], "one of a, b"),
        (Rate, "a part with _target_, of the kind Rate"),
    ],
)
def test_an_annotation_in_words(annotation, words):
    assert in_words(annotation) == words


@pytest.mark.parametrize(
    ("key", "value", "annotation", "message"),
    [
        ("seeds.masks", 2.5, int, "seeds.masks is 2.5; give a whole number."),
        ("trainer.max_steps", 1000.0, int, "trainer.max_steps is 1000.0; give a whole number, such as 1000."),
        ("rate.value", "abc", float, "rate.value is 'abc'; give a number."),
        ("optimizer.lr", 1e300, float, "optimizer.lr is 1e+300; give a number, at most 1e+30."),
        ("rate.value", None, float, "rate.value is null; give a number."),
        ("checkpoint.keep", [1, 2], int, "checkpoint.keep is [1, 2]; give a whole number."),
        ("name", 2024, str, "name is 2024; give a text, in two pairs of quotes, as in name=\"'2024'\"."),
        ("logger.api_key", ["x"], str, "logger.api_key is ['x']; give a text."),
    ],
)
def test_a_message_says_key_value_and_cure(key, value, annotation, message):
    with pytest.raises(RecipeError) as refused:
        check(key, value, annotation)
    assert str(refused.value) == message


def test_values_are_shown_in_one_short_line_without_secrets():
    assert shown("a\nb") == "'a\\nb'" and len(shown("x" * 1000)) == 60 and shown(True) == "true"
    assert shown("hunter2", "logger.password") == "'***'"
