"""What `python evaluate.py` does: load what `run=` names, run the suite, leave results.json, show a table, log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import maskwright
from maskwright.config.build import build
from maskwright.config.settings import Evaluate, check_settings
from maskwright.errors import RecipeError
from maskwright.evaluation import results
from maskwright.evaluation.heldout import HeldOut
from maskwright.evaluation.loading import load
from maskwright.evaluation.places import run_folder
from maskwright.evaluation.results import Result
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.tools import Tools, undisturbed
from maskwright.tracking.console import compact, duration
from maskwright.tracking.run import git_commit
from maskwright.tracking.secrets import without_secrets
from maskwright.training.hardware import Hardware
from maskwright.training.run import quiet


def evaluate(cfg: DictConfig, choices: Mapping[str, str], folder: Path) -> Result:
    """Evaluate as `cfg` says and leave results.json in `folder`. choices: the option of each config group.

    Raises RecipeError for whatever the user can mend.
    """
    began = time.perf_counter()
    quiet()
    check_settings(cfg, Evaluate)
    if not cfg.run:
        raise RecipeError(
            "run is not set; name a run's folder, an export or a hub name, as in run=outputs/<day>/<time>."
        )
    suite: Suite = build(cfg, "evaluation", kind=Suite)
    name = cfg.name or choices.get("evaluation", suite.name)
    chosen = Hardware(accelerator=cfg.device, precision=cfg.precision, threads=cfg.threads).resolve()
    chosen.apply()
    console = Console(highlight=False)
    device = torch.device(chosen.accelerator)
    if cfg.positions is not None and cfg.positions < 1:
        raise RecipeError(f"positions is {cfg.positions}; give a number of rows x tokens from 1 up, or null.")
    tools = Tools(device, chosen.precision == "bf16", cfg.positions, console, Path(cfg.cache).expanduser())
    subject = load(cfg.run, device)
    subject.heldout = _heldout(cfg) if suite.reads_heldout else None
    chosen.keep_freed_memory()
    suite.check(subject)
    console.print(f"{cfg.run} {compact(subject.network.parameter_count)} - {name} - {device.type}", soft_wrap=True)
    with undisturbed(0):
        result = suite.run(subject, tools)
    seconds = time.perf_counter() - began
    settings = OmegaConf.to_container(cfg.evaluation, resolve=True)
    document = {
        "suite": choices.get("evaluation", suite.name),
        "name": name,
        "run": str(cfg.run),
        "head": subject.head,
        "parameters": subject.network.parameter_count,
        **result.plain(),
        "settings": without_secrets(settings),
        "precision": chosen.precision,
        "device": chosen.device,
        "seconds": seconds,
        "maskwright": maskwright.__version__,
        "git_commit": git_commit(Path(__file__).parent),
    }
    path = results.write(folder, document)
    results.show(result, console)
    where = _logged(cfg, name, result)
    console.print(f"\n{duration(seconds)}; figures in {path}", soft_wrap=True)
    for line in where:
        console.print(line, soft_wrap=True)
    return result


def _heldout(cfg: DictConfig) -> HeldOut | None:
    """The held-out text: of the corpus that `data=` names, else of the run's own."""
    from maskwright.data import Packing

    folder = run_folder(cfg.run)
    own = OmegaConf.load(folder / "config.yaml") if folder and (folder / "config.yaml").is_file() else None
    if cfg.get("data") is None and own is None:
        return None
    if own is None:
        return HeldOut(build(cfg, "data"), Packing("document", cfg.ruler_length or 128), cfg.ruler_length or 128,
                       cfg.ruler_rows)  # fmt: skip
    assert isinstance(own, DictConfig)
    other = cfg.get("data") is not None
    cleaning = OmegaConf.select(own, "cleaning")
    return HeldOut(
        build(cfg if other else own, "data"),
        build(own, "packing"),
        cfg.ruler_length or own.ruler.length,
        cfg.ruler_rows or own.ruler.rows,
        build(own, "cleaning") if cleaning and not other else None,
    )


def _logged(cfg: DictConfig, name: str, result: Result) -> list[str]:
    """Log to the run's own W&B run, where it has one; lines that say where to look."""
    folder = run_folder(cfg.run)
    if not cfg.log or folder is None or not (folder / "wandb.json").is_file():
        return []
    own = OmegaConf.load(folder / "config.yaml")
    assert isinstance(own, DictConfig)
    if not str(OmegaConf.select(own, "logger._target_")).endswith(".Wandb"):
        return []
    from maskwright.evaluation.wandb_log import log

    return log(build(own, "logger"), folder, name, result)
