"""Uses of words as vectors of a network, and their clusters in two periods (LMLM, arXiv 2210.17127)."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch

from maskwright.annotation import passes, usages
from maskwright.annotation.drift import Pivots
from maskwright.annotation.usages import UsageModel, best_clusters
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.errors import RecipeError

SENTENCES = {0: ["we sat on the river bank in the old park ."], 1: ["they took all their money from a bank there ."]}
SAME = "an oak tree grows slowly in our garden now ."


@pytest.fixture(scope="module")
def source(tmp_path_factory, addresses):
    """One sentence each, and a last word that tells documents apart: `bank` in another frame in each period, `tree` in
    the same; and some without a date."""
    file = tmp_path_factory.mktemp("dated") / "texts.jsonl"
    with file.open("w") as lines:
        for number in range(120):
            text = SAME if number % 3 else SENTENCES[number % 2][0]
            text += f" {chr(97 + number // 26)}{chr(97 + number % 26)}"
            lines.write(json.dumps({"text": text, "year": 1800 + 200 * (number % 2)}) + "\n")
        for text in addresses[:6]:
            lines.write(json.dumps({"text": text[:2000], "year": None}) + "\n")
    corpus = TextFiles(str(file), heldout=0.02, columns=["year"])
    cache = tmp_path_factory.mktemp("cache")
    return prepare(corpus, TrainedTokenizer(vocabulary=90), Packing("document", 64), cache=cache, processes=2).source


@pytest.fixture(scope="module")
def model(tmp_path_factory, source):
    """A small BERT with random weights, and a tokenizer other than the recipe's."""
    from transformers import BertConfig, BertModel

    from maskwright.data.tokenizers import wrapped

    place = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32)
    config = BertConfig(vocab_size=400, max_position_embeddings=64, initializer_range=0.3, **sizes)
    BertModel(config).save_pretrained(place)
    texts = [SAME, *SENTENCES[0], *SENTENCES[1]] * 3
    wrapped(TrainedTokenizer("bpe", 330).train(texts)).save_pretrained(place)
    return place


def chosen(source, words, most):
    later_D = np.array([{None: -1, 1800: 0, 2000: 1}[year] for year in source.train.values("year")])
    return usages._chosen(source, words, later_D, most), later_D


def test_uses_are_places_of_the_word_and_as_many_as_asked_for(source, monkeypatch):
    words = ["bank", "tree", "the"]
    uses, later_D = chosen(source, words, 7)
    everywhere = Counter()
    for number, document in enumerate(source.train):
        for word in document.words if later_D[number] >= 0 else ():
            if word in words:
                everywhere[words.index(word), later_D[number]] += 1
    found = Counter(zip(uses.row.tolist(), uses.period.tolist()))
    assert found == {key: min(count, 7) for key, count in everywhere.items()}
    for row, period, number, place in zip(uses.row, uses.period, uses.document, uses.place):
        assert source.train[int(number)].words[place] == words[row]
        assert later_D[number] == period
    assert (np.lexsort((uses.place, uses.document)) == np.arange(len(uses.row))).all()
    monkeypatch.setattr(passes, "_SMALL", 1)
    monkeypatch.setattr(passes, "_PORTION", 100)
    again, _ = chosen(source, words, 7)
    assert all((one == other).all() for one, other in zip(vars(uses).values(), vars(again).values()))


def test_vectors_are_sums_over_the_layers_and_means_over_the_pieces(source, model, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    uses, _ = chosen(source, ["bank", "tree"], 5)
    UsageModel(str(model), 5)._write(tmp_path / "vectors.npy", source.train, uses)
    vectors = np.load(tmp_path / "vectors.npy")
    network, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    for use in range(len(uses.row)):
        document = source.train[int(uses.document[use])]
        word = document.words[uses.place[use]]
        encoded = tokenizer(document.text, return_tensors="pt")
        start = document.text.find(word)
        pieces = sorted({encoded.char_to_token(place) for place in range(start, start + len(word))})
        with torch.no_grad():
            states = network(**encoded, output_hidden_states=True).hidden_states
        expected = sum(state[0, pieces] for state in states[1:]).mean(0)
        assert vectors[use] == pytest.approx(expected.numpy(), abs=1e-4)


def test_a_word_in_other_company_diverges_and_one_in_the_same_does_not(source, model):
    later_D = chosen(source, ["bank"], 1)[1]
    clusters, divergence, score = UsageModel(str(model), 30).drift(source, ["bank", "tree"], later_D)
    assert clusters[0] == 2 and divergence[0] == pytest.approx(math.log(2))
    assert score[0] == pytest.approx(math.log(2) / 2)
    assert divergence[1] < 0.1  # chance: documents end in different words


def test_pivots_of_a_network(source, model):
    column = Pivots("year", 1900, 1, None, str(model), 50, 5, 20, 1, 1)
    column.fit(source)
    assert column.words < {*SENTENCES[0][0].split(), *SENTENCES[1][0].split()}
    assert "window" not in column.settings() and column.settings()["occurrences"] == 20
    same = Pivots("year", 1900, 1, None, str(model), 50, 5, 20, 9, 9)  # what the other way reads does not count
    assert same.settings() == column.settings()


def test_clusters_are_those_planted():
    chance = np.random.default_rng(0)
    centres = 12 * chance.normal(size=(3, 8))
    label = np.repeat(np.arange(3), 20)
    found = best_clusters((centres[label] + chance.normal(size=(60, 8))).astype(np.float32))
    assert len({*zip(label.tolist(), found.tolist())}) == 3 and found.max() == 2
    assert (best_clusters(np.ones((5, 4), np.float32)) == 0).all()  # all alike: one cluster
    assert best_clusters(chance.normal(size=(2, 4))).tolist() == [0, 0]


def test_networks_that_cannot_be_used_are_refused(source, tmp_path):
    with pytest.raises(RecipeError, match="^model of the pivots is .*/none, which does not exist"):
        UsageModel(str(tmp_path / "none"), 5).key  # noqa: B018
    from transformers import T5Config, T5Model

    T5Model(T5Config(vocab_size=20, d_model=8, d_ff=8, num_layers=1, num_heads=1, d_kv=8)).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match=r"^model of the pivots=.* (cannot be loaded|is an encoder-decoder)"):
        UsageModel(str(tmp_path), 5)._loaded()
