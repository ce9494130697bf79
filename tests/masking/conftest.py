"""Rows of random words for maskings to work on, and a short way to make views of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from maskwright.masking import Masking, ViewRecipe, Views, Vocabulary
from maskwright.masking.budgets import Budget, Counted
from maskwright.masking.corruptions import Corruption, Replace
from maskwright.masking.rates import Constant, Rate
from maskwright.masking.units import Token, Unit

SIZE = 60
VOCABULARY = Vocabulary(SIZE, mask=4, pad=0, special=(0, 1, 2, 3, 4))
LONGEST = 4


def counted(**changes: Any) -> Counted:
    settings = dict(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None)
    return Counted(**{**settings, **changes})


@pytest.fixture(scope="session")
def rows() -> Callable[..., dict[str, torch.Tensor]]:
    """`rows(64, 32)`: [CLS] text [SEP] text [SEP] padding; words of 1 to 4 tokens."""

    def make(number: int, length: int, seed: int = 0, first: int = 0, alike: bool = False) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        shape = (1, length) if alike else (number, length)
        ids = torch.randint(5, SIZE, shape, generator=generator)
        size = torch.randint(1, LONGEST + 1, (shape[0], length), generator=generator).cumsum(1)
        word = torch.zeros(shape[0], length + LONGEST + 1, dtype=torch.bool).scatter(
            1, size.clamp(max=length + LONGEST), True
        )
        word = word[:, :length]
        ids[:, 0], ids[:, length // 3], ids[:, -3] = 2, 3, 3
        ids[:, -2:] = 0
        word |= ids < 5
        document = torch.ones_like(ids)
        document[:, -2:] = 0
        data = {"ids": ids, "word": word, "document": document}
        data = {name: value.expand(number, -1).contiguous() for name, value in data.items()}
        sample = torch.arange(first, first + number)
        return {**data, "sample": sample, "visit": torch.zeros_like(sample)}

    return make


@pytest.fixture(scope="session")
def views() -> Callable[..., Views]:
    """`views(unit=Word(), rate=0.4, budget=..., corruption=...)`."""

    def make(
        unit: Unit | None = None,
        rate: float | Rate = 0.3,
        budget: Budget | None = None,
        corruption: Corruption | None = None,
        weight: Any = None,
        length: int = 32,
        seed: int = 0,
        more: tuple[ViewRecipe, ...] = (),
    ) -> Views:
        masking = Masking(unit or Token(), budget or counted(), weight)
        rate = rate if isinstance(rate, Rate) else Constant(rate)
        main = ViewRecipe("main", masking, rate, corruption or Replace(1.0, 0.0, 0.0, "token"))
        return Views([main, *more], VOCABULARY, seed, length, {"word": LONGEST})

    return make
