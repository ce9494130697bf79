"""Budgets: how many positions a rate buys, and what happens to a unit that does not fit.

Shapes: B rows, L positions, K the capacity: the most positions a row may lose, fixed at configuration.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws
from maskwright.masking.field import Arrivals, Field
from maskwright.masking.race import Ranking, on_clock, rank
from maskwright.masking.units import Unit
from maskwright.masking.weights import Weight


class Budget(ABC):
    """Turns a rate into the positions taken from the head of the race. slices: another view may take the next ones."""

    slices = True

    @abstractmethod
    def check(self, unit: Unit, weight: Weight | None) -> None:
        """Raises RecipeError where this budget means nothing with `unit` or `weight`."""

    @abstractmethod
    def capacity(self, highest: float, length: int, longest: int) -> int:
        """Most positions that a row of `length` may lose at the rate `highest`, with units of up to `longest`
        tokens."""

    @abstractmethod
    def wanted(self, rate_B: Tensor, field: Field, draws: Draws) -> Tensor:
        """Planned number of positions in each row, int64 [B]."""

    @abstractmethod
    def take(self, arrivals: Arrivals, field: Field, rate_B: Tensor, draws: Draws, most: int) -> tuple[Tensor, Tensor]:
        """Positions int64 [B, K] and bool [B, K]: which of them are masked; K = `most`."""


class Independent(Budget):
    """Each unit by itself: masked when it arrives before the rate, so that counts vary around the mean (what
    diffusion needs)."""

    def __init__(self, at_least: int) -> None:
        if at_least < 0:
            raise RecipeError(f"masking.budget.at_least is {at_least}; it is a number of tokens from 0 up.")
        self.at_least = at_least

    def check(self, unit: Unit, weight: Weight | None) -> None:
        if unit.planned:
            raise RecipeError(f"{unit.describe()} must know the count beforehand; use masking/budget=exact.")
        if weight is not None and weight.counted_only:
            raise RecipeError(
                f"masking.weight ({weight.describe()}) is an order or a choice, which no deadline turns into a rate; "
                "use masking/budget=exact or whole."
            )
        if weight is not None and unit.covers:
            raise RecipeError(
                f"masking.weight moves where {unit.describe()} units start, which no deadline turns into a rate; "
                "use masking/budget=exact."
            )

    def capacity(self, highest: float, length: int, longest: int) -> int:
        if longest > 1:
            return length
        # Bernstein's inequality at one row in 10^15: no row overflows, and K stays well below the row.
        odds = math.log(1e15)
        slack = odds / 3 + math.sqrt((odds / 3) ** 2 + 2 * length * highest * (1 - highest) * odds)
        return min(length, max(self.at_least, math.ceil(length * highest + slack)))

    def wanted(self, rate_B: Tensor, field: Field, draws: Draws) -> Tensor:
        return (rate_B * field.maskable_B).round().long()

    def take(self, arrivals: Arrivals, field: Field, rate_B: Tensor, draws: Draws, most: int) -> tuple[Tensor, Tensor]:
        ranking = rank(arrivals.time_BL, field.available_BL, most)
        deadline_B = rate_B if field.passed_B is None else rate_B + field.passed_B
        if arrivals.weight_BL is None:
            deadline_B = field.of_maskable(deadline_B)
        else:
            weight_BL = arrivals.weight_BL.masked_fill(~field.maskable_BL, 0.0)
            deadline_B = levelled(deadline_B * field.maskable_B, weight_BL)
        taken_BK = (arrivals.time_BL <= deadline_B[:, None]).gather(1, ranking.place_BK)
        if self.at_least:
            unit_BK = _unit_rank(ranking, arrivals)
            taken_BK = taken_BK | (unit_BK <= unit_BK[:, min(self.at_least, most) - 1, None])
        return ranking.place_BK, ranking.arrives_BK & taken_BK


def levelled(wanted_B: Tensor, weight_BL: Tensor) -> Tensor:
    """Deadlines [B] at which `wanted_B` positions of these weights, 0 where unmaskable, arrive in the mean.

    P(arrival <= t) = 1 - (1 - t)^w, so x = -log(1 - t) solves sum_i (1 - exp(-x w_i)) = wanted. The sum is concave in
    x: Newton's steps from below rise to the root and never pass it. More than there are positive weights: 1.
    """
    x_B = wanted_B / weight_BL.sum(1).clamp(min=1e-300)
    for _ in range(_NEWTON_STEPS):
        missed_BL = torch.exp(-x_B[:, None] * weight_BL)
        slope_B = (weight_BL * missed_BL).sum(1).clamp(min=1e-300)
        x_B = x_B + (wanted_B - (1 - missed_BL).sum(1)).clamp(min=0) / slope_B
    return torch.where(wanted_B < (weight_BL > 0).sum(1), on_clock(x_B), 1.0)


_NEWTON_STEPS = 12  # for weights that differ by a factor of 1,000; alike ones need 3
_ROUNDINGS = ("nearest", "down", "up", "random", "binomial")
_OVERSHOOTS = ("cut", "skip", "allow", "random")
_OF = ("token", "unit", "start")
_TOLERANCE = 1e-9  # of rate x number, which binary fractions miss by less


class Counted(Budget):
    """A count of tokens, units or span starts: the earliest to arrive, until the count is reached.

    of: what the rate is a share of. rounding: of rate x number to a whole one. overshoot, for `of=token`: what happens
    to the unit that would exceed the count: it is cut, skipped (later, smaller ones may fit, as in BERT's whole-word
    masking), allowed, or taken with the chance that keeps the mean count. at_least, at_most: bounds on the count.
    """

    def __init__(self, of: str, rounding: str, overshoot: str, at_least: int, at_most: int | None) -> None:
        for name, value, known in (
            ("of", of, _OF),
            ("rounding", rounding, _ROUNDINGS),
            ("overshoot", overshoot, _OVERSHOOTS),
        ):
            if value not in known:
                raise RecipeError(f"masking.budget.{name} is {value}; choose one of {', '.join(known)}.")
        if at_least < 0 or (at_most is not None and at_most < at_least):
            raise RecipeError(
                f"masking.budget.at_least={at_least} and at_most={at_most} must be 0 <= at_least <= at_most."
            )
        self.of, self.rounding, self.overshoot = of, rounding, overshoot
        self.at_least, self.at_most = at_least, at_most
        self.slices = of != "start"

    def check(self, unit: Unit, weight: Weight | None) -> None:
        if self.of == "start" and not unit.counts_starts:
            raise RecipeError(
                f"masking.budget.of=start counts span starts; {unit.describe()} has none: use of=token or masking=span."
            )
        if unit.planned and self.of != "token":
            raise RecipeError(f"{unit.describe()} needs a count of tokens; set masking.budget.of=token.")

    def capacity(self, highest: float, length: int, longest: int) -> int:
        most = self._most(highest, length)
        if self.of == "token":
            most += longest - 1 if self.overshoot in ("allow", "random") else 0
        else:
            most *= longest
        return max(1, min(length, most))

    def _most(self, highest: float, length: int) -> int:
        if self.rounding == "binomial" and 0 < highest < 1:
            most = length
        else:
            mean = highest * length
            mean = round(mean) if abs(mean - round(mean)) < _TOLERANCE * length else mean
            most = {"nearest": math.floor(mean + 0.5), "down": math.floor(mean)}.get(self.rounding, math.ceil(mean))
        return min(max(most, self.at_least), length if self.at_most is None else self.at_most)

    def wanted(self, rate_B: Tensor, field: Field, draws: Draws) -> Tensor:
        return self._count(rate_B, field.maskable_BL, field.maskable_B, draws)

    def _count_all(self, rate_B: Tensor, among_BL: Tensor, draws: Draws) -> Tensor:
        return self._count(rate_B, among_BL, among_BL.sum(1), draws)

    def _count(self, rate_B: Tensor, among_BL: Tensor, number_B: Tensor, draws: Draws) -> Tensor:
        """How many of the places `among_BL` the rate buys, as a share of `number_B`."""
        there_B = among_BL.sum(1)
        # A rate such as 0.15 is not exact in binary: 100 x 0.15 must still round up to 15.
        mean_B = rate_B * number_B
        mean_B = torch.where(
            (mean_B - mean_B.round()).abs() < _TOLERANCE * number_B.clamp(min=1), mean_B.round(), mean_B
        )
        match self.rounding:
            case "nearest":
                count_B = (mean_B + 0.5).floor()
            case "down":
                count_B = mean_B.floor()
            case "up":
                count_B = mean_B.ceil()
            case "random":
                count_B = (mean_B + draws("rounding", 1)[:, 0]).floor()
            case _:
                chance_B = rate_B * number_B / there_B.clamp(min=1)
                count_B = ((draws("rounding", among_BL.shape[1]) < chance_B[:, None]) & among_BL).sum(1)
        return torch.minimum(count_B.long().clamp(min=self.at_least, max=self.at_most), there_B)

    def take(self, arrivals: Arrivals, field: Field, rate_B: Tensor, draws: Draws, most: int) -> tuple[Tensor, Tensor]:
        if self.of == "start":
            return self._take_starts(arrivals, field, rate_B, draws, most)
        if self.of == "unit":
            ranking = rank(arrivals.time_BL, field.available_BL, most)
            starts_BL = _unit_starts(arrivals, field.maskable_BL)
            wanted_B = self._count_all(field.of_maskable(rate_B), starts_BL, draws)
            return ranking.place_BK, ranking.arrives_BK & (_unit_rank(ranking, arrivals) < wanted_B[:, None])
        wanted_B = self.wanted(rate_B, field, draws)
        if self.overshoot == "skip":
            ranking = rank(arrivals.time_BL, field.available_BL, field.shape[1])
            return self._take_skipping(ranking, _unit_rank(ranking, arrivals), wanted_B, most)
        ranking = rank(arrivals.time_BL, field.available_BL, most)
        counts_BK = ranking.arrives_BK & (torch.arange(most, device=rate_B.device) < wanted_B[:, None])
        if self.overshoot != "cut":
            counts_BK = self._whole_last(ranking, _unit_rank(ranking, arrivals), counts_BK, wanted_B, draws)
        elif not arrivals.alone:
            return _cut_anywhere(ranking, wanted_B, draws), counts_BK
        return ranking.place_BK, counts_BK

    def _whole_last(
        self, ranking: Ranking, unit_BK: Tensor, counts_BK: Tensor, wanted_B: Tensor, draws: Draws
    ) -> Tensor:
        """Take the unit at the boundary whole or not at all; whole where `at_least` needs it."""
        last_B1 = (wanted_B - 1).clamp(min=0)[:, None]
        in_last_BK = (unit_BK == unit_BK.gather(1, last_B1)) & ranking.arrives_BK & (wanted_B > 0)[:, None]
        fits_B = (in_last_BK & counts_BK).sum(1)
        take_B = fits_B > 0
        if self.overshoot == "random":
            take_B = (draws("overshoot", 1)[:, 0] * in_last_BK.sum(1) < fits_B) | (wanted_B <= self.at_least)
        return torch.where(in_last_BK, take_B[:, None], counts_BK)

    def _take_skipping(self, ranking: Ranking, unit_BL: Tensor, wanted_B: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Greedy: each unit in turn is taken if it still fits."""
        size_BL = torch.zeros_like(unit_BL).scatter_add_(1, unit_BL, ranking.arrives_BK.long()).gather(1, unit_BL)
        fits_BL = ranking.arrives_BK
        # Every pass settles at least one more unit that fits the room left, so passes are fewer than the longest unit.
        while True:
            end_BL = _sum_by_unit_end(fits_BL, unit_BL)
            over_BL = fits_BL & (end_BL > wanted_B[:, None])
            if not over_BL.any():
                break
            first_B = torch.where(over_BL, unit_BL, unit_BL.shape[1]).amin(1, keepdim=True)
            room_B = wanted_B[:, None] - (fits_BL & (unit_BL < first_B)).sum(1, keepdim=True)
            fits_BL = fits_BL & ~((unit_BL >= first_B) & (size_BL > room_B))
        order_BK = (~fits_BL).to(torch.int8).sort(dim=1, stable=True).indices[:, :most]
        return ranking.place_BK.gather(1, order_BK), fits_BL.gather(1, order_BK)

    def _take_starts(
        self, arrivals: Arrivals, field: Field, rate_B: Tensor, draws: Draws, most: int
    ) -> tuple[Tensor, Tensor]:
        """Everything that the earliest starts cover."""
        assert arrivals.start_BS is not None
        ranking = rank(arrivals.time_BL, field.available_BL, most)
        starts_BS = arrivals.start_BS
        wanted_B = self._count_all(field.of_maskable(rate_B), starts_BS.isfinite(), draws)
        last_B1 = starts_BS.sort(1).values.gather(1, (wanted_B - 1).clamp(min=0)[:, None])
        covered_BL = (arrivals.time_BL <= last_B1) & (wanted_B > 0)[:, None]
        return ranking.place_BK, ranking.arrives_BK & covered_BL.gather(1, ranking.place_BK)


def _cut_anywhere(ranking: Ranking, wanted_B: Tensor, draws: Draws) -> Tensor:
    """Int64 [B, K]: the ranked places, where of what arrives together with the last one wanted each is kept with the
    same chance: those from a random one on, the first following the last."""
    last_B1 = ranking.time_BK.gather(1, (wanted_B - 1).clamp(min=0)[:, None])
    passed_BL = (ranking.time_BL == last_B1).cumsum(1)
    number_B1 = passed_BL[:, -1:]
    first_B1 = (ranking.time_BK < last_B1).sum(1, keepdim=True)
    behind_BK = torch.arange(ranking.place_BK.shape[1], device=last_B1.device) - first_B1
    turned_BK = (behind_BK + (draws("cut", 1) * number_B1).long()) % number_B1
    kept_BK = torch.searchsorted(passed_BL, turned_BK + 1)  # the places of those that arrive together, in order
    return torch.where((behind_BK >= 0) & (behind_BK < number_B1), kept_BK, ranking.place_BK)


def _unit_starts(arrivals: Arrivals, maskable_BL: Tensor) -> Tensor:
    """Bool [B, L]: the first maskable position of each unit; an earlier span may part a later one in two."""
    unit_BL, order_BL = arrivals.unit_BL.masked_fill(~maskable_BL, 1 << 40).sort(dim=1, stable=True)
    new_BL = unit_BL != torch.nn.functional.pad(unit_BL, (1, 0), value=-(1 << 40))[:, :-1]
    return torch.zeros_like(maskable_BL).scatter(1, order_BL, new_BL) & maskable_BL


def _unit_rank(ranking: Ranking, arrivals: Arrivals) -> Tensor:
    """Int64 [B, K]: how many units arrived before each position's. Units may arrive together, one behind the other."""
    time_BK, unit_BK = ranking.time_BK, arrivals.unit_BL.gather(1, ranking.place_BK)
    other_BK = (time_BK[:, 1:] != time_BK[:, :-1]) | (unit_BK[:, 1:] != unit_BK[:, :-1])
    return torch.nn.functional.pad(other_BK.cumsum(1), (1, 0))


def _sum_by_unit_end(taken_BL: Tensor, unit_BL: Tensor) -> Tensor:
    """Int64 [B, L]: positions taken up to the end of each position's unit."""
    return torch.zeros_like(unit_BL).scatter_add_(1, unit_BL, taken_BL.long()).cumsum(1).gather(1, unit_BL)
