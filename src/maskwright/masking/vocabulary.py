"""What masking needs to know of a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.tokenids import is_token_V, unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Vocabulary:
    """Ids by their use in masking: specials are never masked and never appear as random replacements.

    size: the highest id + 1. The unknown token is special: a masked one would be an easy guess that writes no word, and
    figures would look the better the less of the text a tokenizer reads. holes: ids below `size` without a token.
    """

    size: int
    mask: int
    pad: int
    special: tuple[int, ...]
    holes: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, markers: Iterable[str] = ()) -> Vocabulary:
        """markers: tokens of the tokenizer that are treated as special too.

        Raises RecipeError when the tokenizer has no mask or padding token.
        """
        for name in ("mask", "pad"):
            if getattr(tokenizer, f"{name}_token_id") is None:
                raise RecipeError(
                    f"The tokenizer has no {name} token; train one here with tokenizer=wordpiece, or add it."
                )
        vocabulary = tokenizer.get_vocab()
        unknown = unknown_id(tokenizer)
        found = {*tokenizer.all_special_ids, *(vocabulary[marker] for marker in markers)}
        special = tuple(sorted(found | (set() if unknown is None else {unknown})))
        there_V = is_token_V(tokenizer)
        holes = tuple((~there_V).nonzero()[0].tolist())
        return cls(len(there_V), tokenizer.mask_token_id, tokenizer.pad_token_id, special, holes)

    @cached_property
    def is_special_V(self) -> Tensor:
        """Bool [V]."""
        return torch.zeros(self.size, dtype=torch.bool).index_fill_(0, torch.tensor(self.special), True)

    @cached_property
    def ordinary_O(self) -> Tensor:
        """Int64: the ids that may stand as random replacements."""
        ordinary_V = ~self.is_special_V
        ordinary_V[list(self.holes)] = False
        return ordinary_V.nonzero()[:, 0]
