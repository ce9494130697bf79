"""A model for another vocabulary, made of a model's weights: its table, its projection and its bias are rebuilt."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.tokenids import is_token_V

if TYPE_CHECKING:
    from .families import Family


def missing(tokenizer: Any, rows: int) -> Tensor | None:
    """bool [rows]: which rows of a table are no token of the tokenizer's (None: every row is one)."""
    missing_V = ~is_token_V(tokenizer, rows)
    return torch.from_numpy(missing_V) if missing_V.any() else None


@contextmanager
def float32() -> Iterator[None]:
    """Weights made inside are float32, whatever the default is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def rebuilt(
    hf: Any, family: Family, sources: list[list[int]], size: int, special: dict[str, int | None], spread: bool
) -> Any:
    """A model of `size` tokens with the weights of `hf`.

    Row i of everything that has a row for each token (table, untied projection, output bias) is the mean of the rows
    `sources[i]`; ids beyond the list keep their row. A row without sources is drawn: as the family draws initial
    weights, or with `spread` from the mean and the standard deviation of each column. special: the ids of the special
    tokens. All else is copied; where positions count from the padding id, the position table moves along. Both models
    are in memory for a moment.
    """
    old_first, config = _first_position(hf, family), copy.deepcopy(hf.config)
    config.vocab_size = size
    for key, value in special.items():
        if hasattr(config, key):
            setattr(config, key, value)
    positions = f"{family.body_name}.{family.position_table}.weight" if family.position_table else ""
    shift = family.first_position(config.pad_token_id) - old_first
    if shift:
        config.max_position_embeddings += shift
    with float32():
        made = type(hf)(config)
    by_token, before = _by_token(hf), hf.state_dict()
    with torch.no_grad():
        for key, value in made.state_dict().items():
            if key in by_token:
                known = sources + [[id_] for id_ in range(len(sources), size)]
                _fill(value, before[key], known, spread)
            elif shift and key == positions:
                first = old_first + shift
                value[first:] = before[key][old_first : old_first + len(value) - first]
            else:
                value.copy_(before[key])
    return made


def _first_position(hf: Any, family: Family) -> int:
    return family.first_position(hf.config.pad_token_id or 0)


def _by_token(hf: Any) -> set[str]:
    """The names of the weights with one row for each token: those whose shape follows the vocabulary."""
    config = copy.deepcopy(hf.config)
    config.vocab_size += 1
    with torch.device("meta"):
        larger = type(hf)(config).state_dict()
    return {key for key, value in hf.state_dict().items() if value.shape != larger[key].shape}


def _fill(target: Tensor, rows: Tensor, sources: list[list[int]], spread: bool) -> None:
    """`target` [V, ...] from `rows` [U, ...], in place; one without sources keeps what it has, or is drawn anew."""
    flat_U = rows.reshape(len(rows), -1)
    offset_V = torch.tensor([0, *(len(ids) for ids in sources[:-1])]).cumsum(0)
    known_V = torch.tensor([bool(ids) for ids in sources])
    if spread:
        drawn = flat_U.mean(0) + flat_U.std(0) * torch.randn(len(target), flat_U.shape[1])
        target.copy_(drawn.view_as(target))
    ids = torch.tensor([id_ for ids in sources for id_ in ids])
    mean_V = F.embedding_bag(ids, flat_U, offset_V, mode="mean").view_as(target)
    target[known_V] = mean_V[known_V]
