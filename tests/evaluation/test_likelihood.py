"""Likelihood: sums of the scorer's own tokens, exact laws of networks that know nothing, and texts as clusters."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from maskwright.errors import RecipeError
from maskwright.evaluation.likelihood import Likelihood
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.source import Source, optional
from maskwright.evaluation.tools import Tools


@pytest.fixture
def source(tmp_path, sentences):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in sentences))
    return Source(str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(("family", "kind", "plan"), [("bert", "pseudo", "word_l2r"), ("bert", "pseudo", "original"),
                                                      ("llama", "causal", "word_l2r")])  # fmt: skip
def test_figures_are_sums_over_the_scorers_tokens(family, kind, plan, source, sentences, subject):
    model = subject(family)
    result = Likelihood(source, plan=plan, piece=None).run(model, Tools())
    scores = Scorer(model, plan=plan)([(n, text) for n, text in enumerate(sentences)])
    each = [scores[n] for n in range(len(sentences)) if n in scores]
    nats = -sum(score.logp_T.sum() for score in each)
    count = {"token": sum(len(score.ids_T) for score in each), "word": sum(score.words for score in each),
             "byte": sum(len(sentences[n].encode()) for n in scores)}  # fmt: skip
    assert result.figures[f"{kind}/nats"] == pytest.approx(nats)
    for unit in count:
        assert result.figures[f"{kind}/nats_per_{unit}"] == pytest.approx(nats / count[unit])
    figures = result.figures
    assert next(iter(figures)) == f"{kind}/perplexity"
    assert figures[f"{kind}/perplexity"] == pytest.approx(math.exp(nats / count["token"]))
    # the word-normalised form of the pseudo-perplexity: exp(tokens / words x ln PPPL)
    by_word = math.exp(count["token"] / count["word"] * math.log(figures[f"{kind}/perplexity"]))
    assert figures[f"{kind}/perplexity_per_word"] == pytest.approx(by_word)
    assert result.facts["tokens"] == count["token"] and result.facts["texts"] == len(each)


@pytest.mark.parametrize(("family", "kind"), [("bert", "pseudo"), ("llama", "causal")])
def test_a_network_that_knows_nothing_has_the_vocabulary_as_perplexity(family, kind, source, subject):
    model = subject(family)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    figures = Likelihood(source).run(model, Tools()).figures
    size = model.network.config.vocab_size
    assert figures[f"{kind}/perplexity"] == pytest.approx(size)
    assert math.isnan(figures[f"{kind}/perplexity/low"])  # texts that all agree do not tell how texts differ


def test_the_interval_takes_texts_as_clusters(source, sentences, subject):
    """By hand: residuals nats - ratio x tokens, summed within each text, whose pieces are scored apart."""
    model = subject("bert")
    suite = Likelihood(source, piece=2)
    requests = suite.running.requests(list(sentences))
    assert len(requests) > len(sentences)
    figures = suite.run(model, Tools()).figures
    scores = Scorer(model)(requests)
    nats, tokens = np.zeros(len(sentences)), np.zeros(len(sentences))
    for (text, _), score in scores.items():
        nats[text] -= score.sum
        tokens[text] += score.n
    rate, groups = nats.sum() / tokens.sum(), len(sentences)
    error = math.sqrt(groups / (groups - 1) * ((nats - rate * tokens) ** 2).sum()) / tokens.sum()
    half = stats.t.ppf(0.975, groups - 1) * error
    ends = [figures[f"pseudo/nats_per_token/{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([rate - half, rate + half])
    assert figures["pseudo/perplexity/high"] == pytest.approx(math.exp(rate + half))


def test_pieces_hold_every_word_once_whatever_the_tokenizer(source, sentences):
    for piece in (1, 2, 5, None):
        texts = [request.text for request in Likelihood(source, piece=piece).running.requests(list(sentences))]
        assert "".join("".join(texts).split()) == "".join("".join(sentences).split())
    some = [Likelihood(source, piece=2, most=3).running.requests(list(sentences)) for _ in range(2)]
    assert some[0] == some[1] and len(some[0]) == 3


def test_what_is_too_long_is_counted_and_changes_the_texts_fingerprint(source, sentences, subject):
    short, long = subject("bert"), subject("bert")
    short.length = 12
    found = [Likelihood(source, piece=None).run(model, Tools()).facts for model in (short, long)]
    assert found[0]["skipped"] == {"longer than 12 tokens": len(sentences) - found[0]["texts"]}
    assert found[1]["skipped"] == {} and found[0]["text"] != found[1]["text"]


def test_the_held_out_documents_are_read_without_a_source(tmp_path, compose):
    from maskwright.evaluation.evaluate import evaluate
    from maskwright.training.run import pretrain

    small = (
        "model=bert_tiny",
        "model.config.hidden_size=32",
        "model.config.num_hidden_layers=1",
        "trainer.max_steps=2",
    )
    pretrain(*compose(*small), tmp_path / "run")
    words = (f"run={tmp_path / 'run'}", "evaluation=likelihood", "evaluation.piece=8", "evaluation.most=20")
    result = evaluate(*compose(*words, config="evaluate", small=False), tmp_path / "out")
    assert result.facts["pieces"] == 20 and 1 < result.figures["pseudo/perplexity"] < 1000
    assert result.figures["pseudo/perplexity/low"] < result.figures["pseudo/perplexity"]


def test_mistakes_are_named(source, subject):
    with pytest.raises(RecipeError, match="evaluation.plan=joint hides an answer"):
        Likelihood(source, plan="joint")
    with pytest.raises(RecipeError, match="evaluation.piece is 0"):
        Likelihood(source, piece=0)
    with pytest.raises(RecipeError, match="evaluation=likelihood needs texts, and run=bert"):
        Likelihood(optional()).check(subject("bert"))
