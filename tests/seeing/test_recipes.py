"""Policies side by side are composed as the command line would compose them."""

from __future__ import annotations

import pytest

from maskwright.errors import RecipeError
from maskwright.seeing.recipes import policies, swept


def test_a_policy_stands_on_top_of_the_command_line(hydra):
    base = ["masking=random", "rate.value=0.4", "corruption=bert", "packing.length=32"]
    plain, span, moving = policies(["", "masking=span rate.value=0.2", "rate=linear rate.start=0.5"], base)
    assert (plain.choices["masking"], plain.cfg.rate.value, plain.cfg.packing.length) == ("random", 0.4, 32)
    assert (span.choices["masking"], span.cfg.rate.value, span.choices["corruption"]) == ("span", 0.2, "bert")
    # rate.value has no place in a linear rate, and is left out
    assert moving.choices["rate"] == "linear" and moving.cfg.rate.start == 0.5 and "value" not in moving.cfg.rate
    assert [each.policy for each in (plain, span, moving)][1] == "masking=span rate.value=0.2"


def test_values_that_still_have_a_place_stay(hydra):
    (whole,) = policies(["masking=whole_word"], ["masking.budget.at_least=5", "masking/budget=exact"])
    assert whole.cfg.masking.budget.at_least == 5 and whole.choices["masking/budget"] == "exact"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("masking=nothing", "'masking=nothing' cannot be composed"),
        ("rate.nothing=1", "'rate.nothing=1' cannot be composed"),
        ("masking=random,span", "sweeps masking; list its values as policies"),
        ("masking='", "cannot be composed"),
        ("masking", "cannot be composed"),
    ],
)
def test_a_policy_that_does_not_compose_is_named(policy, said, hydra):
    with pytest.raises(RecipeError, match=said) as caught:
        policies([policy], [])
    assert "\n" not in str(caught.value)


def test_a_multirun_becomes_policies(hydra):
    words = swept(["-m", "masking=random,span", "rate.value=0.1,0.2", "corruption=bert", "show.json=true"])
    assert words[:2] == ["corruption=bert", "show.json=true"]
    assert words[2] == (
        "show.policies=['masking=random rate.value=0.1','masking=random rate.value=0.2',"
        "'masking=span rate.value=0.1','masking=span rate.value=0.2']"
    )
    assert swept(["masking=span"]) == ["masking=span"] and swept(["-m", "masking=span"]) == ["masking=span"]
    with pytest.raises(RecipeError, match="give one of the two"):
        swept(["--multirun", "masking=random,span", "show.policies=['masking=t5']"])


def test_policies_of_a_multirun_survive_the_command_line(hydra):
    """Quotes and lists come through Hydra's grammar and the shell's."""
    from hydra import compose

    words = swept(["-m", "data.files='a b.txt','c.txt'", "data=text", "rate.value=range(1,3)"])
    listed = list(compose("show_masks", words).show.policies)
    composed = policies(listed, ["data=text"])
    found = [(each.cfg.data.files, each.cfg.rate.value) for each in composed]
    assert found == [("a b.txt", 1), ("a b.txt", 2), ("c.txt", 1), ("c.txt", 2)]
