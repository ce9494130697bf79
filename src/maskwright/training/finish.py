"""What a run leaves at its end: exports, metrics.json, and the last screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import OmegaConf
from rich.console import Console

from maskwright.data.prepare import Prepared
from maskwright.evaluation.ruler import NOTHING_MASKED
from maskwright.models.export import export
from maskwright.objectives import Objective
from maskwright.tracking import console as screen
from maskwright.tracking import fill_ins
from maskwright.tracking.jobs import in_multirun, run_words
from maskwright.tracking.change import BEFORE, pairs, verdict
from maskwright.tracking.meter import Meter
from maskwright.tracking.run import Record
from maskwright.tracking.secrets import without_places
from maskwright.training.folder import RunFolder
from maskwright.training.recipe import Recipe

FILL_INS = 6  # example sentences at the end


def figures(
    objective: Objective,
    validation: Mapping[str, float],
    meter: Meter,
    seconds: float,
    before: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """metrics.json: what was measured, and null with a reason where a run has no such number.

    before: what was measured before the first step; its names get `before/` in front.
    """
    found: dict[str, Any] = {}
    for prefix, network in objective.ruled().items():
        for name in ("loss", "accuracy", "bits_per_byte"):
            found[f"{prefix}/{name}"] = validation.get(f"{prefix}/{name}")
        if isinstance(network, str):
            found[f"{prefix}/reason"] = network
        elif found[f"{prefix}/loss"] is None:
            found[f"{prefix}/reason"] = NOTHING_MASKED
    found |= {name: value for name, value in validation.items() if name not in found}
    for term in (term for term, weight in objective.weights.items() if weight and f"heldout/{term}" not in found):
        found[f"heldout/{term}"] = None
        found[f"heldout/{term}/reason"] = "no held-out place counts"
    found |= {BEFORE + name: value for name, value in (before or {}).items()}
    found |= meter.totals()
    found["wall_seconds"] = seconds
    return found


def leave(
    objective: Objective,
    recipe: Recipe,
    prepared: Prepared,
    run: RunFolder,
    log: Record,
    metrics: dict[str, Any],
    console: Console,
) -> None:
    """Export the objective's networks with the weights that they hold, write the figures, and show what came of it."""
    card = {
        "text": recipe.sentence,
        "base_model": (run.recorded() or {}).get("base_model"),
        "recipe": without_places(OmegaConf.to_container(OmegaConf.load(run.config))),
        "data": {
            "summary": prepared.summary,
            **{f"{name} fingerprint": key for name, key in prepared.fingerprints.items()},
        },
        "figures": {
            name: value
            for name, value in metrics.items()
            if not name.endswith("/reason") and not name.startswith(BEFORE)
        },
        "before": pairs(metrics),
        "verdict": verdict(metrics),
    }
    for below, network in objective.exports().items():
        export(network, prepared.tokenizer, run.export / below, card | {"start": without_places(network.start)})
    log.finish(metrics)
    screen.summary(metrics, run.path, log.where, console)
    ruled = [network for network in objective.ruled().values() if not isinstance(network, str)]
    sentences = recipe.corpus.examples(prepared.tokenizer.mask_token)[:FILL_INS]
    if ruled and sentences:
        console.print()
        with torch.no_grad():
            fill_ins.show(fill_ins.fill_ins(ruled[0], prepared.tokenizer, sentences), console)
    if in_multirun():  # whose report says what comes next, once
        return
    folders = {id(network): folder for folder, network in objective.exports().items()}
    inside = folders.get(id(ruled[0])) if ruled else None  # of the network that the ruler looks at
    fill = sentences[0] if sentences and inside == "" else None
    own = objective.exports()[""].family.library != "transformers"
    measured = None if inside is None else run.export / inside if inside else run.path
    more = "lengthened" in (run.recorded() or {})
    others = screen.of_this_run(run.path, run_words(run.path), metrics["steps"], measured, more)
    screen.show_next(screen.next_commands(run.path, fill, others, own), console)
