"""The figure compared by, and that unlike figures are never compared."""

from __future__ import annotations

import json

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


def test_a_word_level_figure_taken_of_itself_is_not_compared_over_other_passages(mixed, tmp_path):
    first, second = ({"evaluation/ruler/ruler/word_bits_per_byte": value} for value in (1.5, 1.4))
    runs = mixed(first, second)
    for run, passages in zip(runs, (768, 768, 768, 100, 100, 100)):
        run.evaluations = {"evaluation/ruler": {"facts": {"words": WORDS | {"passages": passages}}}}
    result = compare_runs(runs)
    assert result.metric.name.endswith("word_bits_per_byte") and not compared(result)
    said = [one.text for one in result.warned if one.about == "not one ruler"]
    assert "compared by" in said[0] and "differ in evaluation's passages are not compared" in said[1]


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


@pytest.fixture
def evaluated(make_run, tmp_path):
    """`evaluated("pairs", "accuracy", [{...}, {...}])`: two arms, and what their results.json say beside the figure."""

    def make(suite, figure, documents, corpora=("c", "c"), tokenizers=("t", "t"), config=({}, {})):
        for arm, document, corpus, tokenizer, more in zip("ab", documents, corpora, tokenizers, config):
            for seed in (1, 2):
                prints = {"corpus": corpus, "tokenizer": tokenizer}
                folder = make_run(f"{arm}{seed}", {"data": arm, "seed": seed, **more}, facts={"fingerprints": prints})
                path = folder / "evaluation" / suite / "results.json"
                path.parent.mkdir(parents=True)
                path.write_text(json.dumps({"figures": {figure: 0.5 + seed * (arm == "a") / 10}, **document}))
        return compare_runs(find([tmp_path / "sweep"]), Options(metric=f"evaluation/{suite}/{figure}"))

    return make


def compared(result):
    (pair,) = result.pairs
    return pair.difference is not None


FULL = {"settings": {"most": None, "plan": "word_l2r"}, "precision": "32", "facts": {"skipped": {"x": 1}}}
SOME = {"settings": {"most": 50, "plan": "original"}, "precision": "32", "facts": {"skipped": {}}}
WORDS = {"passages": 768, "words": 48, "rate": 0.15, "text": "k", "characters": "same", "unknown_tokens": 0.0}
RULER = {"settings": {"rates": [0.15]}, "precision": "32"}
RULER["facts"] = {"corpus": "shared", "words": WORDS, "rows": 16, "row_length": 32}


def test_evaluations_with_other_settings_are_not_compared(evaluated):
    result = evaluated("pairs", "accuracy", [FULL, SOME])
    assert not compared(result) and [arm.rank for arm in result.arms] == [1, 1]
    said = next(one.text for one in result.warned if one.about == "not one ruler")
    assert "differ in evaluation.most and evaluation.plan are not compared" in said and "same settings" in said


def test_evaluations_with_one_setting_are_compared_whatever_was_skipped(evaluated):
    other = {**FULL, "facts": {"skipped": {}}, "settings": dict(reversed(FULL["settings"].items()))}
    assert compared(evaluated("pairs", "accuracy", [FULL, other]))


def test_evaluations_in_other_precision_are_not_compared(evaluated):
    assert not compared(evaluated("pairs", "accuracy", [FULL, {**FULL, "precision": "bf16"}]))


def test_a_suite_during_training_has_its_settings_in_the_recipe(evaluated):
    ran = [{"evaluation": {"suites": {"cloze": {"most": most}}}} for most in (None, 50)]
    assert not compared(evaluated("cloze", "accuracy", [{"facts": {}}, {"facts": {}}], config=ran))


READS_LESS = [{"characters": "folded"}, {"unknown_tokens": 0.1}]


@pytest.mark.parametrize("changed", [{"text": "K"}, {"words": 16}, {"rate": 0.3}, {"passages": 10}, *READS_LESS])
def test_words_of_other_passages_are_not_compared(evaluated, changed):
    other = {**RULER, "facts": {**RULER["facts"], "words": WORDS | changed}}
    assert not compared(evaluated("ruler", "ruler/word_bits_per_byte", [RULER, other]))


def test_words_of_one_text_are_compared_over_corpora_tokenizers_and_grids(evaluated):
    other = {**RULER, "settings": {"rates": []}}
    other["facts"] = {**RULER["facts"], "words": WORDS | {"unknown_tokens": 0.0004}, "rows": 8}
    assert compared(evaluated("ruler", "ruler/word_bits_per_byte", [RULER, other], corpora="cC", tokenizers="tT"))


def test_the_ruler_on_shared_data_is_one_whatever_the_training_corpus(evaluated):
    """The cure that is printed for runs on several corpora."""
    assert compared(evaluated("ruler", "ruler/loss", [RULER, RULER], corpora="cC"))


def test_the_ruler_on_shared_data_is_not_one_for_two_tokenizers(evaluated):
    assert not compared(evaluated("ruler", "ruler/loss", [RULER, RULER], tokenizers="tT"))


@pytest.mark.parametrize("changed", [{"rows": 8}, {"row_length": 64}, {"words": WORDS | {"text": "K"}}])
def test_another_ruler_of_evaluate_is_another_quantity(evaluated, changed):
    other = {**RULER, "facts": RULER["facts"] | changed}
    assert not compared(evaluated("ruler", "ruler/loss", [RULER, other]))


COSTS = {"settings": {"most": None}, "precision": "32", "facts": {"corpus": "texts.jsonl", "text": "k"}}


@pytest.mark.parametrize(
    ("figure", "shared"),
    [("pseudo/perplexity", False), ("pseudo/nats_per_token", False), ("pseudo/nats_per_word", True),
     ("pseudo/nats_per_byte", True), ("pseudo/perplexity_per_word", True), ("pseudo/nats", True)],
)  # fmt: skip
def test_likelihoods_per_word_and_byte_are_compared_over_tokenizers(evaluated, figure, shared):
    result = evaluated("likelihood", figure, [COSTS, COSTS], tokenizers="tT")
    assert compared(result) is shared and result.metric.lower


@pytest.mark.parametrize("changed", READS_LESS)
def test_a_tokenizer_that_reads_less_of_the_text_is_asked_for_less(evaluated, make_run, tmp_path, changed):
    costs = COSTS["facts"] | {"words": 900, "characters": "same", "unknown_tokens": 0.0}
    documents = [{**COSTS, "facts": costs}, {**COSTS, "facts": costs | changed}]
    result = evaluated("likelihood", "pseudo/nats_per_byte", documents, tokenizers="tT")
    assert not compared(result) and "is asked for less" in result.warned[0].text


def test_bits_per_byte_of_a_folding_tokenizer_are_another_quantity(mixed):
    runs = mixed({"ruler/bits_per_byte": 2.0}, {"ruler/bits_per_byte": 1.9})
    for run, kept in zip(runs, ["cased"] * 3 + ["folded"] * 3):
        run.facts["data"] = {"characters": kept, "unknown_share": {"heldout": 0.0}}
    result = compare_runs(runs, Options(metric="ruler/bits_per_byte"))
    assert not compared(result) and "the characters that the tokenizer keeps apart" in result.warned[1].text


def test_likelihoods_of_other_texts_are_not_compared(evaluated):
    other = {**COSTS, "facts": {"corpus": "texts.jsonl", "text": "K"}}
    assert not compared(evaluated("likelihood", "pseudo/nats_per_byte", [COSTS, other]))


def test_a_loss_under_own_masks_is_not_compared_between_masks(make_run, tmp_path):
    """A rate sweep would crown the lowest rate."""
    for number, (rate, seed) in enumerate((rate, seed) for rate in (0.15, 0.4) for seed in (1, 2)):
        make_run(str(number), {"rate.value": rate, "seed": seed}, figures={"heldout/mlm": 5 + rate + seed / 10})
    runs = find([tmp_path / "sweep"])
    result = compare_runs(runs, Options(metric="heldout/mlm"))
    assert not compared(result) and [arm.rank for arm in result.arms] == [1, 1]
    assert "differ in rate are not compared by heldout/mlm" in result.warned[0].text
    assert "ruler/loss hides the same tokens for all" in result.warned[0].text
    assert compared(compare_runs(runs, Options(metric="ruler/loss")))


def test_a_loss_under_equal_masks_is_compared(make_run, tmp_path):
    for number, (lr, seed) in enumerate((lr, seed) for lr in (0.1, 0.2) for seed in (1, 2)):
        make_run(str(number), {"optimizer.lr": lr, "seed": seed}, figures={"heldout/mlm": 5 + lr + seed / 10})
    assert compared(compare_runs(find([tmp_path / "sweep"]), Options(metric="heldout/mlm")))


def test_no_two_of_many_rulers_share_a_name(make_run, tmp_path):
    for rows in range(1, 54):
        make_run(str(rows), {"ruler.rows": rows}, validations=0)
    groups = choose(find([tmp_path / "sweep"])).groups
    assert len(set(groups)) == 53 and groups[:1] + groups[25:28] + groups[52:] == ["A", "Z", "A1", "B1", "A2"]


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
