"""The closed form against torch's own counter, which watches every product of a real step."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maskwright.models import ModelRecipe, training_flops
from maskwright.models.families import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_training_flops_within_one_percent(name, network):
    net, length, rows, picked = network(name, attention="eager"), 24, 16, 6
    ids_BL = torch.randint(5, 96, (rows, length))
    counter = FlopCounterMode(display=False)
    with counter:
        hidden_BLD = net.encode(ids_BL, padded=False)
        net.predict(hidden_BLD[:, :picked].reshape(-1, hidden_BLD.shape[-1])).sum().backward()
    assert training_flops(net, rows * length, rows * picked) == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "llama"])
def test_a_last_layer_at_the_predicted_places_costs_less(name, network):
    net, length, rows, picked = network(name, attention="eager"), 24, 16, 6
    ids_BL, place_BK = torch.randint(5, 96, (rows, length)), torch.arange(picked).expand(rows, -1)
    counter = FlopCounterMode(display=False)
    with counter:
        net.predict(net.encode(ids_BL, padded=False, place_BK=place_BK)).sum().backward()
    counted = training_flops(net, rows * length, rows * picked, picked=rows * picked)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert (counted < 0.95 * training_flops(net, rows * length, rows * picked)) == net.picks


@pytest.mark.parametrize("share_att_key", [True, False])
def test_both_kinds_of_relative_projection_are_counted(share_att_key, recipes, tokenizer):
    config = {**recipes["deberta_v3"]["config"], "share_att_key": share_att_key}
    net = ModelRecipe("deberta_v3", config).build(tokenizer, 24)
    counter = FlopCounterMode(display=False)
    with counter:
        net.predict(net.encode(torch.randint(5, 96, (4, 24)), padded=False)).sum().backward()
    assert training_flops(net, 96, 96) == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "llama"])
def test_detection_heads_too(name, network):
    net = network(name, "detect", attention="eager")
    counter = FlopCounterMode(display=False)
    with counter:
        net.detect(net.encode(torch.randint(5, 96, (16, 24)), padded=False)).sum().backward()
    assert training_flops(net, 16 * 24, 16 * 24) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_arithmetic_grows_linearly_in_rows(network):
    net = network("bert")
    assert training_flops(net, 4800, 480) == pytest.approx(10 * training_flops(net, 480, 48))
