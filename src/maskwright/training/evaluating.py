"""Suites that also run during training, and leave no trace in it: same batches, same losses, same weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from maskwright.config.build import build
from maskwright.data import Prepared
from maskwright.errors import RecipeError
from maskwright.evaluation.heads import HEADS
from maskwright.evaluation.heldout import HeldOut
from maskwright.evaluation.results import write
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.tools import Tools, undisturbed
from maskwright.tracking.meter import Meter
from maskwright.tracking.run import Record
from maskwright.training.ema import WeightAverage
from maskwright.training.recipe import Recipe


class Evaluating(Callback):
    """Every `every` steps, and after the last one, runs suites on one of the objective's networks.

    Rank 0 evaluates while the others wait. The random state and the mode of every module are put back, the weight
    average (where there is one) is looked at in place of the weights, and the time is not counted as training. Figures
    are logged as <name>/<figure>, without those that break others down; those measured last also stand, whole, in
    evaluation/<name>/results.json. It keeps no state: list it before the callback that saves checkpoints, and a resumed
    run logs what a run never stopped would have.
    """

    def __init__(
        self, suites: Mapping[str, Suite], subject: Subject, every: int, record: Record, meter: Meter,
        average: WeightAverage | None, cache: Path,
    ) -> None:  # fmt: skip
        self.suites, self.subject, self.every = dict(suites), subject, every
        self.record, self.meter, self.average, self.cache = record, meter, average, cache

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        if step % self.every and step != trainer.max_steps:
            return
        self.meter.on_validation_start(trainer, pl_module)  # its clock stands still
        figures = self.evaluate(pl_module, step) if trainer.is_global_zero else {}
        self.record.log(step, figures)
        figures = trainer.strategy.broadcast(figures)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in figures.items()})
        self.meter.on_validation_end(trainer, pl_module)

    def evaluate(self, module: LightningModule, step: int) -> dict[str, float]:
        """Run the suites on the network as it is now, and write their results; returns those worth a curve."""
        tools = Tools(module.device, cache=self.cache)
        with undisturbed(0):
            if self.average is None:
                return self._run(tools, step)
            with self.average.averaged(module):
                return self._run(tools, step)

    def _run(self, tools: Tools, step: int) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name, suite in self.suites.items():
            result = suite.run(self.subject, tools)
            figures |= {f"{name}/{key}": v for key, v in result.numbers().items() if not key.startswith("by/")}
            document = {"suite": suite.name, "name": name, "step": step, **result.plain()}
            write(self.record.folder / "evaluation" / name, document)
        return figures


def evaluating(
    cfg: DictConfig, recipe: Recipe, prepared: Prepared, record: Record, meter: Meter, average: WeightAverage | None
) -> list[Evaluating]:
    """The callback that `evaluation` asks for; none when it is off.

    Raises RecipeError for settings that do not go together, and for suites that cannot measure this run's network.
    """
    suites = suites_of(cfg)
    every, name = cfg.evaluation.every_n_steps, cfg.evaluation.network or ""
    if every is None and not suites:
        return []
    if every is None or not suites:
        raise RecipeError(
            "evaluation.every_n_steps and a suite go together; set both, as in evaluation.every_n_steps=500 "
            "+evaluation@evaluation.suites.cloze=fill."
        )
    if every < 1:
        raise RecipeError(f"evaluation.every_n_steps is {every}; give a number of steps from 1 up, or null.")
    if cfg.hardware.strategy == "fsdp":
        raise RecipeError("evaluation.every_n_steps needs whole weights on each device; use hardware=ddp, or null.")
    networks = recipe.objective.exports()
    if name not in networks:
        others = ", ".join(other for other in networks if other) or "none but the main one (null)"
        raise RecipeError(f"evaluation.network is {name}; this objective has {others}.")
    network = networks[name]
    heldout = HeldOut(recipe.corpus, recipe.packing, cfg.ruler.length, cfg.ruler.rows, recipe.cleaning)
    other = next((below for below, one in networks.items() if below and one.head in HEADS), None)
    subject = Subject(
        network, prepared.tokenizer, network.head, network.length, "this run's network", heldout,
        other=f"evaluation.network={other}" if other else None,
    )  # fmt: skip
    for suite in suites.values():
        suite.check(subject)
    return [Evaluating(suites, subject, every, record, meter, average, Path(cfg.cache).expanduser())]


def suites_of(cfg: DictConfig) -> dict[str, Suite]:
    """The suites by name, built. Raises RecipeError for a wrong setting."""
    return {str(name): build(cfg, f"evaluation.suites.{name}", node, Suite) for name, node in cfg.evaluation.suites.items()}
