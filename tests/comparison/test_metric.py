"""The figure compared by, and that unlike figures are never compared."""

from __future__ import annotations

import pytest

from maskwright.comparison.comparison import Options, compare_runs
from maskwright.comparison.find import find
from maskwright.comparison.metric import choose, direction
from maskwright.errors import RecipeError


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("ruler/loss", True),
        ("ruler/accuracy", False),
        ("ruler/bits_per_byte", True),
        ("heldout/mlm", True),
        ("heldout/accuracy/mlm", False),
        ("evaluation/retrieval/ndcg@10", False),
        ("evaluation/similarity/spearman", False),
        ("evaluation/finetune/mcc", False),
        ("speed/tokens_per_second", True),
        ("seconds", True),
    ],
)
def test_which_way_is_better(name, lower):
    if name == "speed/tokens_per_second":
        assert direction(name, "higher") is False
        return
    assert direction(name) is lower and direction(name, "lower") is True


def test_an_untelling_name_wants_a_word():
    with pytest.raises(RecipeError, match="add --better lower or --better higher"):
        direction("evaluation/x/thing")
    with pytest.raises(RecipeError, match="--better"):
        direction("speed/tokens_per_second")


def other_tokenizer(**figures):
    return {
        "facts": {"fingerprints": {"corpus": "c", "tokenizer": "T", "train": "x", "ruler": "y"}},
        "figures": figures,
    }


@pytest.fixture
def mixed(make_run, tmp_path):
    """Two tokenizers, two seeds each; `mixed(figure=...)` gives every run more figures."""

    def make(first=None, second=None):
        for seed in (1, 2, 3):
            make_run(f"a{seed}", {"packing": "a", "seed": seed}, loss=5.0 + seed / 10, figures=first)
            make_run(
                f"b{seed}", {"packing": "b", "seed": seed}, loss=4.0 + seed / 7, **other_tokenizer(**(second or {}))
            )
        return find([tmp_path / "sweep"])

    return make


def test_runs_with_other_tokenizers_are_not_compared_by_loss(mixed):
    result = compare_runs(mixed())
    assert result.metric.name == "ruler/loss" and sorted({arm.group for arm in result.arms}) == ["A", "B"]
    (pair,) = result.pairs
    assert pair.p is None and pair.difference is None and pair.reason.startswith("not the same quantity")
    assert [arm.rank for arm in result.arms] == [1, 1]  # each first of its own group
    assert result.cells == [] and result.factors == []
    said = next(one.text for one in result.warned if one.about == "not one ruler")
    assert "differ in tokenizer" in said and "not compared by ruler/loss" in said and "character offsets" in said


def test_a_word_level_figure_is_taken_where_all_have_it(mixed):
    first, second = ({"evaluation/ruler/ruler/word_bits_per_byte": value} for value in (1.5, 1.4))
    result = compare_runs(mixed(first, second))
    assert result.metric.name == "evaluation/ruler/ruler/word_bits_per_byte" and result.metric.lower
    assert {arm.group for arm in result.arms} == {"A"} and result.pairs[0].difference == pytest.approx(0.1)
    assert "so ruler/loss is not the same quantity in all of them" in result.warned[0].text


def test_an_asked_for_figure_is_not_exchanged(mixed):
    first, second = ({"evaluation/ruler/ruler/word_bits_per_byte": value} for value in (1.5, 1.4))
    result = compare_runs(mixed(first, second), Options(metric="ruler/loss"))
    assert result.metric.name == "ruler/loss" and result.pairs[0].p is None


def test_bits_per_byte_across_tokenizers_only_when_asked_and_with_a_warning(mixed):
    result = compare_runs(
        mixed({"ruler/bits_per_byte": 2.0}, {"ruler/bits_per_byte": 1.9}), Options(metric="ruler/bits_per_byte")
    )
    assert result.pairs[0].difference is not None and "masks other characters" in result.warned[0].text


def test_other_text_is_never_compared(make_run, tmp_path):
    for seed in (1, 2):
        for name, corpus in (("a", "c"), ("b", "C")):
            more = {
                "ruler/bits_per_byte": 2.0,
                "ruler/word_bits_per_byte": 2.0,
                "evaluation/pairs/accuracy": 0.5 + seed / 10,
            }
            make_run(
                f"{name}{seed}", {"data": name, "seed": seed}, figures=more, facts={"fingerprints": {"corpus": corpus}}
            )
    runs = find([tmp_path / "sweep"])
    for name in (None, "ruler/bits_per_byte", "ruler/word_bits_per_byte"):
        result = compare_runs(runs, Options(metric=name))
        assert len({arm.group for arm in result.arms}) == 2 and all(pair.p is None for pair in result.pairs)
    shared = compare_runs(runs, Options(metric="evaluation/pairs/accuracy"))  # it brings its own data
    assert {arm.group for arm in shared.arms} == {"A"} and shared.pairs[0].n == 2


def test_another_ruler_is_another_quantity(make_run, tmp_path):
    make_run("0", {"ruler.rows": 16})
    make_run("1", {"ruler.rows": 8})
    assert choose(find([tmp_path / "sweep"])).groups == ["A", "B"]


def test_one_recipe_on_two_rulers_is_two_arms(make_run, tmp_path):
    """A tokenizer trained twice gives two vocabularies; their seeds must not be averaged."""
    make_run("0", {"seed": 1}, loss=5.0)
    make_run("1", {"seed": 2}, loss=3.0, **other_tokenizer())
    result = compare_runs(find([tmp_path / "sweep"]))
    assert [(arm.arm, arm.n) for arm in result.arms] == [("all runs [data A]", 1), ("all runs [data B]", 1)]


def test_no_figure_no_comparison(make_run, tmp_path):
    make_run("0", loss=None, figures={"ruler/reason": "a causal model sees one side only"})
    with pytest.raises(
        RecipeError, match=r"no finished run has ruler/loss \(a causal model sees one side only\); choose --metric from"
    ):
        choose(find([tmp_path / "sweep"]))
    assert choose(find([tmp_path / "sweep"]), "tokens", "higher").name == "tokens"


def test_nothing_finished_nothing_to_compare(make_run, tmp_path):
    make_run("0", state="running")
    with pytest.raises(RecipeError, match="none of the 1 runs has finished"):
        choose(find([tmp_path / "sweep"]))
