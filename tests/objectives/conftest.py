"""Batches of random ids with views, and small networks to read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from maskwright.data.batch import Batch
from maskwright.masking import Masking, ViewRecipe, Views, Vocabulary
from maskwright.masking.budgets import Counted
from maskwright.masking.corruptions import Replace
from maskwright.masking.rates import Constant
from maskwright.masking.units import Token
from maskwright.models import ModelRecipe

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LENGTH = 12
SHAPE = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, initializer_range=0.2)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *(f"w{i}" for i in range(45))])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.fixture(scope="session")
def model() -> Callable[..., ModelRecipe]:
    def recipe(family: str, attention: str | None = None, **config: Any) -> ModelRecipe:
        return ModelRecipe(family, {**SHAPE, **config}, attention=attention)

    return recipe


@pytest.fixture(scope="session")
def batch(tokenizer: PreTrainedTokenizerFast) -> Callable[..., Batch]:
    """`batch(rate=0.4, rows=6)`: rows of 12 with padding of different lengths, and the view `main`."""

    def make(rate: float = 0.4, rows: int = 6, padded: bool = True, seed: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(3)
        ids_BL = torch.randint(5, 50, (rows, LENGTH), generator=generator)
        length_B = torch.randint(7, LENGTH + 1, (rows,), generator=generator) if padded else torch.full((rows,), LENGTH)
        place_L = torch.arange(LENGTH)
        valid_BL = place_L < length_B[:, None]
        ids_BL[:, 0] = 2
        ids_BL[torch.arange(rows), length_B - 1] = 3
        ids_BL = ids_BL.masked_fill(~valid_BL, 0)
        data = {"ids": ids_BL, "document": valid_BL.long(), "bytes": torch.full_like(ids_BL, 3) * valid_BL}
        data |= {"sample": torch.arange(rows), "visit": torch.zeros(rows, dtype=torch.int64)}
        masking = Masking(Token(), Counted("token", "nearest", "cut", 0, None))
        recipe = ViewRecipe("main", masking, Constant(rate), Replace(0.8, 0.1, 0.1, "token"))
        views = Views([recipe], Vocabulary.of(tokenizer), seed, LENGTH, {})
        return Batch(data, step=0, progress=0.0, views=views(data, 0.0), seed=seed)

    return make
