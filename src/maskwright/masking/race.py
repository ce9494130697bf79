"""The mask race: every position has an arrival time, a deadline decides who is masked.

Shapes: B rows, L positions, W units of a row in order, K the most positions a row may lose. Times are float64; a
position that can never be masked arrives at infinity. All functions are vectorised and run on the inputs' device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


def weighted(u_BL: Tensor, weight_BL: Tensor) -> Tensor:
    """Arrival times with P(arrival <= t) = 1 - (1 - t)^w; weight 0 never arrives.

    The k earliest are then a weighted sample without replacement (Efraimidis and Spirakis 2006).
    """
    return on_clock(-torch.log1p(-u_BL) / weight_BL).masked_fill(weight_BL <= 0, torch.inf)


def on_clock(waited: Tensor) -> Tensor:
    """Times in 0..1 from waiting times x in 0..infinity: t = 1 - exp(-x).

    Above x = 18, where float64 has few numbers left below 1, t nears 1 like 1 / sqrt(x) instead: order and equality
    hold for weights of any size, at the price of 2e-8 in t.
    """
    late = 1 - _LATE_LEFT * waited.rsqrt()
    return torch.where(waited > _LATE, late, -torch.expm1(-waited))


_LATE = 18.0
_LATE_LEFT = math.exp(-_LATE) * math.sqrt(_LATE)  # so that both meet at 18


class Ring(NamedTuple):
    """The maskable positions of each row in order, the last followed by the first. C of them: as many columns as
    positions, of which those behind the last maskable one stand for nothing."""

    number_B1: Tensor  # int64, maskable positions
    order_BL: Tensor  # int64, where on the ring each position stands; anything for an unmaskable one
    place_BC: Tensor  # int64, the position that each column stands for

    @classmethod
    def of(cls, maskable_BL: Tensor) -> Ring:
        length = maskable_BL.shape[1]
        place_L = torch.arange(length, device=maskable_BL.device)
        order_BL = (maskable_BL.cumsum(1) - 1).clamp(min=0)
        place_BC = torch.zeros(len(maskable_BL), length + 1, dtype=torch.int64, device=maskable_BL.device)
        place_BC.scatter_(1, torch.where(maskable_BL, order_BL, length), place_L.expand_as(order_BL))
        return cls(maskable_BL.sum(1, keepdim=True), order_BL, place_BC[:, :length])

    @property
    def real_BC(self) -> Tensor:
        """Bool: which columns stand for a position."""
        return torch.arange(self.order_BL.shape[1], device=self.order_BL.device) < self.number_B1


class Covered(NamedTuple):
    """When each place is first covered, and by the span that starts where."""

    earliest_BL: Tensor  # float64, the start arrival of the earliest covering span; infinity where none covers
    start_BL: Tensor  # int64, the place where that span starts; a number below 0 where an edge lies between


def cover(start_BC: Tensor, reach_BC: Tensor, ring: Ring, maskable_BL: Tensor, longest: int) -> Covered:
    """The earliest span over each place, when every maskable place may start one.

    A span that reaches an unmaskable place goes on behind it, and at the row's end goes on at its beginning: all
    maskable places are covered alike, and no choice that treats spans alike prefers a place. What of a span lies
    behind an edge is a unit of its own. start_BC, reach_BC: arrival and length of the span that starts at each column
    of the ring.
    """
    length = maskable_BL.shape[1]
    place_L = torch.arange(length, device=maskable_BL.device)
    before_BC = torch.arange(1 - longest, length, device=maskable_BL.device) % ring.number_B1.clamp(min=1)
    start, reach = start_BC.gather(1, before_BC), reach_BC.gather(1, before_BC)
    earliest_BC = torch.full_like(start_BC, torch.inf)
    back_BC = torch.zeros_like(reach_BC)
    for back in range(longest):
        window = slice(longest - 1 - back, longest - 1 - back + length)
        at = start[:, window]
        sooner = (reach[:, window] > back) & (at < earliest_BC)
        earliest_BC, back_BC = torch.where(sooner, at, earliest_BC), back_BC.masked_fill(sooner, back)
    earliest_BL, back_BL = earliest_BC.gather(1, ring.order_BL), back_BC.gather(1, ring.order_BL)
    edge_BL = torch.where(maskable_BL, -1, place_L).cummax(1).values  # the last unmaskable place so far
    begin_BL = place_L - back_BL
    # Counted from its own edge, so that no two pieces have one number.
    beyond_BL = begin_BL - (length + longest) * (1 + (~maskable_BL).cumsum(1))
    begin_BL = torch.where(begin_BL > edge_BL, begin_BL, beyond_BL)
    return Covered(earliest_BL.masked_fill(~maskable_BL, torch.inf), begin_BL)


def evened(earliest: Tensor, survival: list[float], number_B1: Tensor) -> Tensor:
    """Arrivals of covered places with P(arrival <= t) = t: G(t) = 1 - prod_k (1 - t P(length > k)) of the start
    arrival, over as many k as a row has starts."""
    missed = torch.ones_like(earliest)
    time = earliest.clamp(max=1)
    for k, chance in enumerate(survival):
        missed = missed * (1 - time * (chance * (number_B1 > k)))
    return torch.where(earliest.isfinite(), 1 - missed, torch.inf)


class Ranking(NamedTuple):
    """The earliest positions of each row in order of arrival."""

    place_BK: Tensor  # int64 positions; those that never arrive come last
    time_BK: Tensor  # int64 arrival times, equal exactly for the positions of one unit
    arrives_BK: Tensor  # bool
    time_BL: Tensor  # int64, of all positions of the row


def rank(arrival_BL: Tensor, maskable_BL: Tensor, most: int) -> Ranking:
    """The `most` earliest maskable positions of each row.

    Ties go to the earlier position, so the pieces of one unit, which arrive together, stay together, and the choice
    does not depend on K = `most`: K is static, a compiled step sees one shape while the rate moves.
    """
    length = arrival_BL.shape[1]
    low = max(length - 1, 1).bit_length()
    never = 1 << 62 - low
    # never - 1 is no float64: an arrival at 1, as tiny weights have, would round up to never.
    time_BL = (arrival_BL.clamp(max=1) * (never - 1)).long().clamp(max=never - 1)
    time_BL = time_BL.masked_fill(~maskable_BL | arrival_BL.isinf(), never)
    order_BL = time_BL << low | torch.arange(length, device=arrival_BL.device)
    first_BK = order_BL.topk(most, largest=False).values if most < length else order_BL.sort().values
    time_BK = first_BK >> low
    return Ranking(first_BK & (1 << low) - 1, time_BK, time_BK < never, time_BL)
