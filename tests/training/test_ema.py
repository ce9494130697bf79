"""The weight average: its formula, its swap, its checkpoint."""

import pytest
import torch
from torch import nn

from maskwright.errors import RecipeError
from maskwright.training.ema import WeightAverage


def test_average_follows_the_formula():
    net, average = nn.Linear(1, 1, bias=False), WeightAverage(decay=0.3)
    expected = 0.0
    with torch.no_grad():
        net.weight.fill_(expected)
        average.start(net)
        for update, value in enumerate([1.0, -2.0, 5.0, 5.0, 5.0]):
            net.weight.fill_(value)
            average.update(net)
            kept = min(0.3, (1 + update) / (10 + update))
            expected = kept * expected + (1 - kept) * value
    with average.averaged(net):
        assert net.weight.item() == pytest.approx(expected, rel=1e-6)
    assert net.weight.item() == 5.0


def test_swap_is_exact_even_when_its_inside_fails():
    torch.manual_seed(0)
    net, average = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), WeightAverage()
    net[1].requires_grad_(False)
    average.start(net)
    with torch.no_grad():
        net[0].weight.add_(0.1)
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    pointer = net[0].weight.data_ptr()
    with pytest.raises(KeyError), average.averaged(net):
        assert not torch.equal(net[0].weight, before["0.weight"])
        raise KeyError
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert net[0].weight.data_ptr() == pointer  # the optimizer still holds these very tensors


def test_checkpoint_goes_on_exactly():
    def moved(net, average, steps):
        for step in steps:
            with torch.no_grad():
                net.weight.fill_(float(step) ** 0.5)
            average.update(net)
        return average

    net = nn.Linear(2, 2)
    whole, first, second = WeightAverage(0.9), WeightAverage(0.9), WeightAverage(0.9)
    whole.start(net)
    first.start(net)
    moved(net, whole, range(8))
    saved = moved(net, first, range(4)).state_dict()
    second.load_state_dict(saved)
    second.start(net)
    moved(net, second, range(4, 8))
    assert torch.equal(whole.state_dict()["average"]["weight"], second.state_dict()["average"]["weight"])


def test_impossible_settings_are_refused():
    with pytest.raises(RecipeError, match="trainer.ema is 1.5; a decay lies between 0 and 1"):
        WeightAverage(1.5)
    average = WeightAverage()
    average.load_state_dict({"updates": 1, "average": {"weight": torch.zeros(3, 3)}})
    with pytest.raises(RecipeError, match="of another network"):
        average.start(nn.Linear(2, 2, bias=False))
