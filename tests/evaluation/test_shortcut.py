"""Linear shortcuts: the states are the network's, the last layer is the model itself, the maps are least squares."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import clustered
from maskwright.evaluation.shortcut import Shortcut, compared, exits, fitted, hidden_places, parted, r2, states
from maskwright.evaluation.source import Source, optional
from maskwright.evaluation.subject import Foreign
from maskwright.evaluation.texts import Encoder, Request
from maskwright.evaluation.tools import Tools
from maskwright.models import ModelRecipe

WORDS = ["the", "traveller", "lost", "careless", "children", "souvenir", "state", "art", "of", "in", "was"]
DEEPER = {"num_hidden_layers": 3, "initializer_range": 0.6}  # its guesses differ between texts and between layers
LTG = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
FINAL_NORM = ["modernbert", "roberta_prelayernorm", "xlm_roberta_xl"]
FAMILIES = ["bert", "roberta", "electra", "distilbert", "deberta_v3", "ltg_bert", *FINAL_NORM]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    """120 texts, a third of them of two pieces."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.choice([6, 8, 13]))) for _ in range(120)]
    path = tmp_path_factory.mktemp("data") / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return Source(str(path))


@pytest.fixture(scope="module")
def bert_result(source, subject):
    return Shortcut(source, piece=8).run(subject("bert", **DEEPER), Tools())


def masked(model, source: Source, count: int) -> tuple[torch.Tensor, ...]:
    """The first texts as the suite encodes them, with the hidden tokens' places, one by one."""
    texts = [row["text"] for row in source.rows("text")[:count]]
    encoded = Encoder(model.tokenizer)([Request(n, text) for n, text in enumerate(texts)])
    place_N = hidden_places(encoded, np.array([(n, 0) for n in range(count)]), seed=3)
    encoded.ids_T[encoded.first_N[:-1] + place_N] = model.mask
    return encoded, place_N


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_reproduces_the_model_on_the_last_layer(family, source, subject):
    """And every state is what transformers calls hidden_states, under the final norm where there is one."""
    model = subject("bert" if family == "ltg_bert" else family)
    if family == "ltg_bert":  # its config takes other keys than the fixture's shape has
        torch.manual_seed(7)
        model.network = ModelRecipe(family, LTG).build(model.tokenizer, 96, "mlm").eval()
    encoded, place_N = masked(model, source, 7)
    states_KND, norm = states(model, encoded, place_N, Tools(positions=30))
    assert isinstance(norm, nn.Identity) == (family not in FINAL_NORM) and states_KND.shape == (3, 7, 32)
    for number, place in enumerate(place_N):
        ids = torch.from_numpy(encoded.ids_T[encoded.first_N[number] : encoded.first_N[number + 1]])[None]
        assert ids[0, place] == model.mask and (ids == model.mask).sum() == 1
        with torch.no_grad():
            out = model.network.hf(input_ids=ids, output_hidden_states=True)
            logits_V = model.network.predict(torch.from_numpy(states_KND[-1, number]))
            below = [norm(hidden[0, place]).numpy() for hidden in out.hidden_states[:2]]
        assert logits_V.numpy() == pytest.approx(out.logits[0, place].numpy(), abs=1e-4)
        assert states_KND[:2, number] == pytest.approx(np.array(below), abs=1e-4)


def test_the_last_layer_is_the_model(bert_result, source, subject):
    """Its figures through either map: all variance, all first tokens, and the surprisal of the model's own guesses."""
    for prefix, near in (("", 1e-4), ("identity/", 1e-9)):
        found = {name: bert_result.figures[f"by/layer/3/{prefix}{name}"] for name in ("precision@1", "r2")}
        assert found == pytest.approx({"precision@1": 1, "r2": 1}, abs=near)
    own, other = (bert_result.figures[f"by/layer/3/{prefix}surprisal"] for prefix in ("", "identity/"))
    assert own == pytest.approx(other, abs=1e-4)
    assert all(bert_result.figures[f"by/layer/{layer}/surprisal"] >= own - 1e-6 for layer in range(3))


def test_the_map_from_the_last_layer_to_itself_is_the_identity():
    states_ND = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    assert fitted(states_ND, states_ND) == pytest.approx(np.eye(12), abs=1e-6)
    # states that layer norm confines to fewer directions are reproduced as well
    flat_ND = states_ND - states_ND.mean(1, keepdims=True)
    assert flat_ND[:150] @ fitted(flat_ND[150:], flat_ND[150:]) == pytest.approx(flat_ND[:150], abs=1e-5)


def test_maps_are_least_squares_without_intercept():
    draw = np.random.default_rng(1)
    states_ND, true_DD = draw.normal(size=(300, 8)), draw.normal(size=(8, 8))
    assert fitted(states_ND, states_ND @ true_DD) == pytest.approx(true_DD)
    noisy_ND = states_ND @ true_DD + draw.normal(size=(300, 8)) + 2  # the constant cannot be had
    for ridge in (0.0, 0.5, 50.0):
        expected = Ridge(ridge, fit_intercept=False, solver="svd").fit(states_ND, noisy_ND).coef_.T
        assert fitted(states_ND, noisy_ND, ridge) == pytest.approx(expected)
    assert np.linalg.norm(fitted(states_ND, noisy_ND, 1e9)) < 1e-3


def test_no_map_explains_less_than_the_identity_where_it_was_fitted(source, subject):
    """The identity is one of the maps that least squares chooses from. Coordinates are fitted one by one."""
    encoded, place_N = masked(subject("bert"), source, 60)
    states_KND, _ = states(subject("bert"), encoded, place_N, Tools())
    for first in range(3):
        for second in range(first, 3):
            given_ND, wanted_ND = states_KND[first], states_KND[second]
            best = r2(given_ND @ fitted(given_ND, wanted_ND), wanted_ND)
            assert best >= r2(given_ND, wanted_ND) - 1e-6
    away_D = ((wanted_ND - given_ND) ** 2).sum(0) / ((wanted_ND - wanted_ND.mean(0)) ** 2).sum(0)
    assert r2(given_ND, wanted_ND) == pytest.approx(1 - away_D.mean())


def test_figures_by_brute_force(bert_result, source, subject):
    """The whole suite once more, text by text, in plain numpy and transformers."""
    model = subject("bert", **DEEPER)
    pieces = [(n, i // 8, words[i : i + 8]) for n, row in enumerate(source.rows("text"))
              for words in [row["text"].split()] for i in range(0, len(words), 8)]  # fmt: skip
    encoded = Encoder(model.tokenizer)([Request((n, i), " ".join(words)) for n, i, words in pieces])
    id_N2 = np.array([(n, i) for n, i, _ in pieces])
    place_N = hidden_places(encoded, id_N2, 0)
    states_N = []
    for number, place in enumerate(place_N):
        ids = torch.from_numpy(encoded.ids_T[encoded.first_N[number] : encoded.first_N[number + 1]]).clone()
        ids[place] = model.mask
        with torch.no_grad():
            out = model.network.hf(input_ids=ids[None], output_hidden_states=True)
        states_N.append([hidden[0, place].numpy() for hidden in out.hidden_states])
    states_KND = np.array(states_N, dtype=np.float64).swapaxes(0, 1)
    test_N = parted(id_N2[:, 0], 0.25, 0)
    assert bert_result.facts["pieces"] == {"fit": int((~test_N).sum()), "test": int(test_N.sum())}

    def say(vector_ND):
        with torch.no_grad():
            return model.network.predict(torch.tensor(vector_ND, dtype=torch.float32)).double().log_softmax(-1).numpy()

    final_NV = say(states_KND[3, test_N])
    rows_N, top_N = np.arange(len(final_NV)), final_NV.argmax(1)
    first, lead = [], {"": [], "identity/": []}
    for layer in range(3):
        map_DD = np.linalg.lstsq(states_KND[layer, ~test_N], states_KND[3, ~test_N], rcond=1e-7)[0]
        for prefix, vector_ND in (("", states_KND[layer, test_N] @ map_DD), ("identity/", states_KND[layer, test_N])):
            found = {name: bert_result.figures[f"by/layer/{layer}/{prefix}{name}"]
                     for name in ("precision@1", "precision@5", "precision@10", "surprisal", "r2")}  # fmt: skip
            own_NV = say(vector_ND)
            rank_N = (own_NV > own_NV[rows_N, top_N][:, None]).sum(1)
            assert [found[f"precision@{k}"] for k in (1, 5, 10)] == pytest.approx(
                [(rank_N < k).mean() for k in (1, 5, 10)]
            )
            assert found["surprisal"] == pytest.approx(-final_NV[rows_N, own_NV.argmax(1)].mean(), abs=1e-4)
            assert found["r2"] == pytest.approx(r2(vector_ND, states_KND[3, test_N]), abs=1e-4)
            first += [rank_N < 1] if not prefix else []
            two_N2 = np.sort(np.exp(own_NV), axis=1)[:, -2:]
            lead[prefix].append((two_N2[:, 1] - two_N2[:, 0], rank_N < 1))
    assert next(iter(bert_result.figures)) == "precision@1"
    assert bert_result.figures["precision@1"] == pytest.approx(np.mean(first)) and 0 < np.mean(first) < 1
    interval = clustered(np.mean(first, 0), id_N2[test_N, 0])  # pieces of one text go together
    assert bert_result.figures["precision@1/low"] == pytest.approx(interval.low)
    share_N = (place_N / encoded.length_N)[test_N]
    for exit_at in (0.2, 0.5, 0.8):
        for prefix, layers in lead.items():
            stops = []
            for number, share in enumerate(share_N):
                threshold = 0.9 * exit_at + 0.1 * np.exp(-4 * share)
                sure = [layer for layer in (1, 2) if layers[layer][0][number] > threshold]
                stops.append((sure[0], layers[sure[0]][1][number]) if sure else (3, True))
            saved, agreement = (
                bert_result.figures[f"by/exit/{exit_at}/{prefix}{name}"] for name in ("saved", "agreement")
            )
            assert saved == pytest.approx(np.mean([1 - layer / 3 for layer, _ in stops]), abs=1e-9) and saved > 0
            assert agreement == pytest.approx(np.mean([right for _, right in stops]))


def test_credit_for_equal_logits_is_shared():
    """With 3 tokens as likely as the model's first, and one before them: none, 1 and 2 of 3, then all are within k."""
    final = torch.tensor([[9.0, 0, 0, 0, 0]])
    logits = torch.tensor([[1.0, 2, 1, 1, 0]])
    found = compared(logits, final, [1, 2, 3, 4])
    assert [found[f"precision@{k}"].item() for k in (1, 2, 3, 4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert found["surprisal"].item() == pytest.approx(-final.log_softmax(1)[0, 1].item())
    two = logits.softmax(1)[0].sort(descending=True).values
    assert found["margin"].item() == pytest.approx((two[0] - two[1]).item())


def test_the_hidden_token_is_drawn_by_seed_and_id_alone(subject, sentences):
    encoder = Encoder(subject("bert").tokenizer)
    requests = [Request((n, n % 2), sentences[n % 2]) for n in range(2000)]
    encoded, id_N2 = encoder(requests), np.array([request.id for request in requests])
    place_N = hidden_places(encoded, id_N2, 0)
    for kind in (0, 1):  # no special token, every other one equally often: chi-square, far beyond its 99.99 % quantile
        length = encoded.length_N[kind]
        count = np.bincount(place_N[kind::2], minlength=length)
        assert count[0] == count[-1] == 0 and len(count) == length
        mean = 1000 / (length - 2)
        assert ((count[1:-1] - mean) ** 2 / mean).sum() < (length - 3) + 6 * np.sqrt(2 * (length - 3))
    some = np.random.default_rng(0).permutation(2000)[:500]
    assert (hidden_places(encoder([requests[n] for n in some]), id_N2[some], 0) == place_N[some]).all()
    assert (hidden_places(encoded, id_N2, 1) != place_N).mean() > 0.5
    assert hidden_places(encoder([Request(0, "")]), np.array([(0, 0)]), 0).tolist() == [-1]


def test_no_text_is_in_both_parts():
    text_N = np.repeat(np.arange(40), 3)
    test_N = parted(text_N, 0.25, 0)
    assert not set(text_N[test_N]) & set(text_N[~test_N]) and len(set(text_N[test_N])) == 10
    assert (parted(text_N, 0.25, 1) != test_N).any()
    assert [int(parted(np.arange(2), share, 0).sum()) for share in (0.01, 0.99)] == [1, 1]


def test_early_exit(source, subject):
    margin_KN = np.array([[0.9, 0.9, 0.9], [0.1, 0.6, 0.3], [0.1, 0.1, 0.5], [0, 0, 0]])
    assert exits(margin_KN, np.array([0.5, 0.5, 0.4])).tolist() == [3, 1, 2]  # not at layer 0; at the last in any case
    result = Shortcut(source, piece=8, exit_at=(1.2, -1.2)).run(subject("bert", **DEEPER), Tools()).figures
    for prefix in ("", "identity/"):  # a threshold above 1 runs all layers, one below 0 the first alone
        found = [
            result[f"by/exit/{exit_at}/{prefix}{name}"] for exit_at in (1.2, -1.2) for name in ("saved", "agreement")
        ]
        assert found == pytest.approx([0, 1, 2 / 3, result[f"by/layer/1/{prefix}precision@1"]])


def test_batches_and_mode_change_nothing_and_the_network_stays(bert_result, source, subject):
    model = subject("bert", **DEEPER)
    model.network.train()
    hooks = [len(module._forward_hooks) for module in model.network.modules()]
    before, state = [value.clone() for value in model.network.state_dict().values()], torch.get_rng_state()
    again = Shortcut(source, piece=8).run(model, Tools(positions=20)).figures
    close = {name: value for name, value in bert_result.figures.items() if "precision" not in name}
    assert {name: again[name] for name in close} == pytest.approx(close, abs=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, model.network.state_dict().values(), strict=True))
    assert model.network.training and torch.equal(torch.get_rng_state(), state)
    assert [len(module._forward_hooks) for module in model.network.modules()] == hooks


def test_the_held_out_documents_are_read_without_a_source(bert_result, source, subject):
    model = subject("bert", **DEEPER)
    texts = [row["text"] for row in source.rows("text")]
    corpus = SimpleNamespace(name="a corpus")
    model.heldout = SimpleNamespace(documents=lambda cache: (texts, "key"), corpus=corpus)  # type: ignore[assignment]
    suite = Shortcut(optional(), piece=8)
    assert suite.reads_heldout and not Shortcut(source).reads_heldout
    result = suite.run(model, Tools())
    assert result.figures == bert_result.figures and result.facts["corpus"] == "a corpus"


def test_few_texts_are_said_to_be_few(source, subject):
    result = Shortcut(source, piece=8, most=40).run(subject("bert"), Tools())
    assert sum(result.facts["pieces"].values()) == 40 and "a width of 32" in result.facts["notes"][0]
    assert result.figures["by/layer/1/fit/r2"] == pytest.approx(
        1, abs=1e-3
    )  # no more texts than numbers to fit to each
    assert result.figures["by/layer/1/r2"] < 0.9
    held = Shortcut(source, piece=8, most=40, ridge=10.0).run(subject("bert"), Tools())
    assert held.figures["r2"] > result.figures["r2"] and not held.facts["notes"]


def test_mistakes_are_named(tmp_path, source, subject):
    for settings, sentence in (
        ({"test_share": 1.0}, "evaluation.test_share is 1.0"),
        ({"ridge": -1.0}, "evaluation.ridge is -1.0"),
        ({"k": [0]}, r"evaluation.k is \[0\]"),
        ({"exit_at": [float("nan")]}, "evaluation.exit_at is"),
        ({"piece": 0}, "evaluation.piece is 0"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            Shortcut(source, **settings)
    with pytest.raises(RecipeError, match="evaluation=shortcut needs texts, and run=bert"):
        Shortcut(optional()).check(subject("bert"))
    with pytest.raises(RecipeError, match="evaluation=shortcut fills masks, and run=llama is a causal model"):
        Shortcut(source).check(subject("llama"))
    foreign = subject("bert")
    foreign.network = Foreign(foreign.network.hf)
    with pytest.raises(RecipeError, match=r"knows neither of run=bert \(bert\)"):
        Shortcut(source).check(foreign)
    (tmp_path / "one.jsonl").write_text(json.dumps({"text": "the art of the state " * 9}))
    with pytest.raises(RecipeError, match="gives 1 texts with 9 pieces"):
        Shortcut(Source(str(tmp_path / "one.jsonl")), piece=5).run(subject("bert"), Tools())
