"""Corruptions: what selected positions become. All of them are predicted, whatever they show.

Shapes: B rows, L positions, K the most positions a row may lose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.view import Outcome
from maskwright.masking.vocabulary import Vocabulary

_PER = ("token", "word", "unit")


class Corruption(ABC):
    """Decides what the network reads at selected positions. `columns`: annotations that it reads."""

    columns: tuple[str, ...] = ()

    @abstractmethod
    def __call__(
        self, field: Field, place_BK: Tensor, unit_BK: Tensor, draws: Draws, vocabulary: Vocabulary
    ) -> tuple[Tensor, Tensor]:
        """New ids int64 [B, K] and outcomes uint8 [B, K] for the positions `place_BK`, whose units begin at
        `unit_BK`."""

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it; empty when it is the plain [MASK]."""


class Replace(Corruption):
    """[MASK], a random token, or the token itself, with given shares (80/10/10 in BERT, arXiv 1810.04805).

    The outcome is drawn per token (BERT, even under whole-word masking), per word, or per unit (SpanBERT, arXiv
    1907.10529). Random tokens are uniform over the vocabulary without specials, and drawn per token.
    """

    def __init__(self, mask: float, random: float, keep: float, per: str) -> None:
        if min(mask, random, keep) < 0 or abs(mask + random + keep - 1) > 1e-9:
            raise RecipeError(
                f"corruption.mask={mask}, random={random} and keep={keep} add up to {mask + random + keep:g}; "
                "they are shares and must add up to 1."
            )
        if per not in _PER:
            raise RecipeError(f"corruption.per is {per}; choose one of {', '.join(_PER)}.")
        self.mask, self.random, self.keep, self.per = mask, random, keep, per
        self.columns = ("word",) if per == "word" else ()

    def __call__(
        self, field: Field, place_BK: Tensor, unit_BK: Tensor, draws: Draws, vocabulary: Vocabulary
    ) -> tuple[Tensor, Tensor]:
        clean_BK = field.ids_BL.gather(1, place_BK)
        u_BK = draws.at("outcome", self._drawn_at(field, place_BK, unit_BK))
        masked_BK, random_BK = u_BK < self.mask, u_BK >= self.mask + self.keep
        new_BK = torch.where(masked_BK, vocabulary.mask, clean_BK)
        if self.random:
            ordinary_O = vocabulary.ordinary_O.to(place_BK.device)
            drawn_BK = ordinary_O[(draws.at("replacement", place_BK) * len(ordinary_O)).long()]
            new_BK = torch.where(random_BK, drawn_BK, new_BK)
        outcome_BK = torch.where(masked_BK, Outcome.MASKED, torch.where(random_BK, Outcome.RANDOM, Outcome.KEPT))
        return new_BK, outcome_BK.to(torch.uint8)

    def _drawn_at(self, field: Field, place_BK: Tensor, unit_BK: Tensor) -> Tensor:
        if self.per == "unit":
            return unit_BK
        if self.per == "token":
            return place_BK
        first_BL = torch.where(field.starts("word"), field.place_L, 0).cummax(1).values
        return first_BL.gather(1, place_BK)

    def describe(self) -> str:
        if self.mask == 1:
            return ""
        shares = f"{100 * self.mask:.3g}/{100 * self.random:.3g}/{100 * self.keep:.3g}"
        return shares + ("" if self.per == "token" else f" per {self.per}")
