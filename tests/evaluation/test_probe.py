"""Probes: each layer's features are the network's, each fit is sklearn's, and the choice is dev's."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from maskwright.errors import RecipeError
from maskwright.evaluation.probe import Probe
from maskwright.evaluation.source import Splits
from maskwright.evaluation.tools import Tools

WORDS = ["the", "traveller", "lost", "careless", "children", "souvenir", "state", "art", "of", "in", "was"]


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """Whether a sentence is full of `art` or of `lost`: its other words cannot tell by their own embeddings."""
    folder = tmp_path_factory.mktemp("data")
    draw = random.Random(0)
    for part, count in (("train", 60), ("dev", 25), ("test", 25)):
        lines = []
        for _ in range(count):
            topic = draw.choice(["art", "lost"])
            words = [topic] * 4 + draw.choices([word for word in WORDS if word not in ("art", "lost")], k=3)
            draw.shuffle(words)
            tags = [topic] * 7
            lines += [f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)] + [""]
        (folder / f"{part}.conll").write_text("\n".join(lines))
    return Splits(*(str(folder / f"{part}.conll") for part in ("train", "dev", "test")))


def test_a_layer_is_sklearns_fit_on_the_networks_states(tagged, subject):
    bert = subject("bert")
    result = Probe(tagged, label="tag", strengths=[1.0]).run(bert, Tools())

    def features(part: str, layer: int):
        vectors, targets = [], []
        for row in tagged.rows(part):
            encoding = bert.tokenizer(" ".join(row["form"]))
            ids = torch.tensor(encoding["input_ids"])[None]
            with torch.no_grad():
                states = bert.network.body(ids, output_hidden_states=True).hidden_states[layer][0].numpy()
            seen = -1
            for place, word in enumerate(encoding.word_ids()):
                if word is not None and word != seen:
                    vectors.append(states[place])
                    targets.append(row["tag"][word])
                    seen = word
        return np.array(vectors), np.array(targets)

    for layer in range(3):
        scale = StandardScaler().fit(features("train", layer)[0])
        x, y = features("train", layer)
        model = LogisticRegression(C=1.0, max_iter=300).fit(scale.transform(x), y)
        x, y = features("test", layer)
        expected = (model.predict(scale.transform(x)) == y).mean()
        assert result.figures[f"by/layer/{layer}/test/accuracy"] == pytest.approx(expected, abs=0.012)


def test_context_is_found_above_the_embeddings(tagged, subject):
    """Layer 0 knows the word and its place alone."""
    result = Probe(tagged, label="tag").run(subject("bert"), Tools())
    accuracy = [result.figures[f"by/layer/{layer}/test/accuracy"] for layer in range(3)]
    assert accuracy[1] > accuracy[0] + 0.1
    best = result.figures["layer"]
    assert best == max(range(3), key=lambda layer: result.tables[0].rows[layer][2])  # by dev
    assert result.figures["test/accuracy"] == accuracy[best] and result.figures["baseline/accuracy"] < accuracy[best]


def test_texts_and_numbers(tmp_path, subject):
    draw = random.Random(0)
    rows = [draw.choices(WORDS, k=5) for _ in range(120)]
    lines = [f"{' '.join(row)}\t{'art' in row}\t{row.count('art') + row.count('the')}" for row in rows]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel\tscore", *lines]))
    classes = Probe(Splits(str(tmp_path / "a.tsv")), "classification", dev_share=0.3).run(subject("bert"), Tools())
    assert classes.figures["dev/accuracy"] > classes.figures["baseline/accuracy"] + 0.1
    assert "no test set was named" in classes.facts["notes"][0]
    numbers = Probe(Splits(str(tmp_path / "a.tsv")), "regression", text="text", dev_share=0.3)
    numbers = numbers.run(subject("bert"), Tools())
    r = numbers.figures["dev/pearson"]
    assert r > 0.6
    half = 1.959964 / np.sqrt(numbers.facts["items"]["dev"] - 3)
    ends = [numbers.figures[f"dev/pearson/{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)])


def test_fewer_items_are_the_same_for_every_model(tagged, subject):
    result = Probe(tagged, label="tag", most=100).run(subject("bert"), Tools())
    assert 100 <= result.facts["items"]["train"] < 120 and result.facts["items"]["test"] == 175


def test_the_network_stays_as_it_was(tagged, subject):
    bert = subject("bert").network
    before = [value.clone() for value in bert.state_dict().values()]
    state = torch.get_rng_state()
    probe = subject("bert")
    probe.network = bert.train()
    Probe(tagged, label="tag", most=100).run(probe, Tools())
    assert all(torch.equal(a, b) for a, b in zip(before, bert.state_dict().values(), strict=True)) and bert.training
    assert torch.equal(torch.get_rng_state(), state)


def test_mistakes_are_named(tagged):
    for settings, sentence in (
        ({"task": "spans"}, "'spans', which a linear probe cannot learn; use evaluation=finetune"),
        ({"metric": "span_f1"}, "span_f1 needs whole sentences"),
        ({"strengths": [0]}, r"evaluation.strengths is \[0\]"),
        ({"pooling": "sum"}, "evaluation.pooling is 'sum'"),
        ({"most": 0}, "evaluation.most is 0"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            Probe(tagged, **settings)
