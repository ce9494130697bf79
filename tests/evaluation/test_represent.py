"""Vectors against transformers' own hidden states; whitening against its definition; cutting and batching."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.represent import Embedder, check_kinds, cosine, pooled, tapped, whitening
from maskwright.evaluation.tools import Tools


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "deberta_v3", "modernbert", "llama"])
def test_layers_are_transformers_hidden_states(family, subject, sentences):
    model = subject(family)
    ids = torch.tensor(model.tokenizer(sentences[0])["input_ids"])[None]
    with torch.no_grad():
        expected = model.network.body(input_ids=ids, output_hidden_states=True)
        hooks = count(model.network)  # transformers keeps some of its own
        with tapped(model.network) as layers:
            last = model.network.encode(ids, torch.ones_like(ids, dtype=torch.bool), padded=False)
    found = [*layers[:-1], last]
    assert len(found) == 3 == len(expected.hidden_states)
    for mine, theirs in zip(found[:2], expected.hidden_states[:2], strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert torch.allclose(last, expected.last_hidden_state, atol=1e-5)
    assert count(model.network) == hooks


def count(network) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


def test_a_compiled_body_shows_its_layers_too(subject, sentences):
    model, (text, *_) = subject("bert"), sentences
    ids_BL = torch.tensor([model.tokenizer(text)["input_ids"]])
    model.network.body.compile(backend="eager", dynamic=False)
    with torch.no_grad():
        plain_BLD = model.network.encode(ids_BL, padded=False)  # compiled for this shape, without hooks
        with tapped(model.network) as layers:
            again_BLD = model.network.encode(ids_BL, padded=False)
    assert len(layers) == 1 + model.network.config.num_hidden_layers
    assert torch.allclose(plain_BLD, again_BLD, atol=1e-6) and torch.equal(layers[-1], again_BLD)


def test_poolings_ignore_padding(subject, sentences):
    bert = subject("bert")
    kinds = check_kinds(["cls", "mean", "max", "last"], ["last", "first_last", "mean_of_all", 0, -1])
    together = Embedder(bert, Tools())(sentences, kinds)
    for number, text in enumerate(sentences):
        ids = torch.tensor(bert.tokenizer(text)["input_ids"])[None]
        with torch.no_grad():
            states = bert.network.body(input_ids=ids, output_hidden_states=True).hidden_states
        sets = {"last": states[-1], "first_last": (states[1] + states[-1]) / 2, "mean_of_all": sum(states) / 3,
                0: states[0], -1: states[-1]}  # fmt: skip
        for pooling, which in kinds:
            hidden = sets[which][0]
            vector = {"cls": hidden[0], "mean": hidden.mean(0), "max": hidden.amax(0), "last": hidden[-1]}[pooling]
            assert together[pooling, which][number] == pytest.approx(vector.numpy(), abs=1e-4)


def test_batches_and_order_change_nothing_and_long_texts_are_cut(subject, sentences):
    bert = subject("bert")
    texts = [*sentences, "the " * 300, "the " * 94]
    embed = Embedder(bert, Tools())
    whole = embed(texts, [("mean", "last")])["mean", "last"]
    small = Embedder(bert, Tools(positions=20))(texts[::-1], [("mean", "last")])["mean", "last"][::-1]
    assert whole == pytest.approx(small, abs=1e-5)
    assert embed.truncated == 1 and whole[-2] == pytest.approx(whole[-1], abs=1e-5)


def test_whitening_makes_the_scatter_the_identity():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 12)) @ random.normal(size=(12, 12)) + 5
    mean, matrix = whitening(vectors)
    white = (vectors - mean) @ matrix
    assert white.T @ white == pytest.approx(np.eye(12), abs=1e-8)
    assert whitening(vectors, 3)[1].shape == (12, 3)
    # scale, shift and rotation of all inputs leave cosines as they are
    rotation = np.linalg.qr(random.normal(size=(12, 12)))[0]
    moved = 7 * vectors @ rotation - 3
    mean, matrix = whitening(moved)
    again = (moved - mean) @ matrix
    assert cosine(white[:50], white[50:100]) == pytest.approx(cosine(again[:50], again[50:100]), abs=1e-8)


def test_directions_without_variation_are_left_out():
    random = np.random.default_rng(1)
    flat = random.normal(size=(50, 4)) @ random.normal(size=(4, 9))
    assert whitening(flat)[1].shape == (9, 4)
    assert np.isfinite(whitening(np.ones((5, 3)))[1]).all()


def test_mistakes_are_named():
    with pytest.raises(RecipeError, match="evaluation.pooling holds 'sum'; choose from cls, mean, max, last"):
        check_kinds(["sum"], ["last"])
    with pytest.raises(RecipeError, match="evaluation.layers holds 'top'; choose from .* or a layer's number"):
        check_kinds(["mean"], ["top"])
    with pytest.raises(RecipeError, match="need at least one entry"):
        check_kinds([], ["last"])


def test_a_layer_that_is_not_there(subject, sentences):
    with pytest.raises(RecipeError, match="layer 9 is asked for, and the network has the layers 0 to 2"):
        Embedder(subject("bert"), Tools())(sentences, [("mean", 9)])


def test_pooling_one_row_by_hand():
    hidden = torch.arange(12.0).view(1, 4, 3)
    valid = torch.tensor([[True, True, True, False]])
    assert pooled(hidden, valid, "mean").tolist() == [[3, 4, 5]]
    assert pooled(hidden, valid, "max").tolist() == [[6, 7, 8]] == pooled(hidden, valid, "last").tolist()
