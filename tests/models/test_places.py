"""The last layer at the wanted places only: the same hidden states and gradients, for less work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskwright.models import ModelRecipe
from maskwright.models.families import FAMILIES
from maskwright.models.places import pick

PICKS = [name for name in FAMILIES if name not in ("llama", "distilbert", "albert", "longformer")]
LENGTH = 24


@pytest.fixture
def rows():
    """ids, valid, documents and places, of which two are named twice."""
    noise = torch.Generator().manual_seed(1)
    ids_BL = torch.randint(5, 96, (5, LENGTH), generator=noise)
    valid_BL = torch.arange(LENGTH) < torch.tensor([[24], [24], [20], [13], [9]])
    document_BL = (1 + (torch.arange(LENGTH) > 6).long()) * valid_BL
    place_BK = torch.stack([torch.randperm(9, generator=noise)[:4] for _ in range(5)])
    place_BK[0, 1], place_BK[3, 0] = place_BK[0, 0], place_BK[3, 3]
    return ids_BL, valid_BL, document_BL, place_BK


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("padded", [False, True])
def test_hidden_states_and_gradients_are_those_of_the_whole_layer(name, padded, network, rows):
    ids_BL, valid_BL, _, place_BK = rows
    net = network(name)
    assert net.picks == (name in PICKS)
    found = {}
    for wanted in (None, place_BK):
        net.zero_grad()
        hidden = net.encode(ids_BL, valid_BL, padded=padded, place_BK=wanted)
        hidden_BKD = pick(hidden, place_BK) if wanted is None else hidden
        (net.predict(hidden_BKD).log_softmax(-1)[..., 7] * torch.arange(1.0, 5)).sum().backward()
        found[wanted is None] = [hidden_BKD, *(weight.grad for weight in net.parameters() if weight.grad is not None)]
    assert len(found[True]) == len(found[False])
    largest = max(full.abs().max().item() for full in found[True])
    for full, picked in zip(found[True], found[False]):
        assert torch.allclose(full, picked, rtol=1e-4, atol=1e-6 * largest)


@pytest.mark.parametrize("name", ["bert", "modernbert", "deberta_v3", "ltg_bert", "mpnet"])
@pytest.mark.parametrize("count", [0, 1, LENGTH, LENGTH + 5])
def test_any_number_of_places_in_training_mode_and_in_bf16(name, count, network, rows):
    ids_BL = rows[0]
    net = network(name).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    place_BK = torch.randint(LENGTH, (5, count), generator=torch.Generator().manual_seed(2))
    whole, picked = net.encode(ids_BL, padded=False), net.encode(ids_BL, padded=False, place_BK=place_BK)
    assert torch.allclose(pick(whole, place_BK), picked, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        near = net.encode(ids_BL, padded=False, place_BK=place_BK).float()
    assert near.shape == picked.shape and (near - picked).abs().max().item() < 0.1 if count else near.shape[1] == 0


def test_what_fails_or_was_there_before_leaves_the_layer_as_it_was(network, rows):
    net = network("modernbert")
    layer = net.family.last_layer(net.hf)
    with pytest.raises(IndexError):
        net.encode(rows[0], padded=False, place_BK=torch.full((5, 2), 1000))
    assert "forward" not in vars(layer) and not layer.attn.Wo._forward_pre_hooks
    ours = layer.forward
    layer.forward = ours
    net.encode(rows[0], padded=False, place_BK=rows[3])
    assert vars(layer)["forward"] is ours


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", [name for name in PICKS if name != "deberta_v2"])
def test_documents_in_a_row_stay_apart(name, attention, network, rows):
    if attention not in FAMILIES[name].attentions:
        pytest.skip("this family runs with eager attention only")
    ids_BL, valid_BL, document_BL, place_BK = rows
    net = network(name, attention=attention)
    whole_BLD = net.encode(ids_BL, valid_BL, document_BL, blocks=True)
    picked_BKD = net.encode(ids_BL, valid_BL, document_BL, blocks=True, place_BK=place_BK)
    assert torch.allclose(pick(whole_BLD, place_BK), picked_BKD, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", PICKS)
def test_what_lies_behind_attention_sees_the_places_alone(name, network, rows):
    ids_BL, _, _, place_BK = rows
    net, seen = network(name), {}
    layer = net.family.last_layer(net.hf)
    parts = [layer.get_submodule(part) for part in net.family.behind_attention]
    behind = {id(module) for part in parts for module in part.modules()}

    def note(module, inputs, output):
        seen.setdefault(module, output.shape[1])  # later calls may project relative places

    linear = [module for module in layer.modules() if isinstance(module, nn.Linear)]
    hooks = [module.register_forward_hook(note) for module in linear]
    net.encode(ids_BL, padded=False, place_BK=place_BK)
    assert [seen[module] for module in linear] == [4 if id(module) in behind else LENGTH for module in linear]
    assert sum(id(module) in behind for module in linear) == 3
    for hook in hooks:
        hook.remove()
    assert net.encode(ids_BL, padded=False).shape[1] == LENGTH and "forward" not in vars(layer)
    assert not [hook for part in parts for hook in part._forward_pre_hooks]


def test_a_layer_that_a_convolution_reads_is_not_picked_from(recipes, tokenizer):
    one = {**recipes["deberta_v2"]["config"], "num_hidden_layers": 1}
    net = ModelRecipe("deberta_v2", one).build(tokenizer, LENGTH).eval()
    ids_BL, place_BK = torch.randint(5, 96, (2, LENGTH)), torch.tensor([[1, 5], [0, 7]])
    assert not net.picks
    with torch.no_grad():
        assert torch.equal(net.encode(ids_BL, place_BK=place_BK), pick(net.encode(ids_BL), place_BK))


def test_a_compiled_or_recomputed_body_is_run_whole(network):
    net = network("bert")
    layer = net.family.last_layer(net.hf)
    layer.gradient_checkpointing = True
    assert not net.picks
    layer.gradient_checkpointing = False
    assert net.picks
    layer.compile()
    assert not net.picks
    other = network("bert")
    other.body.compile(dynamic=False)
    assert not other.picks
