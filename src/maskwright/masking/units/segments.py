"""T5's random segments.

Shapes: B rows, L positions, S segments.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.pace import Pace
from maskwright.masking.race import Ring
from maskwright.masking.units.base import Unit


class Segments(Unit):
    """T5's random segments: the masked tokens of a row fall into n / mean_length pieces of random lengths.

    Masked and visible pieces alternate, beginning with a visible one; the lengths of each kind are a uniformly drawn
    composition (arXiv 1910.10683, random_spans_noise_mask). So the first token is never masked and the last one always,
    unless roll: the row is turned by a random number of tokens (random_roll of the same function), and every token is
    masked with the same chance.
    """

    planned = True
    weighs = False

    def __init__(self, mean_length: float, roll: bool = False) -> None:
        if mean_length < 1:
            raise RecipeError(f"masking.unit.mean_length is {mean_length}; a segment has at least 1 token.")
        self.mean_length, self.roll = mean_length, roll

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        length = field.shape[1]
        visible_B = field.maskable_BL.sum(1) - wanted_B
        pieces_B = (wanted_B / self.mean_length).round().long().clamp(min=1)
        pieces_B = torch.minimum(torch.minimum(pieces_B, wanted_B), visible_B.clamp(min=1))
        masked_BL = _composition(pace.draws("segment.masked", length), wanted_B, pieces_B)
        shown_BL = _composition(pace.draws("segment.visible", length), visible_B, pieces_B)
        # Piece i of the maskable tokens (counted from 0) starts after i + 1 visible and i masked pieces.
        start_BS = shown_BL.cumsum(1) + masked_BL.cumsum(1) - masked_BL
        real_BS = field.place_L < pieces_B[:, None]
        change_BL = torch.zeros(field.shape[0], length + 1, dtype=torch.int64, device=field.maskable_BL.device)
        change_BL.scatter_add_(1, start_BS.clamp(max=length), real_BS.long())
        change_BL.scatter_add_(1, (start_BS + masked_BL).clamp(max=length), -real_BS.long())
        noise_BL = change_BL[:, :length].cumsum(1) > 0  # over the maskable tokens in order
        begin_BL = torch.where(change_BL[:, :length] > 0, field.place_L, 0).cummax(1).values
        ring = Ring.of(field.maskable_BL)
        read_BL, turn_B1 = ring.order_BL, torch.zeros_like(ring.number_B1)
        if self.roll:
            turn_B1 = (pace.draws("segment.roll", 1) * ring.number_B1).long()
            read_BL = (read_BL + turn_B1) % ring.number_B1.clamp(min=1)
        time_BL = torch.where(noise_BL.gather(1, read_BL), 0.0, torch.inf).double()
        first_BL = (begin_BL.gather(1, read_BL) - turn_B1) % ring.number_B1.clamp(min=1)
        return Arrivals(time_BL, ring.place_BC.gather(1, first_BL))

    def longest(self, longest: Mapping[str, int]) -> int:
        return 1  # the planned count is met exactly, whatever the segments

    def most_units(self, most: int) -> int:
        return max(1, round(most / self.mean_length)) + self.roll  # one may be parted by the row's ends

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
