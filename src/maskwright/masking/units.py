"""Units: which positions are masked together, and when they arrive in the race.

Shapes: B rows, L positions, W words of a row (as many columns as positions).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking import race
from maskwright.masking.draws import Draws
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.weights import Weight


class Unit(ABC):
    """A way of cutting a row into pieces that are masked as one.

    columns: annotations that it reads. planned: it must know beforehand how many positions will be masked.
    counts_starts: a budget may count the spans that it starts. weighs: a weight may steer it.
    """

    columns: tuple[str, ...] = ()
    planned = False
    counts_starts = False
    weighs = True

    @abstractmethod
    def arrivals(self, field: Field, draws: Draws, weight: Weight | None, wanted_B: Tensor) -> Arrivals:
        """Arrival times of all positions; `wanted_B` (int64) is the planned count, for units that are `planned`."""

    @abstractmethod
    def longest(self, longest: Mapping[str, int]) -> int:
        """Most tokens in one unit, given the longest piece in tokens of each annotation in the data."""

    @abstractmethod
    def describe(self) -> str:
        """How the recipe line says it."""


def _times(u_BL: Tensor, field: Field, weight: Weight | None) -> Tensor:
    """Arrivals of single positions from their noise and weights."""
    return u_BL if weight is None else race.weighted(u_BL, weight(field))


class Token(Unit):
    """Each token alone (BERT, arXiv 1810.04805)."""

    def arrivals(self, field: Field, draws: Draws, weight: Weight | None, wanted_B: Tensor) -> Arrivals:
        time_BL = _times(draws("token", field.shape[1]), field, weight)
        return Arrivals(time_BL, field.place_L.expand(field.shape))

    def longest(self, longest: Mapping[str, int]) -> int:
        return 1

    def describe(self) -> str:
        return "random"


class Word(Unit):
    """Whole words: all pieces of a word or none (whole-word masking, arXiv 1906.08101). A word has its first piece's
    weight."""

    columns = ("word",)

    def arrivals(self, field: Field, draws: Draws, weight: Weight | None, wanted_B: Tensor) -> Arrivals:
        first_BL = torch.where(field.starts("word"), field.place_L, 0).cummax(1).values
        time_BL = _times(draws("word", field.shape[1]), field, weight)
        return Arrivals(time_BL.gather(1, first_BL), first_BL)

    def longest(self, longest: Mapping[str, int]) -> int:
        return longest["word"]

    def describe(self) -> str:
        return "whole words"


class Span(Unit):
    """Spans of whole words with geometric lengths (SpanBERT, arXiv 1907.10529: p 0.2, at most 10 words).

    Every word may start a span; a word is masked when the earliest span over it arrives.
    """

    columns = ("word",)
    counts_starts = True
    weighs = False

    def __init__(self, p: float, most_words: int) -> None:
        if not 0 < p < 1:
            raise RecipeError(f"masking.unit.p is {p}; the chance that a span ends after a word lies between 0 and 1.")
        if most_words < 1:
            raise RecipeError(f"masking.unit.most_words is {most_words}; a span has at least 1 word.")
        self.p, self.most_words = p, most_words

    def arrivals(self, field: Field, draws: Draws, weight: Weight | None, wanted_B: Tensor) -> Arrivals:
        length, extra = field.shape[1], self.most_words - 1
        starts_BL = field.starts("word")
        word_BL = starts_BL.cumsum(1) - 1
        # The race runs over words: column w of a [B, W] tensor is the row's w-th word.
        first_BW = torch.full_like(word_BL, length - 1).scatter_reduce(
            1, word_BL, field.place_L.expand(field.shape), "amin"
        )
        there_BW = field.place_L <= word_BL[:, -1:]
        maskable_BW = field.maskable_BL.gather(1, first_BW) & there_BW
        start_BW = draws("span.start", length)
        ghosts = length + extra
        covered = race.cover(
            start_BW,
            race.geometric(draws("span.length", length), self.p, self.most_words),
            draws("span.ghost.start", ghosts, first=-extra),
            race.geometric(draws("span.ghost.length", ghosts, first=-extra), self.p, self.most_words),
            maskable_BW,
            self.most_words,
        )
        time_BW = race.evened(covered.earliest_BL, race.geometric_survival(self.p, self.most_words))
        begin_BW = covered.start_BL
        unit_BW = torch.where(begin_BW < 0, begin_BW, first_BW.gather(1, begin_BW.clamp(min=0)))
        return Arrivals(
            time_BW.gather(1, word_BL),
            unit_BW.gather(1, word_BL),
            # A start's place on the same clock as the positions that it covers, so that budgets may count starts.
            race.evened(
                start_BW.masked_fill(~maskable_BW, torch.inf), race.geometric_survival(self.p, self.most_words)
            ),
        )

    def longest(self, longest: Mapping[str, int]) -> int:
        return self.most_words * longest["word"]

    def describe(self) -> str:
        return "span"


class Segments(Unit):
    """T5's random segments: the masked tokens of a row fall into n / mean_length pieces of random lengths.

    Masked and visible pieces alternate, beginning with a visible one; the lengths of each kind are a uniformly drawn
    composition (arXiv 1910.10683, random_spans_noise_mask).
    """

    planned = True
    weighs = False

    def __init__(self, mean_length: float) -> None:
        if mean_length < 1:
            raise RecipeError(f"masking.unit.mean_length is {mean_length}; a segment has at least 1 token.")
        self.mean_length = mean_length

    def arrivals(self, field: Field, draws: Draws, weight: Weight | None, wanted_B: Tensor) -> Arrivals:
        length = field.shape[1]
        visible_B = field.maskable_B - wanted_B
        pieces_B = (wanted_B / self.mean_length).round().long().clamp(min=1)
        pieces_B = torch.minimum(torch.minimum(pieces_B, wanted_B), visible_B.clamp(min=1))
        masked_BL = _composition(draws("segment.masked", length), wanted_B, pieces_B)
        shown_BL = _composition(draws("segment.visible", length), visible_B, pieces_B)
        # Piece i of the maskable tokens (counted from 0) starts after i + 1 visible and i masked pieces.
        start_BS = shown_BL.cumsum(1) + masked_BL.cumsum(1) - masked_BL
        real_BS = field.place_L < pieces_B[:, None]
        change_BL = torch.zeros(field.shape[0], length + 1, dtype=torch.int64, device=field.maskable_BL.device)
        change_BL.scatter_add_(1, start_BS.clamp(max=length), real_BS.long())
        change_BL.scatter_add_(1, (start_BS + masked_BL).clamp(max=length), -real_BS.long())
        noise_BL = change_BL[:, :length].cumsum(1) > 0  # over the maskable tokens in order
        begin_BL = torch.where(change_BL[:, :length] > 0, field.place_L, 0).cummax(1).values
        order_BL = (field.maskable_BL.cumsum(1) - 1).clamp(min=0)
        time_BL = torch.where(noise_BL.gather(1, order_BL), 0.0, torch.inf).double()
        first_BL = torch.zeros_like(order_BL).scatter_add(1, order_BL, field.place_L * field.maskable_BL)
        return Arrivals(time_BL, first_BL.gather(1, begin_BL.gather(1, order_BL)))

    def longest(self, longest: Mapping[str, int]) -> int:
        return 1  # the planned count is met exactly, whatever the segments

    def describe(self) -> str:
        return "T5 segments"


def _composition(u_BL: Tensor, total_B: Tensor, parts_B: Tensor) -> Tensor:
    """Lengths int64 [B, L] of `parts_B` positive pieces that add up to `total_B`, uniform over all such
    compositions."""
    length = u_BL.shape[1]
    place_L = torch.arange(length, device=u_BL.device)
    # Of the total - 1 places where a cut may fall, the parts - 1 with the smallest noise are cut.
    u_BL = u_BL.masked_fill(place_L >= total_B[:, None] - 1, torch.inf)
    last_B1 = u_BL.sort(1).values.gather(1, (parts_B - 2).clamp(min=0)[:, None])
    cut_BL = (u_BL <= last_B1) & (parts_B > 1)[:, None]
    piece_BL = torch.nn.functional.pad(cut_BL.cumsum(1), (1, 0))[:, :-1]  # the piece that each token falls in
    counted_BL = (place_L < total_B[:, None]).long()
    return torch.zeros_like(piece_BL).scatter_add_(1, piece_BL, counted_BL)
