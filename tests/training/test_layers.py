"""Rates by layer and frozen layers: exact ratios, unchanged bits, and one mechanism for every optimizer and family."""

from __future__ import annotations

from io import BytesIO

import pytest
import torch
from tests.models.conftest import RECIPES, make_tokenizer

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe, share
from maskwright.models.families import FAMILIES
from maskwright.training.optimizers import AdamW, Lamb, Muon
from maskwright.training.optimizers.layers import Layers, _places, depth

OPTIMIZERS = {"adamw": (AdamW, {"lr": 1e-2}), "lamb": (Lamb, {"lr": 1e-2}), "muon": (Muon, {"lr": 1e-2})}


def network(name: str = "bert", head: str | None = None, **changes):
    torch.manual_seed(0)
    recipe = ModelRecipe(**{**RECIPES[name], **changes})
    return recipe.build(make_tokenizer(), 24, head or recipe.heads[0])


def deep(layers: int):
    return network(config={**RECIPES["bert"]["config"], "num_hidden_layers": layers})


def step(net, optimizer, seed: int = 0) -> None:
    ids_BL = torch.randint(5, 96, (2, 24), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    torch.manual_seed(seed)  # dropout
    logits_BLV = net.predict(net.encode(ids_BL, padded=False))
    torch.nn.functional.cross_entropy(logits_BLV.flatten(0, 1), ids_BL.flatten()).backward()
    optimizer.step()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_has_one_place_and_every_layer_its_own(name):
    net = network(name)
    places = {}
    for weight, place in _places(net):
        assert places.setdefault(id(weight), place) >= place or place == depth(net) + 1
        places[id(weight)] = min(places[id(weight)], place)
    assert places.keys() == {id(weight) for weight in net.parameters()}
    assert set(places.values()) == set(range(depth(net) + 2)) or set(places.values()) == set(range(depth(net) + 1))
    assert places[id(net.word_embeddings.weight)] == 0
    stack = net.body.get_submodule(net.family.layers)
    for number, layer in enumerate(stack, 1):
        assert {places[id(weight)] for weight in layer.parameters()} == {number}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_rates_fall_by_one_factor_from_layer_to_layer(kind):
    make, settings = OPTIMIZERS[kind]
    net, decay = deep(3), 0.5
    optimizer = make(**settings, layer_decay=decay).build(net)
    rate = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    peak = {"hidden": 1e-2, "rest": 1e-2, "no_decay": 1e-2}
    if kind == "muon":
        peak |= {"rest": 3e-3, "no_decay": 3e-3}
    named = {id(weight): group["name"] for group in optimizer.param_groups for weight in group["params"]}
    assert len(rate) == len(list(net.parameters()))
    for weight, place in _places(net):
        assert rate[id(weight)] == pytest.approx(peak[named[id(weight)]] * decay ** (4 - place), rel=1e-12) or (
            weight is net.word_embeddings.weight  # the head's projection too: the smaller rate
        )
    assert rate[id(net.word_embeddings.weight)] == pytest.approx(peak["no_decay"] * decay**4)
    assert all(group["initial_lr"] == group["lr"] for group in optimizer.param_groups)


def test_first_steps_of_adamw_have_exactly_that_ratio():
    """Adam's first step moves every weight by its rate, whatever the gradient."""
    net = deep(3)
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    step(net, AdamW(lr=1e-3, eps=1e-30, weight_decay=0.0, layer_decay=0.5).build(net))
    for number in range(3):
        name = f"hf.bert.encoder.layer.{number}.output.dense.weight"
        moved = (net.get_parameter(name) - before[name]).detach().abs()
        assert moved.median().item() == pytest.approx(1e-3 * 0.5 ** (3 - number), rel=1e-3)
    name = "hf.cls.predictions.transform.dense.weight"
    assert (net.get_parameter(name) - before[name]).abs().median().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_without_decay_nothing_changes(kind):
    make, settings = OPTIMIZERS[kind]
    optimizer = make(**settings).build(net := network())
    names = [group["name"] for group in optimizer.param_groups]
    assert names == list(dict.fromkeys(names))
    assert all(weight.requires_grad for weight in net.parameters())


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("embeddings", [False, True])
def test_frozen_weights_keep_every_bit(kind, embeddings):
    make, settings = OPTIMIZERS[kind]
    net = deep(3)
    optimizer = make(**settings, weight_decay=0.5, frozen_layers=2, frozen_embeddings=embeddings).build(net)
    places = {name: place for name, weight in net.named_parameters() for w, place in _places(net) if w is weight}
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    for seed in range(3):
        step(net, optimizer, seed)
    for name, weight in net.named_parameters():
        still = places[name] in (1, 2) or (embeddings and "embeddings" in name)
        assert torch.equal(weight, before[name]) == (still or ".pooler." in name), name
        assert (weight.grad is None) == (still or ".pooler." in name)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_state_by_layer_survives_a_checkpoint(kind):
    make, settings = OPTIMIZERS[kind]
    recipe = make(**settings, layer_decay=0.7, frozen_layers=1)

    def after(steps, net, optimizer):
        for seed in steps:
            step(net, optimizer, seed)
        return net

    whole = after(range(4), net := deep(3), recipe.build(net))
    optimizer = recipe.build(first := deep(3))
    after(range(2), first, optimizer)
    file = BytesIO()
    torch.save({"net": first.state_dict(), "optimizer": optimizer.state_dict()}, file)
    saved = torch.load(BytesIO(file.getvalue()), weights_only=True)
    second = deep(3)
    second.load_state_dict(saved["net"])
    resumed = recipe.build(second)
    resumed.load_state_dict(saved["optimizer"])
    after(range(2, 4), second, resumed)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_of_two_networks_each_counts_its_own_layers_and_a_shared_table_takes_the_smaller_rate():
    small, large = deep(1), network(head="detect", config={**RECIPES["bert"]["config"], "num_hidden_layers": 3})
    share(small, large, "tied")
    optimizer = AdamW(lr=1.0, layer_decay=0.5).build(torch.nn.ModuleList([small, large]))
    rate = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert rate[id(small.hf.bert.encoder.layer[0].output.dense.weight)] == 0.5
    assert rate[id(large.hf.bert.encoder.layer[0].output.dense.weight)] == 0.125
    assert rate[id(small.word_embeddings.weight)] == 0.0625
    assert rate[id(large.hf.classifier.weight)] == 1.0


def test_impossible_settings_are_refused():
    for settings, message in (
        ({"decay": 0}, "optimizer.layer_decay is 0; it lies above 0 and not above 1"),
        ({"decay": 1.5}, "optimizer.layer_decay is 1.5"),
        ({"decay": float("nan")}, "optimizer.layer_decay is nan"),
        ({"frozen": -1}, "optimizer.frozen_layers is -1; give a whole number from 0 up"),
        ({"frozen": 1.5}, "optimizer.frozen_layers is 1.5"),
        ({"frozen_embeddings": "yes"}, "optimizer.frozen_embeddings is yes; give true or false"),
    ):
        with pytest.raises(RecipeError, match=message):
            Layers(**settings)
    with pytest.raises(RecipeError, match="frozen_layers is 3, and the network has 2 layers"):
        AdamW(lr=1.0, frozen_layers=3).build(network())
    with pytest.raises(RecipeError, match="layer_decay needs a network that says which its layers are"):
        AdamW(lr=1.0, layer_decay=0.5).build(torch.nn.Linear(2, 2))
