"""Every unit x weight x rate x corruption that means something masks a tiny corpus; the others are refused with a
reason that follows from what the parts declare, never from a table."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.contestants import policies

from maskwright.errors import RecipeError
from maskwright.masking import Masking, Outcome, ViewRecipe
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.rates import Constant
from maskwright.masking.units import OneOf
from maskwright.config.build import build
from maskwright.training.recipe import assemble, check_views

KINDS = {"weight": "masking.weight", "budget": "masking.budget", "rate": "rate", "corruption": "corruption"}
SAMPLED = 400  # combinations of all five kinds, drawn for each unit

# Fragments of the sentences that parts refuse each other with: one for each declaration.
REASONS = (
    "does not steer",  # Unit.weighs
    "which do not steer",  # Rate.by_position on Unit.weighs
    "is an order or a choice, which no deadline turns into a rate",  # Weight.counted_only
    "could only move the starts",  # Weight.counted_only on Unit.covers
    "moves where",  # Unit.covers
    "must know the count beforehand",  # Unit.planned
    "needs a count of tokens",
    "counts span starts",
    "which masking.weight would distort",  # Rate.by_position beside a weight
    "leaves none; choose one that does",  # Stage.keeps_places
    "given by a network inside the step",  # Weight.given
    "follows the loss",  # Weight.follows_loss
    "changes a whole",  # Stage.per
    "there are 100 sentinels",  # Stage.check
)


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder with all that choices ask their user for, and overrides that read its corpus."""
    folder = tmp_path_factory.mktemp("given")
    return folder, policies.corpus(folder, addresses=3, documents=120)


@pytest.fixture(scope="module")
def composed(compose, given):
    """`composed(unit=..., rate=...)`: the config that these words on the command line make."""
    folder, corpus = given

    def words(**choices: str):
        return compose(*corpus, "data.document=file", *policies.overrides(folder, **choices))

    return words


@pytest.fixture(scope="module")
def alone(composed) -> dict[tuple[str, str], Any]:
    """Every choice but units, built; None where it stands on settings of a unit."""
    from omegaconf import OmegaConf

    parts = {}
    for kind, key in KINDS.items():
        for choice in policies.choices(kind):
            if "metadata" in choice:  # goes with a cleaning, which columns that count characters exclude: see erwt
                continue
            cfg, _ = composed(**{kind: choice})
            try:
                parts[kind, choice] = build(cfg, key.split(".")[0], OmegaConf.select(cfg, key))
            except RecipeError:
                parts[kind, choice] = None
    return parts


class Together:
    """One unit with every other choice over the same rows."""

    def __init__(self, unit: str, composed: Any, alone: dict[tuple[str, str], Any]) -> None:
        from omegaconf import OmegaConf

        self.parts = dict(alone)
        for (kind, choice), part in alone.items():
            if part is None:
                try:
                    cfg, _ = composed(unit=unit, **{kind: choice})
                    key = KINDS[kind]
                    self.parts[kind, choice] = build(cfg, key.split(".")[0], OmegaConf.select(cfg, key))
                except RecipeError:
                    del self.parts[kind, choice]  # needs a unit over spans
        cfg, names = composed(unit=unit)
        self.recipe = assemble(cfg, names)
        self.unit = self.recipe.views[0].masking.unit
        self.default = self.recipe.views[0].masking
        columns = [*self.unit.columns, *(c for part in self.parts.values() for c in getattr(part, "columns", ()))]
        self.recipe.objective.columns = tuple(columns)
        self.prepared = self.recipe.prepare(cfg)
        self.rows = self.prepared.train.take(torch.arange(min(24, len(self.prepared.train))).numpy())
        self.rows["visit"] = torch.zeros_like(self.rows["sample"])
        self._arriving: dict[Any, torch.Tensor] = {}

    def choices(self, kind: str) -> list[str]:
        return [choice for known, choice in self.parts if known == kind]

    def masked(self, **choices: str | None) -> Any:
        """The view, or the sentence that refuses the combination."""
        part = {kind: self.parts.get((kind, str(choice))) for kind, choice in choices.items()}
        view = self.recipe.views[0]
        try:
            weight = part.get("weight") if choices.get("weight") else self.default.weight
            masking = Masking(self.unit, part.get("budget") or self.default.budget, weight)
            recipe = ViewRecipe(
                "main", masking, part.get("rate") or view.rate, part.get("corruption") or view.corruption
            )
            self.recipe.views = [recipe]
            check_views(self.recipe)
            markers = tuple(marker for marker in recipe.corruption.markers)
            self.prepared.tokenizer.add_tokens(list(markers))
            self.used, self.views = recipe, self.recipe.bind(self.prepared, 0)
            return self.views(self.rows, 0.5)["main"]
        except RecipeError as error:
            return str(error)
        finally:
            self.recipe.views = [view]

    def within(self, view: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each row of an accepted combination: tokens (or units) masked, and the least and most that the rate and
        the rounding which its budget declares have in the mean."""
        rate, budget, weight = self.used.rate, self.used.masking.budget, self.used.masking.weight
        masked_BL, counted_BL = view.outcome_BL > 0, view.maskable_BL
        if of_units := getattr(budget, "of", "token") == "unit":
            counted_BL = firsts(view.unit_BL, counted_BL)
        asked_B = view.rate_B * counted_BL.sum(1)
        able_BL = self._able(weight)
        if rate.by_position:  # a unit has its first position's rate
            field = self.views._field(self.used, self.rows, 0.5, {})
            own_BL = rate.at_positions(field).gather(1, view.unit_BL)
            able_BL = able_BL & (own_BL > 0)
            if isinstance(budget, Independent):
                asked_B = (own_BL * counted_BL).sum(1)
        able_B = (able_BL & counted_BL).sum(1).double()
        if isinstance(budget, Independent):
            low_B = asked_B if weight is not None else asked_B * able_B / counted_BL.sum(1).clamp(min=1)
            return (masked_BL & counted_BL).sum(1), torch.minimum(low_B, able_B), asked_B
        below, above = {"nearest": (0.5, 0.5), "down": (1, 0), "up": (0, 1)}.get(budget.rounding, (0, 0))
        if budget.rounding == "binomial":  # where what may be masked runs out, no more than half a deviation is lost
            below = (asked_B * (1 - view.rate_B)).sqrt() / 2 * (able_B < counted_BL.sum(1))
        longest = 1 if of_units else self.unit.longest(self.prepared.train.longest)
        below = below + (longest - 1) * (budget.overshoot == "skip")
        above += (longest - 1) * (budget.overshoot == "allow")
        high_B = asked_B.clamp(min=budget.at_least) + above
        return (masked_BL & counted_BL).sum(1), torch.minimum(asked_B - below, able_B), high_B

    def _able(self, weight: Any) -> torch.Tensor:
        """Bool [B, L]: positions that arrive at all."""
        if weight not in self._arriving:
            everything = Counted("token", "nearest", "cut", 0, None)
            recipe = replace(self.used, masking=Masking(self.unit, everything, weight), rate=Constant(1.0))
            kept, self.recipe.views = self.recipe.views, [recipe]
            self._arriving[weight] = self.recipe.bind(self.prepared, 0)(self.rows, 0.5)["main"].outcome_BL > 0
            self.recipe.views = kept
        return self._arriving[weight]


def firsts(unit_BL: torch.Tensor, among_BL: torch.Tensor) -> torch.Tensor:
    """Bool [B, L]: where each unit is first seen."""
    first_BL = torch.zeros_like(among_BL)
    for row, (units, among) in enumerate(zip(unit_BL.tolist(), among_BL.tolist(), strict=True)):
        seen: set[int] = set()
        for place, (unit, there) in enumerate(zip(units, among, strict=True)):
            first_BL[row, place] = there and unit not in seen
            seen |= {unit} if there else set()
    return first_BL


def check(view: Any) -> None:
    """What must hold of any mask."""
    masked_BL = view.outcome_BL > 0
    assert not (masked_BL & ~view.maskable_BL).any()
    assert (view.counts_BK.sum(1) <= masked_BL.sum(1)).all()
    assert torch.equal(view.target_BK, view.clean_BL.gather(1, view.source_BK))
    assert torch.isfinite(view.rate_B).all() and ((view.rate_B >= 0) & (view.rate_B <= 1)).all()
    clean_BM = view.clean_BL.gather(1, view.origin_BM.clamp(min=0))
    outcome_BM = view.outcome_BL.gather(1, view.origin_BM.clamp(min=0))
    untouched_BM = (view.origin_BM >= 0) & (outcome_BM == Outcome.VISIBLE)
    assert torch.equal(view.ids_BM[untouched_BM], clean_BM[untouched_BM])


@pytest.fixture(scope="module", params=policies.choices("unit"))
def together(request, composed, alone) -> Together:
    return Together(request.param, composed, alone)


@pytest.mark.slow
def test_every_choice_with_every_unit_and_a_walk_through_their_product(together, request):
    """Accepted or refused with a reason; and the mean share masked is the one asked for, but for what the budget
    declares and where what may be masked runs out."""
    seen = {True: 0, False: 0}
    pairs = [{kind: choice} for kind in KINDS for choice in together.choices(kind)]
    pairs += [{"weight": weight, "budget": "expected"} for weight in together.choices("weight")]
    pairs += [{"rate": rate, "budget": "expected"} for rate in together.choices("rate")]
    rows, visits = together.rows, 8
    together.rows = {name: column.repeat(visits, *[1] * (column.ndim - 1)) for name, column in rows.items()}
    together.rows["visit"] = torch.arange(visits).repeat_interleave(len(rows["ids"]))
    request.addfinalizer(lambda: setattr(together, "rows", rows))
    chance = random.Random(request.node.name)
    walk = [{kind: chance.choice([None, *together.choices(kind)]) for kind in KINDS} for _ in range(SAMPLED)]
    for choices in [*pairs, *walk]:
        result = together.masked(**choices)
        refused = isinstance(result, str)
        if refused:
            assert any(reason in result for reason in REASONS) and "\n" not in result, (choices, result)
        else:
            check(result)
            number_B, low_B, high_B = together.within(result)
            for bound_B, sign in ((low_B, -1), (high_B, 1)):
                over_B = (number_B - bound_B) * sign
                error = over_B.std().item() / len(over_B) ** 0.5
                assert over_B.mean().item() <= 6 * error + 1e-6, (choices, number_B.sum(), low_B.sum(), high_B.sum())
        seen[refused] += 1
    assert seen[False] > 40 and seen[True] > 0


@pytest.mark.slow
def test_masks_of_every_choice_depend_on_the_sample_alone(together):
    """The same rows in smaller batches and another order have the same masks; another visit has others."""
    rows, order = together.rows, torch.randperm(len(together.rows["ids"]), generator=torch.Generator().manual_seed(1))
    different = 0
    for choices in [{kind: choice} for kind in KINDS for choice in together.choices(kind)]:
        whole = together.masked(**choices)
        if isinstance(whole, str):
            continue
        parts = [slice(0, 1), slice(3, 10)]
        for part in [*parts, order]:
            together.rows = {name: column[part] for name, column in rows.items()}
            few = together.masked(**choices)
            for field in ("ids_BM", "outcome_BL", "counts_BK", "place_BK"):
                assert torch.equal(getattr(few, field), getattr(whole, field)[part]), (choices, field)
        together.rows = {**rows, "visit": rows["visit"] + 1}
        different += not torch.equal(together.masked(**choices).outcome_BL, whole.outcome_BL)
        together.rows = rows
    assert different


@pytest.mark.slow
def test_the_rate_is_met_and_rates_of_0_and_1_behave(together):
    """Over 10^5 positions the mean rate lies in the interval around what the budget's rounding implies; a unit that is
    not everywhere may run out."""
    view, rows = together.recipe.views[0], together.rows
    visits = max(1, round(1e5 / (rows["document"] > 0).sum().item()))
    together.rows = {name: column.repeat(visits, *[1] * (column.ndim - 1)) for name, column in rows.items()}
    together.rows["visit"] = torch.arange(visits).repeat_interleave(len(rows["ids"]))
    try:
        for asked in (0.0, 0.15, 1.0):
            together.recipe.views[0] = replace(view, rate=Constant(asked))
            made = together.recipe.bind(together.prepared, 0)(together.rows, 0.5)["main"]
            masked_BL, maskable_B = made.outcome_BL > 0, made.maskable_BL.sum(1).double()
            assert not (masked_BL & ~made.maskable_BL).any()
            if asked == 0:
                least = getattr(together.default.budget, "at_least", 0)
                assert (masked_BL.sum(1) <= max(least, together.unit.longest(together.prepared.train.longest))).all()
                assert least or not masked_BL.any()
                continue
            row_B = masked_BL.sum(1) / maskable_B.clamp(min=1)
            everywhere = together.default.weight is None and not isinstance(together.unit, OneOf)
            whole = getattr(together.unit, "whole", False)
            if asked == 1:
                assert not everywhere or whole or (masked_BL == made.maskable_BL).all()
                continue
            by_sample = row_B.view(visits, -1).double()  # rows of one text are alike, its visits are draws
            error = by_sample.std(0).square().sum().sqrt() / by_sample.shape[1] / visits**0.5
            rounding = {"nearest": 0.5 / maskable_B.min(), "up": 1 / maskable_B.min()}
            slack = rounding.get(getattr(together.default.budget, "rounding", ""), 0.0) + 4.5 * error
            mean = by_sample.mean().item()
            assert mean <= asked + slack
            skips = getattr(together.default.budget, "overshoot", "") == "skip"
            assert not everywhere or skips or mean >= asked - slack
    finally:
        together.recipe.views[0], together.rows = view, rows
