"""Corruptions that change the length of a row: tokens removed, one mask or sentinel for a whole unit, tokens inserted.

They say what is removed and what is inserted; `maskwright.masking.layout` lays the row out anew.
Shapes: B rows, L positions, K the most positions a row may lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.corruptions.base import Selected, Stage
from maskwright.masking.view import Outcome

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Delete(Stage):
    """Nothing: the tokens behind close up (token deletion in BART, arXiv 1910.13461)."""

    outcome = Outcome.REMOVED
    keeps_places = False

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        return selected.ids_BK, torch.tensor(int(self.outcome), dtype=torch.uint8)


class Infill(Stage):
    """One [MASK] for each unit, whatever its length (text infilling in BART, arXiv 1910.13461).

    A unit of length zero, as Poisson lengths give, shows as an inserted [MASK]. merge: neighbouring units share one
    (DALE, arXiv 2310.15799).
    """

    outcome = Outcome.INFILLED
    per = "unit"
    keeps_places = False
    gaps = True

    def __init__(self, share: float, merge: bool) -> None:
        super().__init__(share)
        self.merge = merge

    @property
    def name(self) -> str:
        return "one mask a unit"

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        heads_BK = selected.heads_BK(taken_BK, self.merge)
        outcome_BK = torch.where(heads_BK, int(self.outcome), int(Outcome.REMOVED)).to(torch.uint8)
        return torch.full_like(selected.place_BK, selected.vocabulary.mask), outcome_BK


class Sentinel(Stage):
    """A sentinel token of its own for each unit, numbered from the left (T5, arXiv 1910.10683).

    sentinels: how many the vocabulary has; a row with more units than that is refused when the recipe is put together.
    """

    outcome = Outcome.SENTINEL
    per = "unit"
    keeps_places = False

    def __init__(self, share: float, sentinels: int) -> None:
        super().__init__(share)
        if isinstance(sentinels, bool) or not isinstance(sentinels, int) or sentinels < 1:
            raise RecipeError(f"corruption: sentinels is {sentinels}; it is a number of tokens from 1 up.")
        self.sentinels = sentinels

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(f"<extra_id_{number}>" for number in range(self.sentinels))

    def check(self, units: int) -> None:
        if units > self.sentinels:
            raise RecipeError(
                f"corruption: there are {self.sentinels} sentinels, and a row may lose {units} units; "
                "raise sentinels, lower the rate, or use longer units such as masking=t5."
            )

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._ids_S = torch.tensor(tokenizer.convert_tokens_to_ids(list(self.markers)))

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        heads_BK = selected.heads_BK(taken_BK)
        number_BL = selected.on_row(heads_BK).cumsum(1) - 1
        self._ids_S = self._ids_S.to(number_BL.device)
        number_BK = number_BL.gather(1, selected.place_BK).clamp(min=0, max=self.sentinels - 1)
        outcome_BK = torch.where(heads_BK, int(self.outcome), int(Outcome.REMOVED)).to(torch.uint8)
        return self._ids_S[number_BK], outcome_BK


_WHAT = ("mask", "random")


class Insert(Stage):
    """A token before each selected one, which stays as it is: [MASK] (extended token classification, arXiv 2210.03915)
    or a random token (insertion noise)."""

    outcome = Outcome.INSERTED
    lengthens = True

    def __init__(self, share: float, what: str) -> None:
        super().__init__(share)
        if what not in _WHAT:
            raise RecipeError(f"corruption: Insert inserts {what}; choose one of {', '.join(_WHAT)}.")
        self.what = what

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        new_BK = torch.full_like(selected.place_BK, selected.vocabulary.mask)
        if self.what == "random":
            ordinary_O = selected.vocabulary.ordinary_O.to(new_BK.device)
            u_BK = selected.draws.at("insertion", selected.place_BK)
            new_BK = ordinary_O[(u_BK * len(ordinary_O)).long()]
        return new_BK, torch.tensor(int(self.outcome), dtype=torch.uint8)
