"""The pieces that objectives share, against torch's own."""

from __future__ import annotations

import pytest
import torch

from maskwright.objectives.losses import hits, most_likely


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocabulary", [1, 7, 256, 257, 1000, 1024])
def test_the_most_likely_token_is_the_first_of_the_best(vocabulary, dtype):
    logits = torch.randn(3, 50, vocabulary, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(most_likely(logits), logits.argmax(-1))
    ties = logits.round()  # whole numbers: the best stands in many places
    assert torch.equal(most_likely(ties), ties.argmax(-1))
    assert torch.equal(most_likely(ties[0, 0]), ties[0, 0].argmax(-1))
    assert torch.equal(hits(ties, ties.argmax(-1)), torch.ones(3, 50))
    assert torch.equal(most_likely(torch.zeros(2, vocabulary)), torch.zeros(2, dtype=torch.int64))
