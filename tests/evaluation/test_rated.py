"""Ratings of predictions: sums over logits of plain transformers, and laws that hold whatever the probabilities are."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import over_items
from maskwright.evaluation.rated import Guess, Rated, mean_rating
from maskwright.evaluation.source import Source
from maskwright.evaluation.tools import Tools

SENTENCES = [
    ("the [MASK] of the state", "old"),
    ("the children lost [MASK] souvenir!", "old"),
    ("was the art [MASK]?", "old"),
    ("careless [MASK] in 1984", "new"),
    ("lost, lost, [MASK]", "new"),
]
WORDS = {"the": -2.0, "of": -1.0, "state": 2.0, "art": 1.0, "lost": 0.5, "in": 0.0, "a": 2.0, "b": -1.5, "was": 1.5}


def near(value):
    """What float32 logits let be said; NaN is NaN."""
    return pytest.approx(value, rel=1e-4, abs=1e-5, nan_ok=True)


@pytest.fixture
def rated(tmp_path):
    def make(sentences=SENTENCES, words=WORDS, **settings) -> Rated:
        pairs = words.items() if isinstance(words, dict) else words
        for name, columns, rows in (("s", ("text", "group"), sentences), ("r", ("word", "rating"), pairs)):
            with (tmp_path / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([columns, *rows])
        return Rated(Source(str(tmp_path / "s.csv")), Source(str(tmp_path / "r.csv")), **settings)

    return make


def distribution(model, text: str) -> np.ndarray:
    """Plain transformers at the mask: float64 [V]."""
    ids = torch.tensor(model.tokenizer(text)["input_ids"])
    with torch.no_grad():
        return model.network.hf(input_ids=ids[None]).logits[0][ids == model.mask][0].double().softmax(-1).numpy()


def expected(model, text: str, words: dict[str, float], top_k: int | None, power: float = 1.0) -> tuple[float, float]:
    """Score (NaN: none) and coverage by the formula."""
    p_V = distribution(model, text)
    first = set(np.argsort(-p_V)[: top_k or len(p_V)].tolist())
    token = {model.tokenizer.convert_tokens_to_ids(word): rating for word, rating in words.items()}
    counted = [(p_V[one], rating) for one, rating in token.items() if one in first]
    weight = sum(p**power for p, _ in counted)
    return sum(p**power * r for p, r in counted) / weight if counted else math.nan, sum(p for p, _ in counted)


@pytest.mark.parametrize(("top_k", "power"), [(None, 1.0), (5, 1.0), (20, 0.5), (40, 0.0), (1000, 1.0)])
def test_figures_are_those_of_plain_transformers(top_k, power, rated, subject):
    bert = subject("bert")
    result = rated(group="group", top_k=top_k, power=power).run(bert, Tools())
    pairs = [expected(bert, text, WORDS, top_k, power) for text, _ in SENTENCES]
    assert next(iter(result.figures)) == "score"
    for prefix, part in (("", pairs), ("by/group/old/", pairs[:3]), ("by/group/new/", pairs[3:])):
        scores = [score for score, _ in part if not math.isnan(score)]
        assert result.figures[f"{prefix}score"] == near(np.mean(scores) if scores else math.nan)
        assert result.figures[f"{prefix}coverage"] == near(np.mean([share for _, share in part]))
    scores = np.array([score for score, _ in pairs if not math.isnan(score)])
    assert result.facts["scored"] == len(scores)
    ends = [result.figures["score/low"], result.figures["score/high"]]
    assert ends == near(list(over_items(scores, (-2, 2))[1:]))  # texts are the units, ratings the bounds


def test_an_interval_ends_where_ratings_do(rated, subject):
    """Of two texts Student's t gives 6 times their difference to either side, and no mean lies beyond the ratings."""
    suite = rated([SENTENCES[0], SENTENCES[4]], {"of": -2, "the": 2}, top_k=None)
    figures = suite.run(subject("bert"), Tools()).figures
    assert -2 <= figures["score/low"] < -1.9 and 1.5 < figures["score/high"] <= 2
    figures = rated([SENTENCES[0]], {"of": 0, "the": 1}, top_k=None).run(subject("bert"), Tools()).figures
    assert math.isnan(figures["score/low"]) and math.isnan(figures["coverage/low"])  # one text has no spread


@pytest.mark.parametrize("top_k", [None, 10])
def test_when_every_word_is_rated_2_the_score_is_2(top_k, rated, subject):
    every = [token for token in subject("bert").tokenizer.get_vocab() if not token.startswith(("#", "["))]
    for seed in range(3):
        bert = subject("bert")
        torch.manual_seed(seed)
        with torch.no_grad():
            bert.network.hf.cls.predictions.decoder.bias.normal_(std=3)
        for words in (dict.fromkeys(every, 2), dict.fromkeys(every[:40], 2)):
            figures = rated(words=words, top_k=top_k).run(bert, Tools()).figures
            assert figures["score"] == pytest.approx(2, abs=1e-12) and figures["coverage"] < 1


def test_scale_of_probabilities_and_of_ratings():
    """sum p r / sum p: one factor for all p changes nothing; ratings a r + b give a times the score + b."""
    random = np.random.default_rng(0)
    logp, rating = -random.exponential(4, 30), random.integers(-2, 3, 30)
    p = np.exp(logp)
    score = mean_rating([Guess("", a, b) for a, b in zip(logp, rating)])
    assert score == pytest.approx((p * rating).sum() / p.sum())
    for shift in (-800.0, -3.0, 5.0):  # e^-800 is 0 as a float
        assert mean_rating([Guess("", a + shift, b) for a, b in zip(logp, rating)]) == pytest.approx(score)
    assert mean_rating([Guess("", a, 3 * b + 1) for a, b in zip(logp, rating)]) == pytest.approx(3 * score + 1)
    assert mean_rating([Guess("", a, b) for a, b in zip(logp, rating)], 0) == pytest.approx(rating.mean())


def test_predictions_without_a_rating_are_not_taken_as_0(rated, subject):
    """Of two rated words, whatever else is predicted; the rest shows in the coverage alone."""
    bert = subject("bert")
    few = {"the": 2.0, "of": 1.0}
    with_zero = few | {"state": 0.0}
    suites = [rated(words=words, top_k=None).run(bert, Tools()) for words in (few, with_zero)]
    assert 1 < suites[0].figures["score"] < 2 and suites[1].figures["score"] < suites[0].figures["score"]
    assert suites[0].figures["coverage"] < suites[1].figures["coverage"]
    size = len(bert.tokenizer)
    assert [suite.facts["rated_predictions"] for suite in suites] == [2 * 5, 3 * 5]
    assert [suite.facts["unrated_predictions"] for suite in suites] == [(size - 2) * 5, (size - 3) * 5]


def test_sentences_without_a_rated_prediction_are_counted(rated, subject):
    bert = subject("bert")
    first = [int(distribution(bert, text).argmax()) for text, _ in SENTENCES]
    assert len(set(first)) > 1
    with_first = first.count(first[0])
    word = bert.tokenizer.convert_ids_to_tokens(first[0])
    sentences = [*SENTENCES, ("the " * 95 + "[MASK]", "old")]
    result = rated(sentences, {word: 1.5, "unbelievably": 1, "旅": 1}, top_k=1).run(bert, Tools())
    assert result.figures["score"] == pytest.approx(1.5) and result.facts["scored"] == with_first
    assert result.facts["skipped"] == {"no rated prediction": 5 - with_first, "longer than 96 tokens": 1}
    mass = [distribution(bert, text).max() for (text, _), one in zip(SENTENCES, first) if one == first[0]]
    assert result.figures["coverage"] == near(sum(mass) / 5)  # a sentence without one covers nothing
    assert result.facts["no token of their own, left out"] == ["unbelievably", "旅"]
    assert result.facts["unrated_predictions"] == 5 - with_first
    other = next(token for token in ("art", "state", "of") if bert.tokenizer.convert_tokens_to_ids(token) not in first)
    with pytest.raises(RecipeError, match="of 5 sentences none has a rated prediction"):
        rated(words={other: 1}, top_k=1).run(bert, Tools())


def test_several_ratings_of_one_token_are_averaged(rated, subject):
    """Raters disagree, or a tokenizer folds capitals; a word's own capital form is no second word."""
    bert = subject("bert")
    several, plain, first = (
        rated(words=words, top_k=None).run(bert, Tools()).figures
        for words in (
            [("the", 2), ("the", -1), ("Of", -2), ("of", 1), ("oF", -2), ("state", 2)],
            [("the", 0.5), ("of", -1), ("state", 2)],
            [("the", 2), ("of", -2), ("state", 2)],
        )
    )
    ends = {
        "score/low",
        "score/high",
    }  # follow the scale that the raters used: from -2 in one case, from -1 in the other
    for name in set(plain) - ends:
        assert several[name] == near(plain[name])
    assert several["score"] != pytest.approx(first["score"], abs=0.01)


def test_a_capital_form_counts_with_the_rating_of_the_word(rated, subject):
    """A byte-level tokenizer tells them apart: two predictions, unless the capital form has a rating of its own."""
    model = subject("roberta", "bpe")
    small, capital = (distribution(model, "[MASK] the")[model.tokenizer.convert_tokens_to_ids(one)] for one in "tT")
    for words, mass, score in (
        ({"t": 1}, small + capital, 1.0),
        ({"T": 1}, capital, 1.0),
        ({"t": 1, "T": -1}, small + capital, (small - capital) / (small + capital)),
    ):
        figures = rated([("[MASK] the", "a")], words, top_k=None).run(model, Tools()).figures
        assert [figures["coverage"], figures["score"]] == near([mass, score])


def test_a_word_is_the_token_that_stands_in_the_blank(rated, subject):
    """Byte-level tokens hold the space before them: behind a space "lost" is one token, at the start of a text four."""
    model = subject("roberta", "bpe")
    token = model.tokenizer.convert_tokens_to_ids("Ġlost")
    result = rated([("The ___ the", "a")], {"lost": 2, "the": -1}, blank="___", top_k=None).run(model, Tools())
    assert result.figures["score"] == 2 and result.facts["no token of their own, left out"] == ["the"]
    assert result.figures["coverage"] == near(distribution(model, "The[MASK] the")[token])
    with pytest.raises(RecipeError, match="none has a rated prediction"):
        rated([("___ the", "a")], {"lost": 2}, blank="___", top_k=None).run(model, Tools())


def test_the_network_and_the_random_state_stay_as_they_were(rated, subject):
    bert = subject("bert")
    bert.network.train()
    state = torch.get_rng_state()
    found = [rated(top_k=None).run(bert, Tools()).figures for _ in range(2)]
    assert found[0] == found[1] and bert.network.training and torch.equal(torch.get_rng_state(), state)


def test_mistakes_are_named(rated, subject):
    bert = subject("bert")
    for settings, sentence in (
        ({"top_k": 0}, "evaluation.top_k is 0"),
        ({"power": -1.0}, "evaluation.power is -1.0"),
        ({"blank": ""}, "evaluation.blank cannot be empty"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            rated(**settings)
    for suite, sentence in (
        ((["the art", "a"],), r"row 1 has 0 blanks \(\[MASK\]\) and needs one"),
        ((["the [MASK]", "a"], ["[MASK] [MASK]", "a"]), "row 2 has 2 blanks"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            rated(suite).run(bert, Tools())
    for words in ({"the": "old"}, {"the": "nan"}, {"of": 1, "the": ""}):
        with pytest.raises(RecipeError, match=f"row {len(words)} has the rating"):
            rated(words=words).run(bert, Tools())
    with pytest.raises(RecipeError, match="no column 'century'"):
        rated(group="century").run(bert, Tools())
    with pytest.raises(RecipeError, match="evaluation=rated fills masks, and run=llama is a causal model"):
        rated().check(subject("llama"))
