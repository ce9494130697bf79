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


class Covered(NamedTuple):
    """When each place is first covered, and by the span that starts where."""

    earliest_BL: Tensor  # float64, the start arrival of the earliest covering span; infinity where none covers
    start_BL: Tensor  # int64, the place where that span starts; a number below 0 for each ghost


def cover(
    start: Tensor, reach: Tensor, ghost_start: Tensor, ghost_reach: Tensor, maskable_BL: Tensor, longest: int
) -> Covered:
    """The earliest span over each place, when every place may start one.

    Spans stop at unmaskable places; ghost spans that start before such an edge make up for those cut off, so that all
    places are covered alike. start, reach: [B, L], arrival and length of the span that starts at a place;
    ghost_start, ghost_reach: [B, L + longest - 1], beginning longest - 1 places before the row.
    """
    length = maskable_BL.shape[1]
    place_L = torch.arange(length, device=maskable_BL.device)
    edge_BL = torch.where(maskable_BL, -1, place_L).cummax(1).values  # the last unmaskable place so far
    edge_free_BL = place_L - edge_BL  # spans that started fewer places back than this are real
    start = torch.nn.functional.pad(start, (longest - 1, 0), value=torch.inf)
    reach = torch.nn.functional.pad(reach, (longest - 1, 0))
    earliest_BL = torch.full_like(maskable_BL, torch.inf, dtype=start.dtype)
    begin_BL = place_L.expand_as(maskable_BL)
    for back in range(longest):
        window = slice(longest - 1 - back, longest - 1 - back + length)
        real_BL = edge_free_BL > back
        at = torch.where(real_BL, start[:, window], ghost_start[:, window])
        covers = torch.where(real_BL, reach[:, window], ghost_reach[:, window]) > back
        sooner = covers & (at < earliest_BL)
        earliest_BL = torch.where(sooner, at, earliest_BL)
        # A ghost starts where a real span may start too: its number is moved out of the row.
        begin_BL = torch.where(sooner, place_L - back - ~real_BL * (length + longest), begin_BL)
    return Covered(earliest_BL.masked_fill(~maskable_BL, torch.inf), begin_BL)


def evened(earliest_BL: Tensor, survival: list[float]) -> Tensor:
    """Arrivals of covered places with P(arrival <= t) = t: G(t) = 1 - prod_k (1 - t P(length > k)) of the start
    arrival."""
    missed = torch.ones_like(earliest_BL)
    time_BL = earliest_BL.clamp(max=1)
    for chance in survival:
        missed = missed * (1 - time_BL * chance)
    return torch.where(earliest_BL.isfinite(), 1 - missed, torch.inf)


class Ranking(NamedTuple):
    """The earliest positions of each row in order of arrival."""

    place_BK: Tensor  # int64 positions; those that never arrive come last
    time_BK: Tensor  # int64 arrival times, equal exactly for the positions of one unit
    arrives_BK: Tensor  # bool


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
    return Ranking(first_BK & (1 << low) - 1, time_BK, time_BK < never)
