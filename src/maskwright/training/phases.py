"""The phases that a recipe asks for (`phases` of conf/recipe.yaml), and what each costs.

Most models are trained on short rows first and on long ones in the end (BERT, arXiv 1810.04805; LTG-BERT, arXiv
2303.09859; CamemBERT 2.0, arXiv 2411.08868). Weights, optimizer and its steps go on; progress runs over the whole run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from omegaconf import DictConfig, OmegaConf

from maskwright.data import Packing
from maskwright.data.phases import Phase
from maskwright.errors import RecipeError
from maskwright.objectives import Objective

_KEYS = ("from", "length", "rows", "restart")


@dataclass(frozen=True)
class Asked:
    """One phase as the recipe says it. begins: a share of training below 1, or a step. rows: None: as `batch` says."""

    begins: float
    length: int
    rows: int | None
    restart: bool


def asked(cfg: DictConfig) -> list[Asked]:
    """The phases of a recipe, the first one as `packing` and `batch` say. Raises RecipeError for impossible ones."""
    found = [Asked(0, cfg.packing.length, None, False)]
    listed = OmegaConf.to_container(cfg.phases, resolve=True) if "phases" in cfg else []  # runs of an older version
    if not isinstance(listed, list):
        raise RecipeError(f"phases is {listed}; give a list, as in 'phases=[{{from: 0.9, length: 512}}]'.")
    for place, node in enumerate(listed):
        name = f"phases[{place}]"
        if not isinstance(node, dict) or "from" not in node or not set(node) <= set(_KEYS):
            raise RecipeError(f"{name} is {node}; a phase has from, and may have {', '.join(_KEYS[1:])}.")
        begins = node["from"]
        whole = (
            isinstance(begins, (int, float)) and not isinstance(begins, bool) and (begins < 1 or begins == int(begins))
        )
        if not whole or begins <= 0:
            raise RecipeError(f"{name}.from is {begins}; give a share of training below 1, or a whole number of steps.")
        rows, restart = node.get("rows"), node.get("restart", False)
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
            raise RecipeError(f"{name}.rows is {rows}; give a whole number from 1 up, or null.")
        if not isinstance(restart, bool):
            raise RecipeError(f"{name}.restart is {restart}; give true or false.")
        length = Packing(cfg.packing.kind, node.get("length") or found[-1].length).length
        found.append(Asked(begins, length, rows if rows is not None else found[-1].rows, restart))
    if len({phase.begins < 1 for phase in found[1:]}) > 1:
        raise RecipeError("phases begin at shares of training and at steps; write all of them one way.")
    if len({phase.begins for phase in found}) < len(found) or sorted(found, key=lambda p: p.begins) != found:
        raise RecipeError("phases do not begin one after the other; give each a later `from` than the one before it.")
    return found


def rows_per_step(cfg: DictConfig, phase: Asked) -> int:
    """Rows of one optimizer step over all devices."""
    if phase.rows is not None:
        return phase.rows
    rows = cfg.batch.rows if cfg.batch.tokens is None else cfg.batch.tokens // phase.length
    if rows < 1:
        raise RecipeError(
            f"batch.tokens is {cfg.batch.tokens} and a row has {phase.length} tokens; a batch holds at least one row."
        )
    return rows


def planned(cfg: DictConfig, there: Callable[[int], int]) -> list[Phase]:
    """The phases with their steps. there: how many training rows of a length there are.

    Raises RecipeError when a phase has no step.
    """
    phases = asked(cfg)
    rows = [rows_per_step(cfg, phase) for phase in phases]
    begins = [phase.begins for phase in phases]
    shares = all(begin < 1 for begin in begins)
    steps = cfg.trainer.max_steps
    if cfg.trainer.max_epochs is not None:
        if not shares:
            raise RecipeError(
                "trainer.max_epochs decides the steps, of which phases can only begin at a share; set phases' from "
                "below 1, or trainer.max_steps."
            )
        parts = [end - begin for begin, end in zip(begins, [*begins[1:], 1], strict=True)]
        passes = [
            Fraction(part) * own / there(phase.length) for part, own, phase in zip(parts, rows, phases, strict=True)
        ]
        steps = max(1, round(Fraction(cfg.trainer.max_epochs) / sum(passes)))
        if steps >= sys.maxsize:
            raise RecipeError(
                f"trainer.max_epochs is {cfg.trainer.max_epochs}, more steps than can be counted; lower it."
            )
    firsts = [round(begin * steps) if shares else int(begin) for begin in begins]
    ends = [*firsts[1:], steps]
    for number, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        if first >= end:
            name = "the first phase" if not number else f"phases[{number - 1}]"
            raise RecipeError(f"{name} has no step of the {steps:,}; mend phases' from, or raise trainer.max_steps.")
    numbers = zip(firsts, ends, rows, phases, strict=True)
    return [Phase(first, end - first, own, phase.length, phase.restart) for first, end, own, phase in numbers]


def flops_per_token(objective: Objective, length: int, shown: int, predicted: Mapping[str, int]) -> float:
    """Model FLOPs of a training step per token of rows of `length`, of which networks read `shown` tokens and each
    view loses `predicted` places."""
    usual = objective.layout
    objective.layout = replace(usual, length=length, shown=shown)
    try:
        return objective.flops(1, predicted) / length
    finally:
        objective.layout = usual


def describe(phases: list[Asked]) -> str:
    """How the recipe line says it, as in `rows of 128 then 512`; empty without phases."""
    return "" if len(phases) == 1 else "rows of " + " then ".join(str(phase.length) for phase in phases)
