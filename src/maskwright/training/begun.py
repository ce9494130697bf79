"""A run up to its first step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from maskwright.data.module import DataModule
from maskwright.data.prepare import Prepared
from maskwright.training.folder import RunFolder
from maskwright.training.hardware import Chosen
from maskwright.training.recipe import Recipe


@dataclass(frozen=True)
class Begun:
    """What training and its end need. began: the time of the clock when the command began, in seconds. checkpoint: that
    training goes on from (None: from its beginning). validate_first: measure before the first step."""

    cfg: DictConfig
    recipe: Recipe
    prepared: Prepared
    data: DataModule
    chosen: Chosen
    folder: RunFolder
    console: Console
    began: float
    checkpoint: Path | None
    validate_first: bool
