"""Every unit x weight x rate x corruption that means something masks a tiny corpus; the others are refused with a
reason that follows from what the parts declare, never from a table."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from benchmarks.contestants import policies

from maskwright.errors import RecipeError
from maskwright.masking import Outcome
from maskwright.training.recipe import assemble

UNITS, WEIGHTS, BUDGETS = (policies.choices(kind) for kind in ("unit", "weight", "budget"))
RATES, CORRUPTIONS = policies.choices("rate"), policies.choices("corruption")


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder with all that choices ask their user for, and overrides that read its corpus."""
    folder = tmp_path_factory.mktemp("given")
    return folder, policies.corpus(folder, addresses=3, documents=120)


@pytest.fixture(scope="module")
def tried(compose, given):
    """`tried(unit=..., rate=...)`: the masks over the tiny corpus, or the sentence that refuses the combination."""

    def attempt(**choices: str | None):
        try:
            folder, corpus = given
            cfg, names = compose(*corpus, "data.document=file", *policies.overrides(folder, **choices))
            recipe = assemble(cfg, names)
            prepared = recipe.prepare(cfg)
            views = recipe.bind(prepared, 0)
        except RecipeError as error:
            return str(error)
        rows = prepared.train.take(torch.arange(min(48, len(prepared.train))).numpy())
        rows["visit"] = torch.zeros_like(rows["sample"])
        return views(rows, 0.5)["main"]

    return attempt


def check(view, budget: str | None = None) -> None:
    """What must hold of any mask."""
    masked_BL = view.outcome_BL > 0
    assert not (masked_BL & ~view.maskable_BL).any()
    assert (view.counts_BK.sum(1) <= masked_BL.sum(1)).all()
    assert torch.equal(view.target_BK, view.clean_BL.gather(1, view.source_BK))
    assert torch.isfinite(view.rate_B).all() and ((view.rate_B >= 0) & (view.rate_B <= 1)).all()
    same_BM = view.origin_BM >= 0
    clean_BM = view.clean_BL.gather(1, view.origin_BM.clamp(min=0))
    untouched_BM = same_BM & (view.outcome_BL.gather(1, view.origin_BM.clamp(min=0)) == Outcome.VISIBLE)
    assert torch.equal(view.ids_BM[untouched_BM], clean_BM[untouched_BM])


REASONS = (
    "does not steer",  # the unit says that nothing weighs it
    "which do not steer",
    "is an order or a choice, which no deadline turns into a rate",
    "moves where",
    "must know the count beforehand",
    "needs a count of tokens",
    "counts span starts",
    "which masking.weight would distort",
    "leaves none; choose one that does",
    "given by a network inside the step",
    "needs a cleaning that writes",
    "changes a whole",
    "there are 100 sentinels",
)


def accepted_or_refused(result, seen: dict[str, int]) -> None:
    if isinstance(result, str):
        assert any(reason in result for reason in REASONS), result
        assert "\n" not in result
        seen["refused"] = seen.get("refused", 0) + 1
    else:
        check(result)
        seen["masked"] = seen.get("masked", 0) + 1


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_with_every_weight_and_budget(unit, tried):
    seen: dict[str, int] = {}
    for weight, budget in itertools.product([None, *WEIGHTS], (None, "exact", "whole", "expected", "units")):
        accepted_or_refused(tried(unit=unit, weight=weight, budget=budget), seen)
    assert seen.get("masked", 0) > 3


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_every_rate_with_every_unit(rate, tried):
    seen: dict[str, int] = {}
    for unit in UNITS:
        accepted_or_refused(tried(unit=unit, rate=rate), seen)
    assert seen


@pytest.mark.slow
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_with_every_unit(corruption, tried):
    seen: dict[str, int] = {}
    for unit in UNITS:
        accepted_or_refused(tried(unit=unit, corruption=corruption), seen)
    assert seen


@pytest.mark.slow
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_budget_with_every_unit(budget, tried):
    seen: dict[str, int] = {}
    for unit in UNITS:
        accepted_or_refused(tried(unit=unit, budget=budget), seen)
    assert seen.get("masked", 0) > 5
