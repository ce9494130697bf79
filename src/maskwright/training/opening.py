"""What a run records and says before its first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape

import maskwright
from maskwright.data.module import DataModule
from maskwright.models.checkpoint import hub_name
from maskwright.models.network import RANDOM
from maskwright.pasting import command
from maskwright.tracking import console as screen
from maskwright.tracking.run import git_commit
from maskwright.training import reached
from maskwright.training.begun import Begun
from maskwright.training.folder import RunFolder
from maskwright.training.hardware import Chosen
from maskwright.training.moved import named_files
from maskwright.training.recipe import Recipe


def folder_line(run: RunFolder, group: str | None) -> str:
    """Where the run lies, and how it is stopped and gone on with."""
    if group is not None:  # the multirun has said so
        return f"run folder {run.path}"
    return f"run folder {run.path} - Ctrl-C saves and stops; go on with: {command('train.py', resume=run.path)}"


def facts(
    begun: Begun,
    known: Mapping[str, Any] | None,
    parameters: int,
    starts: Mapping[str, str],
    peak_flops: float | None,
    step: int | None,
) -> dict[str, Any]:
    """run.json. known: what it says already, of a run that is gone on with after `step`."""
    if known:
        return {**known, "resumed": [*known.get("resumed", ()), {"step": step, **_code()}]}
    return {
        **_code(),
        "choices": dict(begun.recipe.choices),
        "sentence": begun.recipe.sentence,
        "hardware": begun.chosen.record(),
        "fingerprints": begun.prepared.fingerprints,
        "files": named_files(begun.cfg),
        "data": begun.prepared.report,
        "parameters": parameters,
        "starts": dict(starts),
        "base_model": hub_name(begun.recipe.model.init_from),
        "steps": begun.data.steps,
        "peak_flops": peak_flops,
    }


def say(begun: Begun, facts: Mapping[str, Any], seconds: float, frozen: float, device: torch.device) -> None:
    """The recipe, the data, where weights start, and whatever is unusual. seconds: that training will take; frozen: the
    share of weights that stay as they are."""
    console, starts = begun.console, facts.get("starts", {})
    console.print(_line(begun, facts["parameters"], seconds), soft_wrap=True)
    console.print(f"[dim]{escape(begun.prepared.summary)}[/dim]", soft_wrap=True)
    for note in begun.prepared.report["notes"]:
        console.print(f"[dim]note: {escape(note)}[/dim]", soft_wrap=True)
    if set(starts.values()) - {RANDOM}:
        for name, start in starts.items():
            who = f"{name} starts" if len(starts) > 1 else "starts"
            console.print(f"[dim]{who} from {escape(start)}[/dim]", soft_wrap=True)
    if frozen:
        console.print(f"[dim]{screen.percent(frozen)} of the weights are frozen[/dim]")
    for note in reached.notes(begun.data, device):
        console.print(f"note: {note}", soft_wrap=True)


def say_resumed(begun: Begun, step: int | None, said: Sequence[str], changed: Sequence[str]) -> None:
    """Where a run goes on, with what was added to it and what is not as it was; nothing for a new one."""
    if step is None:
        return
    begun.console.print(f"resumed after step {step:,} in {escape(str(begun.folder.path))}", soft_wrap=True)
    for line in said:
        begun.console.print(escape(line), soft_wrap=True)
    for change in changed:
        begun.console.print(f"note: {change}; the run goes on, but perhaps no longer bit for bit", soft_wrap=True)


def changes(facts: Mapping[str, Any], chosen: Chosen) -> list[str]:
    """What is not the same as when the run began, and may round differently."""
    then, now = (
        {**each["versions"], "maskwright": each["maskwright"], "its commit": each["git_commit"], "the device": device}
        for each, device in ((facts, facts["hardware"]["device"]), (_code(), chosen.device))
    )
    return [f"{name} was {then[name]} and is {now[name]}" for name in then if then[name] != now[name]]


def run_name(recipe: Recipe, choices: Mapping[str, str], seed: int) -> str:
    """The readable name of a run."""
    objective = choices.get("objective", "")
    return screen.run_name(_model_name(recipe), objective, _masking(recipe), recipe.corpus.name, seed)


def shown(data: DataModule, number: int) -> int:
    """Tokens that a network reads of a row in a phase."""
    return max(data.phase_masks[number].width.values(), default=data.phases[number].length)


def tokens(data: DataModule, step: int) -> int:
    """Places in the rows of all steps from `step` on."""
    ends = [(phase, phase.first + phase.steps) for phase in data.phases]
    return sum(max(0, end - max(step, phase.first)) * phase.rows * phase.length for phase, end in ends)


def _code() -> dict[str, Any]:
    """The code that runs."""
    return {
        "maskwright": maskwright.__version__,
        "git_commit": git_commit(Path(__file__).parent),
        "versions": {name: version(name) for name in ("torch", "lightning", "transformers")},
    }


def _line(begun: Begun, parameters: int, seconds: float) -> str:
    recipe, chosen = begun.recipe, begun.chosen
    device = f"{chosen.processes} x {chosen.accelerator}" if chosen.processes > 1 else chosen.accelerator
    precision = {"32": "float32"}.get(chosen.precision, chosen.precision)
    return screen.recipe_line(
        _model_name(recipe), parameters, recipe.choices.get("objective", ""), _masking(recipe), recipe.corpus.name,
        begun.prepared.report["tokens"]["train"], f"{device} {precision}", begun.data.steps, seconds,
    )  # fmt: skip


def _model_name(recipe: Recipe) -> str:
    name = recipe.choices.get("model", recipe.model.family)
    return recipe.model.family if name == "checkpoint" else name


def _masking(recipe: Recipe) -> str:
    """The first view's masking; `+ 2 views` where there are more, which run.json spells out."""
    if not recipe.views:
        return ""
    more = len(recipe.views) - 1
    return recipe.views[0].describe() + (f" + {more} view{'s' * (more > 1)}" if more else "")
