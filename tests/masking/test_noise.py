"""Counter-based noise: uniform, pure, and unrelated across every part of its key."""

from __future__ import annotations

import torch

from maskwright.masking.noise import mixed_seed, stream_id, uniform, uniform_at


def test_noise_is_uniform():
    u = uniform((0, stream_id("main.token"), torch.arange(400)), 500).flatten()
    counts = torch.histc(u.float(), 100, 0, 1)
    assert u.min() > 0 and u.max() < 1
    assert ((counts - 2000) ** 2 / 2000).sum() < 149  # chi-square, 99 degrees of freedom, 0.1 %


def test_noise_is_a_function_of_its_key_alone():
    samples = torch.tensor([5, 900, 7])
    whole = uniform((3, 11, samples), 40)
    assert torch.equal(uniform((3, 11, samples[1:2]), 40), whole[1:2])
    assert torch.equal(uniform((3, 11, samples), 30, first=10), whole[:, 10:])
    place = torch.tensor([[3, 39], [0, 1], [20, 20]])
    assert torch.equal(uniform_at((3, 11, samples), place), whole.gather(1, place))


def test_neighbouring_keys_are_unrelated():
    base = uniform((0, 0, torch.arange(1)), 20_000)[0]
    others = [
        uniform((1, 0, torch.arange(1)), 20_000)[0],
        uniform((0, 1, torch.arange(1)), 20_000)[0],
        uniform((0, 0, torch.arange(1, 2)), 20_000)[0],
        uniform((0, 0, torch.arange(1)), 20_000, first=1)[0],
        uniform((0, torch.arange(1)), 20_000)[0],
    ]
    for other in others:
        correlation = torch.corrcoef(torch.stack([base, other]))[0, 1]
        assert abs(correlation) < 4 / 20_000**0.5


def test_seeds_differ_for_every_part_and_order():
    assert len({mixed_seed(*parts) for parts in [(0, 0), (0, 1), (1, 0), (1, 1), (-1, 0), (0, -1)]}) == 6
    assert len({stream_id(name) for name in ("main.token", "main.word", "decoder.token", "")}) == 4
