"""The order is a pure function of its arguments: the same for any batch size, rank, worker count or restart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from maskwright.data.order import SampleOrder, SliceDataset, chunks
from maskwright.data.pack import Packing
from maskwright.data.rows import Rows, write
from maskwright.errors import RecipeError

N = 37


def stream(**arguments) -> list[tuple[int, int]]:
    parts = list(SampleOrder(samples=N, **arguments))
    return [pair for part in parts for pair in zip(part.visit.tolist(), part.sample.tolist(), strict=True)]


def test_each_visit_is_a_permutation():
    pairs = stream(rows=8, steps=N, seed=3)
    visits = np.array(pairs).reshape(8, N, 2)
    for visit in range(8):
        assert (visits[visit, :, 0] == visit).all()
        assert sorted(visits[visit, :, 1]) == list(range(N))
    orders = {tuple(visits[visit, :, 1]) for visit in range(8)}
    assert len(orders) == 8


def test_batch_size_only_cuts_the_stream():
    long = stream(rows=1, steps=2 * 64 * 7, seed=0)
    assert stream(rows=7, steps=128, seed=0) == long
    assert stream(rows=64, steps=14, seed=0) == long  # one batch spans three visits


def test_ranks_share_each_batch():
    whole = list(SampleOrder(N, rows=12, steps=9, seed=1))
    for ranks in (2, 3):
        parts = [list(SampleOrder(N, rows=12, steps=9, seed=1, rank=rank, ranks=ranks)) for rank in range(ranks)]
        for step, part in enumerate(whole):
            joined = np.empty(12, dtype=np.int64)
            for rank in range(ranks):
                joined[rank::ranks] = parts[rank][step].sample
            np.testing.assert_array_equal(joined, part.sample)


def test_a_restart_continues():
    whole = list(SampleOrder(N, rows=10, steps=20, seed=5))
    for first in (0, 3, 19, 20):
        order = SampleOrder(N, rows=10, steps=20, seed=5, first_step=first)
        assert len(order) == 20
        rest = list(order)
        assert [part.step for part in rest] == list(range(first, 20))
        for old, new in zip(whole[first:], rest, strict=True):
            np.testing.assert_array_equal(old.sample, new.sample)
            np.testing.assert_array_equal(old.visit, new.visit)


def test_seeds_differ_zero_included():
    orders = {tuple(stream(rows=N, steps=1, seed=seed)) for seed in range(20)}
    assert len(orders) == 20


def test_places_are_uniform():
    """Over many visits every sample stands at every place equally often (chi-square, 36 x 36 degrees of freedom)."""
    visits = 2000
    pairs = np.array(stream(rows=N, steps=visits, seed=11))[:, 1].reshape(visits, N)
    counts = np.zeros((N, N))
    np.add.at(counts, (np.broadcast_to(np.arange(N), pairs.shape), pairs), 1)
    expected = visits / N
    chi = float(((counts - expected) ** 2 / expected).sum())
    freedom = (N - 1) ** 2
    assert abs(chi - freedom) < 5 * (2 * freedom) ** 0.5


@pytest.fixture
def rows(tmp_path) -> Rows:
    columns = {"ids": np.arange(10, 310).astype(np.uint16), "bytes": np.ones(300, dtype=np.uint16)}
    special = {"ids": (0, 2, 3), "bytes": (0, 0, 0)}
    write(tmp_path, Packing("concatenate", 10).plan(np.array([100, 200])), 10, columns, special)
    return Rows(tmp_path)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_workers_do_not_matter(rows, workers):
    order = SampleOrder(len(rows), rows=6, steps=10, seed=2, first_step=3)
    loader = DataLoader(SliceDataset(rows), sampler=order, batch_size=None, num_workers=workers)
    batches = list(loader)
    assert [batch["step"] for batch in batches] == list(range(3, 10))
    for batch, part in zip(batches, order, strict=True):
        np.testing.assert_array_equal(batch["sample"].numpy(), part.sample)
        np.testing.assert_array_equal(batch["visit"].numpy(), part.visit)
        expected = rows.take(part.sample)["ids"]
        assert batch["ids"].dtype == torch.int64
        assert torch.equal(batch["ids"], expected)


def test_chunks_go_through_all_rows_once(rows):
    parts = chunks(rows, 7)
    assert np.concatenate([part.sample for part in parts]).tolist() == list(range(len(rows)))
    assert all((part.visit == 0).all() for part in parts)
    shared = [np.concatenate([part.sample for part in chunks(rows, 7, rank, 2)]) for rank in range(2)]
    assert sorted(np.concatenate(shared)) == list(range(len(rows)))


def test_refusals():
    with pytest.raises(RecipeError, match=r"^a batch of 10 rows cannot be shared by 3 devices; choose a multiple of"):
        SampleOrder(N, rows=10, steps=1, seed=0, ranks=3)
    with pytest.raises(RecipeError, match=r"^the corpus has no training rows"):
        SampleOrder(0, rows=10, steps=1, seed=0)
