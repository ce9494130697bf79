"""Similarity: Spearman by scipy over vectors of plain transformers."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from scipy import stats

from maskwright.errors import RecipeError
from maskwright.evaluation.similarity import Similarity, spearman
from maskwright.evaluation.source import Source
from maskwright.evaluation.tools import Tools

WORDS = ["the", "traveller", "lost", "careless", "children", "souvenir", "state", "art", "of", "in", "was"]
DRAW = random.Random(0)
PAIRS = [(" ".join(DRAW.choices(WORDS, k=4)), " ".join(DRAW.choices(WORDS, k=5)), DRAW.random()) for _ in range(40)]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "sts.csv"
    path.write_text("\n".join(f"{one},{other},{score}" for one, other, score in PAIRS))
    return Source(str(path), columns=["sentence1", "sentence2", "score"])


def test_the_correlation_is_scipys(pairs, subject):
    bert = subject("bert", hidden_size=16)
    figures = Similarity(pairs).run(bert, Tools()).figures

    def vector(text: str) -> np.ndarray:
        with torch.no_grad():
            hidden = bert.network.body(torch.tensor(bert.tokenizer(text)["input_ids"])[None]).last_hidden_state
            return hidden[0].mean(0).numpy()

    left, right = (np.array([vector(pair[side]) for pair in PAIRS], dtype=np.float64) for side in (0, 1))
    cosines = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    expected = stats.spearmanr(cosines, [score for *_, score in PAIRS]).statistic
    assert figures["spearman"] == figures["by/mean/last"] == pytest.approx(expected)
    every = np.concatenate([left, right])
    centred = every - every.mean(0)
    u, s, _ = np.linalg.svd(centred.T @ centred)
    keep = s > s.max() * 1e-9
    left, right = ((side - every.mean(0)) @ (u[:, keep] / np.sqrt(s[keep])) for side in (left, right))
    cosines = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    expected = stats.spearmanr(cosines, [score for *_, score in PAIRS]).statistic
    assert figures["by/mean/last/whitened"] == pytest.approx(expected, abs=1e-6)


def test_identical_pairs_score_highest(tmp_path, subject):
    path = tmp_path / "sts.csv"
    path.write_text("sentence1,sentence2,score\nthe lost art,the lost art,1\nthe lost art,children in the state,0\n"
                    "the traveller,the traveller,1\nthe traveller,was 1984,0\n")  # fmt: skip
    figures = Similarity(Source(str(path)), whiten=[False]).run(subject("bert"), Tools()).figures
    assert figures["spearman"] == pytest.approx(np.sqrt(0.8), abs=0.11)  # ties in the gold scores bound it


def test_whitening_fitted_elsewhere(pairs, tmp_path, subject):
    other = tmp_path / "other.csv"
    other.write_text(
        "sentence1,sentence2,score\n" + "\n".join(f"the {w},lost {w},1" for w in ("art", "state", "child"))
    )
    bert = subject("bert")
    here = Similarity(pairs, whiten=[True]).run(bert, Tools())
    there = Similarity(pairs, whiten=[True], fit_on=Source(str(other))).run(bert, Tools())
    assert here.facts["fit_on"] == "eval" and there.facts["fit_on"].endswith("other.csv")
    assert here.figures["spearman"] != there.figures["spearman"]
    one = Similarity(pairs, whiten=[True], dimensions=2).run(bert, Tools()).figures["spearman"]
    assert one != here.figures["spearman"]


def test_what_orders_nothing_is_0():
    assert spearman(np.ones(5), np.arange(5.0)).value == 0.0


def test_mistakes_are_named(pairs, tmp_path, subject):
    for settings, sentence in (
        ({"whiten": [2]}, r"evaluation.whiten is \[2\]"),
        ({"fit_on": "train"}, "evaluation.fit_on is 'train'; give eval, or a source"),
        ({"dimensions": 0}, "evaluation.dimensions is 0"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            Similarity(pairs, **settings)
    path = tmp_path / "bad.csv"
    path.write_text("sentence1,sentence2,score\na,b,high\n")
    with pytest.raises(RecipeError, match="holds a score that is no number"):
        Similarity(Source(str(path))).run(subject("bert"), Tools())
