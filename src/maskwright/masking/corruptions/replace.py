"""Corruptions that leave every token in its place: [MASK], random tokens, the token itself, tokens in another order.

Shapes: B rows, L positions, K the most positions a row may lose.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.corruptions.base import Corruption, Selected, Stage
from maskwright.masking.view import Outcome


class Mask(Stage):
    """[MASK]."""

    outcome = Outcome.MASKED

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(selected.place_BK, selected.vocabulary.mask), _all(self.outcome)


class Random(Stage):
    """A token drawn uniformly from the vocabulary without specials; it may be the token that stood there."""

    outcome = Outcome.RANDOM

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        ordinary_O = selected.vocabulary.ordinary_O.to(selected.place_BK.device)
        u_BK = selected.draws.at("replacement", selected.place_BK)
        return ordinary_O[(u_BK * len(ordinary_O)).long()], _all(self.outcome)


class Keep(Stage):
    """The token itself: selected, to be predicted, yet shown as it is."""

    outcome = Outcome.KEPT

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        return selected.ids_BK, _all(self.outcome)


class Swap(Stage):
    """The taken tokens of a row exchange their places, none staying where it was (when there are at least two)."""

    outcome = Outcome.MOVED

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        # In a random order of the taken places, each takes the token of the next one, and the last of the first.
        order_BK = selected.draws.at("swap", selected.place_BK).masked_fill(~taken_BK, torch.inf).argsort(1)
        number_B1 = taken_BK.sum(1, keepdim=True)
        rank_K = torch.arange(taken_BK.shape[1], device=taken_BK.device)
        next_BK = torch.where(rank_K + 1 < number_B1, rank_K + 1, torch.where(rank_K + 1 == number_B1, 0, rank_K))
        given_BK = selected.ids_BK.gather(1, order_BK.gather(1, next_BK))
        return torch.zeros_like(given_BK).scatter(1, order_BK, given_BK), _all(self.outcome)


class Permute(Stage):
    """The tokens of each unit in a random order (word structure, SPBERT, arXiv 2106.09997; StructBERT, arXiv
    1908.04577), which may by chance be their own."""

    outcome = Outcome.MOVED
    per = "unit"

    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        length = selected.field.shape[1]
        unit_BK = selected.first_BK("unit").masked_fill(~taken_BK, length)  # units behind all others
        noise_BK = selected.draws.at("permute", selected.place_BK)
        by_place_BK = (unit_BK.double() + selected.place_BK / (length + 1)).argsort(1)
        by_noise_BK = (unit_BK.double() + noise_BK).argsort(1)
        given_BK = selected.ids_BK.gather(1, by_noise_BK)
        return torch.zeros_like(given_BK).scatter(1, by_place_BK, given_BK), _all(self.outcome)


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
        super().__init__([Mask(mask), Keep(keep), Random(random)], per)
        self.mask, self.random, self.keep = mask, random, keep

    def describe(self) -> str:
        if self.mask == 1:
            return ""
        shares = f"{100 * self.mask:.3g}/{100 * self.random:.3g}/{100 * self.keep:.3g}"
        return shares + ("" if self.per == "token" else f" per {self.per}")


def _all(outcome: Outcome) -> Tensor:
    return torch.tensor(int(outcome), dtype=torch.uint8)
