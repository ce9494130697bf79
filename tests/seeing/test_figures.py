"""Figures of a view against counting by hand."""

from __future__ import annotations

import random
from collections import Counter
from itertools import groupby, pairwise

import pytest
import torch

from maskwright.seeing.figures import LONGEST, by_length, figures, runs


def by_hand(unit, masked, counted=None):
    """Lengths of runs, row by row, by a loop."""
    lengths = []
    for row in range(len(masked)):
        places = [(bool(m), int(u), place) for place, (m, u) in enumerate(zip(masked[row], unit[row]))]
        for (is_masked, _), group in groupby(places, key=lambda one: one[:2]):
            if is_masked:
                members = [place for _, _, place in group]
                lengths.append(
                    len(members) if counted is None else 1 + sum(bool(counted[row][place]) for place in members[1:])
                )
    return lengths


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_those_counted_by_hand(seed):
    draw = torch.Generator().manual_seed(seed)
    masked = torch.rand(7, 31, generator=draw) < 0.6
    unit = (torch.rand(7, 31, generator=draw) < 0.5).long().cumsum(1)
    words = torch.rand(7, 31, generator=draw) < 0.5
    assert sorted(runs(unit, masked).tolist()) == sorted(by_hand(unit, masked))
    assert sorted(runs(unit, masked, words).tolist()) == sorted(by_hand(unit, masked, words))
    assert runs(unit, masked).sum() == masked.sum()


def test_long_ones_are_counted_together():
    lengths = [random.Random(1).randint(1, 30) for _ in range(500)]
    counts = by_length(torch.tensor(lengths))
    plain = Counter(str(n) if n <= LONGEST else f">{LONGEST}" for n in lengths)
    assert counts == plain and sum(counts.values()) == 500
    assert by_length(torch.zeros(0, dtype=torch.int64)) == {}


@pytest.mark.parametrize("rate", ["rate=uniform", "rate.value=0.3", "rate.value=0.0", "rate.value=1.0"])
def test_rows_by_rate_add_up_and_lie_in_their_bins(rate, look_at):
    look = look_at("masking=whole_word", "masking/budget=whole", rate)
    view = look.made["main"]
    found = figures(view, look.real_BL, look.rows["word"])
    bins = found["rows_by_achieved_rate"]
    edges = bins["edges"]
    assert len(edges) == len(bins["achieved"]) + 1 == len(bins["asked"]) + 1
    achieved = ((view.outcome_BL > 0).sum(1) / view.maskable_BL.sum(1)).tolist()
    for name, values in (("achieved", achieved), ("asked", view.rate_B.tolist())):
        counted = [sum(low - 1e-9 <= value < high - 1e-9 for value in values) for low, high in pairwise(edges)]
        assert bins[name] == counted and sum(counted) == found["rows"] == len(values)
    assert found["achieved_rate_by_row"]["least"] == pytest.approx(min(achieved))
    assert found["rate"] == pytest.approx(sum(view.rate_B.tolist()) / len(view.rate_B))


def test_predicted_is_apart_from_selected(look_at):
    look = look_at("rate.value=0.4", "prediction=share", "prediction.value=0.1")
    view = look.made["main"]
    found = figures(view, look.real_BL, None)
    assert found["predicted_rate"] == pytest.approx(view.counts_BK.sum().item() / view.maskable_BL.sum().item())
    assert found["predicted_rate"] == pytest.approx(0.1, abs=0.02) and found["achieved_rate"] > 0.38
    assert found["predicted_per_row"] * found["rows"] == pytest.approx(view.counts_BK.sum().item())


def test_what_the_network_reads_is_counted(look_at):
    deleted = look_at("corruption=mask_and_delete", "rate.value=0.4")
    found = figures(deleted.made["main"], deleted.real_BL, None)
    removed = found["outcomes"]["removed"] * found["masked_per_row"]
    assert removed > 0 and found["read_per_row"] == pytest.approx(found["tokens_per_row"] - removed)
    inserted = look_at("corruption=insert", "rate.value=0.25")
    found = figures(inserted.made["main"], inserted.real_BL, None)
    assert found["inserted_per_row"] == pytest.approx(found["masked_per_row"]) and found["masked_per_row"] > 0
    assert found["read_per_row"] == pytest.approx(found["tokens_per_row"] + found["inserted_per_row"])
    assert found["loss_weight"] is None and found["predicted_rate"] == 0
