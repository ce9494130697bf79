"""The first measurement, before the first step: what a checkpoint can do on this text as it comes."""

from __future__ import annotations

from typing import Any

import lightning as L

from maskwright.data.module import DataModule
from maskwright.evaluation.tools import undisturbed
from maskwright.objectives import Objective
from maskwright.tracking.run import Record
from maskwright.training.callbacks import Validated
from maskwright.training.hardware import Chosen
from maskwright.training.module import Pretraining

AUTO = "auto"


def wanted(setting: bool | str, objective: Objective) -> bool:
    """Whether trainer.validate_first asks for it."""
    if setting == AUTO:
        return any(network.from_checkpoint for network in objective.exports().values())
    return bool(setting)


def measure(module: Pretraining, data: DataModule, chosen: Chosen, log: Record, tokenizer: Any) -> None:
    """Validate, log the figures at step 0, and let the module keep them for the end.

    A trainer of its own does it, so that nothing that watches training (clock, checkpoints, weight average) sees it;
    the random state is put back.
    """
    trainer = L.Trainer(
        callbacks=[Validated(log, tokenizer)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=log.folder,
        **chosen.trainer_arguments(),
    )
    with undisturbed():
        trainer.validate(module, datamodule=data, verbose=False)
    module.before = dict(module.validation)
