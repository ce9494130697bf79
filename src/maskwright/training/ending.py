"""When training ends before its last step, by a figure or by the clock, and which checkpoint is kept as the best."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, Timer
from omegaconf import DictConfig

from maskwright.errors import RecipeError
from maskwright.objectives import Objective
from maskwright.tracking.direction import less_is_better
from maskwright.tracking.meter import Meter
from maskwright.training.checkpoints import StepCheckpoint, name
from maskwright.training.ema import WeightAverage

RULED = ("loss", "accuracy", "bits_per_byte")  # what a ruler measures of each network


class NoLongerBetter(EarlyStopping):
    """Ends training when `figure` has not got better in `patience` validations in a row."""

    def __init__(self, figure: str, patience: int, min_delta: float) -> None:
        mode = "min" if _lower("early_stopping.figure", figure) else "max"
        super().__init__(figure, min_delta, patience, mode=mode, check_on_train_epoch_end=False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            _value(trainer, "early_stopping.figure", self.monitor)  # else the library raises an error of its own
        super().on_validation_end(trainer, pl_module)

    def why(self) -> str | None:
        """The reason for an end, where it gave one."""
        said = f"{self.monitor} has not got better in {self.patience} validations"
        return said if self.wait_count >= self.patience else None


class TimeBudget(Timer):
    """Ends training when its time, counted over all resumes, is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__(timedelta(seconds=seconds), verbose=False)

    def why(self) -> str | None:
        """The reason for an end, where it gave one."""
        return "its time (trainer.max_time) is over" if (self.time_remaining() or 0) <= 0 else None


class Ending(Checkpoint):
    """Saves where a watcher ends training before its last step, and keeps the reason.

    Watchers ask for an end by `trainer.should_stop`, after which Lightning validates; the checkpoint follows that
    validation. A run that goes on from that checkpoint ends at once, unless it was given more steps.
    """

    def __init__(self, watchers: list[NoLongerBetter | TimeBudget], saver: StepCheckpoint, meter: Meter) -> None:
        self.watchers, self._saver, self._meter = watchers, saver, meter
        self.reason: str | None = None
        self._steps = -1  # that were planned when it ended

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._steps != trainer.max_steps:
            self.reason = None
        trainer.should_stop = trainer.should_stop or self.reason is not None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        reasons = [why for watcher in self.watchers if (why := watcher.why())]
        if trainer.state.fn == "fit" and trainer.should_stop and reasons and trainer.global_step < trainer.max_steps:
            self.reason, self._steps = reasons[0], trainer.max_steps
            self._meter.flush(trainer)
            self._saver.ask()

    def state_dict(self) -> dict[str, Any]:
        return {"reason": self.reason, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.reason, self._steps = state_dict["reason"], state_dict["steps"]


class Best(Checkpoint):
    """Keeps the checkpoint of the validation with the best `figure`, beside the newest ones."""

    def __init__(self, figure: str, saver: StepCheckpoint) -> None:
        self.figure, self._saver = figure, saver
        self._sign = 1 if _lower("checkpoint.best", figure) else -1
        self.step: int | None = None
        self.value = math.inf * self._sign
        self.figures: dict[str, float] = {}  # all that this validation measured

    @property
    def of(self) -> tuple[str, int | None]:
        """The figure, and after how many steps it was best."""
        return self.figure, self.step

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        value = _value(trainer, "checkpoint.best", self.figure)
        if (self.value - value) * self._sign > 0:
            self.step, self.value, self.figures = trainer.global_step, value, dict(pl_module.validation)
            self._saver.kept = self.step
            self._saver.ask()

    @torch.no_grad()
    def restore(self, module: LightningModule, average: WeightAverage | None) -> None:
        """Put the best weights, and their average where there is one, back into the network."""
        assert self.step is not None
        saved = torch.load(self._saver.folder / name(self.step), map_location="cpu", weights_only=True)
        module.load_state_dict(saved["state_dict"])
        if average is not None:
            average.load_state_dict(saved["callbacks"][average.state_key])
            average.start(module)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "value": self.value, "figures": self.figures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.step, self.value, self.figures = state_dict["step"], state_dict["value"], state_dict["figures"]
        self._saver.kept = self.step


def watchers(cfg: DictConfig, seconds: float | None) -> list[NoLongerBetter | TimeBudget]:
    """What may end training before its last step. seconds: see `budget`."""
    stopping, found = cfg.early_stopping, []
    if stopping.figure is not None:
        found.append(NoLongerBetter(stopping.figure, stopping.patience, stopping.min_delta))
    return [*found, *([TimeBudget(seconds)] if seconds is not None else [])]


def budget(trainer: Any) -> float | None:
    """The seconds of trainer.max_time, such as 45m, 8h, 1d12h or 08:30:00. Raises RecipeError for anything else, and
    where max_epochs decides the steps already."""
    time = trainer.max_time
    if time is None:
        return None
    if trainer.max_epochs is not None:
        raise RecipeError("trainer.max_time and trainer.max_epochs both decide the steps; set one of them to null.")
    try:
        unit = isinstance(time, str) and not _number(time)
        seconds = pd.Timedelta(time.replace("d", "D")).total_seconds() if unit else math.nan  # pandas' name for days
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RecipeError(f"trainer.max_time is {time}; give a time with its unit, such as 45m, 8h or 1d12h, or null.")
    return seconds


def check_figures(cfg: DictConfig, objective: Objective, groups: list[str]) -> None:
    """Raises RecipeError when a figure that decides something is one that this run never measures."""
    terms = [f"heldout/{term}" for term in objective.weights]
    known = [*terms, *(f"{term}/{group}" for term in terms for group in groups)]
    reasons = {}
    for prefix, network in objective.ruled().items():
        if isinstance(network, str):
            reasons[prefix] = network
        else:
            known += [f"{prefix}/{figure}" for figure in RULED]
    for key, figure in (("early_stopping.figure", cfg.early_stopping.figure), ("checkpoint.best", cfg.checkpoint.best)):
        if figure is None or figure in known:
            continue
        suite = next((suite for suite in cfg.evaluation.suites if figure.startswith(f"{suite}/")), None)
        if suite is None:
            why = reasons.get(figure.rpartition("/")[0])
            raise RecipeError(
                f"{key} is {figure}, which {f'this run does not have ({why})' if why else 'no validation measures'}; "
                f"choose one of {', '.join(known)}, or a figure of a suite of evaluation.suites."
            )
        if cfg.trainer.validate_every % (cfg.evaluation.every_n_steps or 1):
            raise RecipeError(
                f"{key} is {figure}, and evaluation.every_n_steps={cfg.evaluation.every_n_steps} does not meet every "
                f"validation; let it divide trainer.validate_every={cfg.trainer.validate_every}."
            )
    if cfg.checkpoint.best is not None and cfg.hardware.strategy == "fsdp":
        raise RecipeError("checkpoint.best reads whole checkpoints, and those of fsdp are in parts; set it to null.")


def _value(trainer: Trainer, key: str, figure: str) -> float:
    """A figure's value as last measured. Raises RecipeError when it was not."""
    there = trainer.callback_metrics
    if figure not in there:
        raise RecipeError(f"{key} is {figure}, which was not measured; choose one of {', '.join(sorted(there))}.")
    return float(there[figure])


def _lower(key: str, figure: str) -> bool:
    """Whether less of the figure is better."""
    lower = less_is_better(figure)
    if lower is None:
        raise RecipeError(f"{key} is {figure}, whose name does not tell which way is better; choose another figure.")
    return lower


def _number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()
