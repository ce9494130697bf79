"""The mask builder, entry by entry."""

from __future__ import annotations

import torch

from maskwright.models.attention import additive, restarted, visible

CPU = torch.device("cpu")


def test_positions_restart_with_each_run_of_a_document_number():
    document_BL = torch.tensor([[1, 1, 1, 2, 2, 3, 0, 0], [4, 4, 4, 4, 4, 4, 4, 4]])
    assert restarted(document_BL).tolist() == [[0, 1, 2, 0, 1, 0, 0, 1], [0, 1, 2, 3, 4, 5, 6, 7]]


def test_no_restriction_needs_no_mask():
    assert visible(8, CPU) is None
    assert visible(8, CPU, window=7) is None
    assert visible(8, CPU, window=6) is not None


def test_each_entry_is_the_product_of_the_restrictions():
    document_BL = torch.tensor([[1, 1, 2, 2, 2, 0]])
    allowed_BLL = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.6
    mask = visible(6, CPU, document_BL=document_BL, allowed_BLL=allowed_BLL, causal=True, window=1)
    for query in range(6):
        for key in range(6):
            wanted = (
                document_BL[0, query] == document_BL[0, key]
                and allowed_BLL[0, query, key]
                and key <= query
                and abs(query - key) <= 1
            ) or query == key
            assert mask[0, 0, query, key] == wanted


def test_padding_hides_keys_only():
    mask = visible(4, CPU, valid_BL=torch.tensor([[True, True, True, False]]))
    assert mask.shape == (1, 1, 1, 4)
    assert mask.flatten().tolist() == [True, True, True, False]


def test_additive_masks_are_zero_or_the_lowest_number():
    mask = visible(3, CPU, causal=True)
    numbers = additive(mask, torch.float32)
    assert (numbers[mask] == 0).all() and (numbers[~mask] == torch.finfo(torch.float32).min).all()
    assert additive(None, torch.float32) is None
