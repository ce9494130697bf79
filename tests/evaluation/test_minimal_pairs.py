"""Minimal pairs: the tie rule, keyed scores, means over paradigms, and chance."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from maskwright.errors import RecipeError
from maskwright.evaluation import scorer as scorers
from maskwright.evaluation.choices import credit_of
from maskwright.evaluation.intervals import over_items, proportion
from maskwright.evaluation.minimal_pairs import MinimalPairs
from maskwright.evaluation.scorer import TIE, Scorer
from maskwright.evaluation.source import Source
from maskwright.evaluation.tools import Tools

WORDS = ["the", "traveller", "lost", "careless", "children", "souvenir", "state", "art", "of", "in", "was"]


def pair(good: str, bad: str, paradigm: str, phenomenon: str) -> dict[str, str]:
    return {"sentence_good": good, "sentence_bad": bad, "UID": paradigm, "linguistics_term": phenomenon}


@pytest.fixture
def pairs(tmp_path):
    """`pairs(rows)`: the suite over rows."""

    def make(rows, **settings) -> MinimalPairs:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return MinimalPairs(Source(str(path)), **settings)

    return make


def some(count: int = 60, seed: int = 0) -> list[dict[str, str]]:
    draw = random.Random(seed)
    sentences = [" ".join(draw.choices(WORDS, k=draw.randint(2, 7))) for _ in range(2 * count)]
    return [pair(sentences[2 * n], sentences[2 * n + 1], f"paradigm{n % 5}", f"term{n % 5 // 2}") for n in range(count)]


def test_the_tie_rule():
    assert credit_of([-3.0, -4.0], 0) == 1 and credit_of([-4.0, -3.0], 0) == 0
    assert credit_of([-3.0, -3.0], 0) == 0.5 and credit_of([-3.0, -3.0, -3.0], 2) == pytest.approx(1 / 3)
    assert credit_of([-3.0, -3.0 - 0.9 * TIE], 1) == 0.5 and credit_of([-3.0, -3.0 - 1.1 * TIE], 1) == 0
    assert credit_of([-5.0, -3.0, -3.0], 0) == 0


def test_identical_sentences_give_exactly_chance(pairs, subject):
    rows = [pair(text, text, "a", "b") for text in ("the lost", "lost children", "the the")]
    figures = pairs(rows).run(subject("bert"), Tools()).figures
    assert figures["accuracy"] == 0.5 and figures["tied"] == 1.0 and "accuracy_by_mean" not in figures


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_accuracy_is_counted_by_hand(family, pairs, subject):
    rows, model = some(), subject(family)
    result = pairs(rows).run(model, Tools())
    sums, means, sure = [], [], []
    for number, row in enumerate(rows):
        scores = Scorer(model)([(0, row["sentence_good"]), (1, row["sentence_bad"])])
        sums.append((number % 5, scores[0].sum > scores[1].sum))
        means.append((number % 5, scores[0].mean > scores[1].mean))
        sure.append(1 / (1 + np.exp(-abs(scores[0].mean - scores[1].mean))))
    share = [np.mean([right for group, right in sums if group == paradigm]) for paradigm in range(5)]
    by_mean = [np.mean([right for group, right in means if group == paradigm]) for paradigm in range(5)]
    assert [result.figures[f"by/paradigm/paradigm{n}"] for n in range(5)] == pytest.approx(share)
    assert result.figures["accuracy"] == pytest.approx(np.mean(share))
    assert result.figures["accuracy_by_mean"] == pytest.approx(np.mean(by_mean))
    ends = result.figures["accuracy/low"], result.figures["accuracy/high"]
    assert ends == pytest.approx(over_items(share, (0, 1))[1:])
    assert result.figures["by/phenomenon/term0"] == pytest.approx(np.mean(share[:2]))
    alone = proportion(share[4] * 12, 12)
    assert result.figures["by/phenomenon/term2/low"] == pytest.approx(alone.low)
    figures = pairs(rows, reduction="mean").run(model, Tools()).figures
    assert figures["accuracy"] == pytest.approx(np.mean(by_mean))
    right = np.array([right for _, right in means], dtype=float)
    assert figures["confidence"] == pytest.approx(np.mean(sure), abs=1e-5)
    assert figures["ece_1bin"] == pytest.approx(abs(np.mean(sure) - right.mean()), abs=1e-5)
    assert figures["by/coverage/0.1"] == pytest.approx(right[np.argsort(sure)[-6:]].mean())  # the surest 6 of 60


def test_order_changes_no_paradigm(pairs, subject):
    rows, bert = some(), subject("bert")
    mixed = random.Random(1).sample(rows, len(rows))
    one, other = (pairs(those).run(bert, Tools(positions=500)).figures for those in (rows, mixed))
    assert one == pytest.approx(other)


def test_a_paradigms_size_does_not_weigh(pairs, subject):
    rows, bert = some(), subject("bert")
    more = rows + [row for row in rows if row["UID"] == "paradigm0"] * 3
    assert pairs(more).run(bert, Tools()).figures["accuracy"] == pytest.approx(
        pairs(rows).run(bert, Tools()).figures["accuracy"]
    )


def test_a_random_model_is_at_chance_within_its_interval(pairs, subject):
    """Pairs that differ by nothing a model could know: random words on both sides."""
    figures = pairs(some(400, seed=3)).run(subject("bert"), Tools()).figures
    assert figures["accuracy/low"] <= 0.5 <= figures["accuracy/high"]
    assert figures["chance/low"] <= figures["accuracy"] <= figures["chance/high"]


def test_renaming_skipping_and_leaving_out(pairs, subject):
    bert = subject("bert")
    rows = [*some(6), pair("the " * 200, "lost", "paradigm0", "term0")]
    result = pairs(rows, rename={"term0": "other"}).run(bert, Tools())
    assert "by/phenomenon/other" in result.figures and "by/phenomenon/term0" not in result.figures
    assert result.facts["skipped"] == {"longer than 96 tokens": 1} and result.facts["pairs"] == 6
    assert pairs(some(), most=2).run(bert, Tools()).facts["pairs"] == 10
    assert pairs(some(), paradigm=None, phenomenon=None).run(bert, Tools()).figures["by/phenomenon/all"] > 0


def test_mistakes_are_named(pairs, subject):
    with pytest.raises(RecipeError, match="evaluation.reduction is 'max'; choose sum or mean"):
        pairs(some(2), reduction="max")
    with pytest.raises(RecipeError, match="has no column 'good'"):
        pairs(some(2), good="good").run(subject("bert"), Tools())
    with pytest.raises(RecipeError, match="no pair could be scored"):
        pairs([pair("", "", "a", "b")]).run(subject("bert"), Tools())
    with pytest.raises(RecipeError, match="is a discriminator"):
        pairs(some(2)).check(subject("electra", head="detect"))
    assert scorers.TIE == 1e-5
