"""Spans of random lengths: every piece may start one, and a piece is masked when the earliest span over it arrives.

Shapes: B rows, L positions, W pieces of a row in order (as many columns as positions).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from maskwright.masking import race
from maskwright.masking.columns import Column, named
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.lengths import Lengths
from maskwright.masking.pace import Pace
from maskwright.masking.units.base import Unit, longest_in

TOKEN = "token"


class Span(Unit):
    """Spans over words (SpanBERT, arXiv 1907.10529), over tokens, or over any units that a column marks.

    lengths: how many pieces a span has. over: `word`, `token`, or a column. A weight steers where spans start.
    """

    counts_starts = covers = True

    def __init__(self, lengths: Lengths, over: str | Column = "word") -> None:
        self.lengths, self.over = lengths, over
        self.columns = () if over == TOKEN else (over,)
        self.gaps = lengths.chance[0] > 0

    def arrivals(self, field: Field, pace: Pace, wanted_B: Tensor) -> Arrivals:
        if self.over == TOKEN:
            return self._over(field, pace, field.place_L.expand(field.shape), field.maskable_BL, pace.weight_BL)
        # The race runs over pieces: column w of a [B, W] tensor is the row's w-th piece.
        piece_BL = field.starts(self.over).cumsum(1) - 1
        last = field.shape[1] - 1
        places = field.place_L.expand(field.shape)
        first_BW = torch.full_like(piece_BL, last).scatter_reduce(1, piece_BL, places, "amin")
        maskable_BW = field.maskable_BL.gather(1, first_BW) & (field.place_L <= piece_BL[:, -1:])
        weight_BW = None if pace.weight_BL is None else pace.weight_BL.gather(1, first_BW)
        found = self._over(field, pace, first_BW, maskable_BW, weight_BW)
        empty_BL = None
        if found.empty_BL is not None:  # an insertion stands before the piece's first token
            empty_BL = torch.full_like(found.time_BL, torch.inf).scatter_reduce(1, first_BW, found.empty_BL, "amin")
        return Arrivals(found.time_BL.gather(1, piece_BL), found.unit_BL.gather(1, piece_BL), found.start_BS, empty_BL)

    def _over(
        self, field: Field, pace: Pace, first_BW: Tensor, maskable_BW: Tensor, weight_BW: Tensor | None
    ) -> Arrivals:
        """Arrivals of the pieces that begin at `first_BW`."""
        length, draws, survival = field.shape[1], pace.draws, self.lengths.survival
        ring = race.Ring.of(maskable_BW)
        start_BC = draws("span.start", length)
        reach_BC = self.lengths(draws("span.length", length))
        if weight_BW is not None:
            start_BC = race.weighted(start_BC, _levelled(weight_BW, maskable_BW).gather(1, ring.place_BC))
        covered = race.cover(start_BC, reach_BC, ring, maskable_BW, self.lengths.longest)
        begin_BW = covered.start_BL
        unit_BW = torch.where(begin_BW < 0, begin_BW, first_BW.gather(1, begin_BW.clamp(min=0)))
        # A start's time on the clock of the positions that it covers, so that budgets may count starts.
        start_BC = start_BC.masked_fill(~ring.real_BC, torch.inf)
        started_BC = race.evened(start_BC, survival, ring.number_B1)
        time_BW, empty_BW = race.evened(covered.earliest_BL, survival, ring.number_B1), None
        if self.gaps:  # a piece over which only spans of length zero start comes last, by itself
            empty_BW = started_BC.masked_fill(reach_BC > 0, torch.inf).gather(1, ring.order_BL)
            empty_BW = empty_BW.masked_fill(~maskable_BW, torch.inf)
            missed_BW = maskable_BW & time_BW.isinf()
            covered_B1 = race.evened(torch.ones_like(time_BW[:, :1]), survival, ring.number_B1)
            late_BW = covered_B1 + (1 - covered_B1) * draws("span.late", length)
            time_BW, unit_BW = torch.where(missed_BW, late_BW, time_BW), torch.where(missed_BW, first_BW, unit_BW)
        return Arrivals(time_BW, unit_BW, started_BC, empty_BW)

    def longest(self, longest: Mapping[str, int]) -> int:
        return self.lengths.longest * (1 if self.over == TOKEN else longest_in(longest, self.over))

    def describe(self) -> str:
        over = "" if self.over == "word" else f" over {named(self.over)}s"
        return " ".join(part for part in ("span", self.lengths.describe()) if part) + over


def _levelled(weight_BW: Tensor, maskable_BW: Tensor) -> Tensor:
    """Weights with a mean of 1 over the maskable pieces of each row."""
    among_BW = weight_BW.masked_fill(~maskable_BW, 0.0)
    mean_B1 = among_BW.sum(1, keepdim=True) / maskable_BW.sum(1, keepdim=True).clamp(min=1)
    return weight_BW / mean_B1.clamp(min=1e-30)
