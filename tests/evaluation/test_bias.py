"""The masked gender task: its sentences, its sums, and models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from maskwright.errors import RecipeError
from maskwright.evaluation.bias import PLACES, YEARS, Bias
from maskwright.evaluation.tools import Tools

WORDS = {"first": ["the", "of"], "second": ["lost"], "third": ["state", "in"]}


def test_sixty_sentences_for_each_of_thirty_years_and_twenty_places():
    for axis, count in (("years", 30), ("places", 20)):
        sentences = Bias(axis=axis, words=WORDS).sentences()
        assert len(sentences) == len(set(sentences)) == 60 * count
        assert all(before.startswith("In ") and after.endswith(".") for _, before, after in sentences)
    assert YEARS[0] == "1801" and YEARS[-1] == "2016" and len(set(YEARS)) == 30 and len(set(PLACES)) == 20
    assert ("In 1801, ", " has become an adult.") in [s[1:] for s in Bias(words=WORDS).sentences()]


def test_figures_are_those_of_plain_transformers(subject):
    bert = subject("bert")
    values = ["art", "1 9", "state", "lost"]
    result = Bias(values=values, words=WORDS).run(bert, Tools())
    token = {group: bert.tokenizer.convert_tokens_to_ids(words) for group, words in WORDS.items()}
    means = {group: [] for group in WORDS}
    for value in values:
        percent = {group: [] for group in WORDS}
        for number, before, after in Bias(values=values, words=WORDS).sentences():
            if values[number] != value:
                continue
            ids = torch.tensor(bert.tokenizer(before + "[MASK]" + after)["input_ids"])
            with torch.no_grad():
                p = bert.network.hf(input_ids=ids[None]).logits[0][ids == bert.mask][0].double().softmax(-1)
            for group, words in token.items():
                percent[group].append(100 * p[words].sum().item())
        for group in WORDS:
            means[group].append(np.mean(percent[group]))
    for group in WORDS:
        fit = stats.linregress(range(4), means[group])
        assert result.figures[f"{group}/mean"] == pytest.approx(np.mean(means[group]), rel=1e-4)
        assert result.figures[f"{group}/slope"] == pytest.approx(fit.slope, rel=1e-2, abs=1e-6)
        assert result.figures[f"{group}/r"] == pytest.approx(fit.rvalue, abs=1e-3)


def test_a_model_with_constant_output_has_slope_0(subject):
    bert = subject("bert")
    with torch.no_grad():
        bert.network.hf.cls.predictions.decoder.weight.zero_()
    figures = Bias(values=YEARS[:5], words=WORDS).run(bert, Tools()).figures
    assert all(figures[f"{group}/slope"] == figures[f"{group}/r"] == 0 for group in WORDS)


def test_the_whole_distribution_holds_more_than_its_top(subject):
    bert = subject("bert")
    whole = Bias(values=["art", "state", "lost"], words=WORDS).run(bert, Tools()).figures
    top = Bias(values=["art", "state", "lost"], words=WORDS, top_k=5).run(bert, Tools()).figures
    everything = (
        Bias(values=["art", "state", "lost"], words=WORDS, top_k=len(bert.tokenizer)).run(bert, Tools()).figures
    )
    assert all(top[f"{group}/mean"] <= whole[f"{group}/mean"] for group in WORDS)
    assert sum(top[f"{group}/mean"] for group in WORDS) < sum(whole[f"{group}/mean"] for group in WORDS)
    assert everything == pytest.approx(whole)


def test_pronouns_of_several_tokens_are_left_out_and_named(subject):
    words = {"a": ["the", "traveller"], "b": ["lost"]}
    result = Bias(values=["1", "9", "art"], words=words).run(subject("bert"), Tools())
    # with a capital the token is the same for a tokenizer that folds case, and counts once
    assert result.facts["several tokens, left out"] == ["traveller", "Traveller"]
    with pytest.raises(RecipeError, match="none of traveller is a single token"):
        Bias(values=["1", "9", "art"], words={"a": ["traveller"]}).run(subject("bert"), Tools())


def test_mistakes_are_named(subject):
    for settings, sentence in (
        ({"axis": "months"}, "evaluation.axis is 'months'; choose years or places"),
        ({"values": ["a"]}, "needs at least 3 values"),
        ({"template": "In {value}, {mask}."}, "needs {value}, {mask} and {rest}"),
        ({"top_k": 0}, "evaluation.top_k is 0"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            Bias(words=WORDS, **settings)
    with pytest.raises(RecipeError, match="evaluation=bias fills masks, and run=llama is a causal model"):
        Bias(words=WORDS).check(subject("llama"))
