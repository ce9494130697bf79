"""maskwright itself: what `python train.py` does, in this process, with a stopwatch of the benchmark's own."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning as L
import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from contestants.bare import BareJob, BareLoop
from contestants.timing import ROOT, WARM_UP, Timing, Turns, bootstrap, clock
from maskwright.training.run import pretrain


@dataclass
class MaskwrightJob:
    """One run of `python train.py <overrides>`; `seconds` of training stop it whatever its schedule says."""

    overrides: tuple[str, ...]
    seconds: float = math.inf
    folder: Path | None = None  # the run's folder; None: a temporary one
    processor: bool = False  # seconds are the processor's


def run_maskwright(job: MaskwrightJob, turns: Turns | None = None, beside: BareLoop | None = None) -> Timing:
    """Times a run by a callback of its own, not by what the run says of itself.

    With `turns`, the other side takes a step after each; with `beside`, that loop does in this very process, and its
    seconds are kept in `beside.seconds`. Neither counts in `ends`.
    """
    timing, idle = Timing(0), 0.0

    class Stopwatch(L.Callback):
        def on_train_start(self, trainer, module):
            if turns is not None:
                turns.begin()
            timing.ends.append(clock(job.processor))
            timing.parameters = sum(parameter.numel() for parameter in module.parameters())

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            nonlocal idle
            now = clock(job.processor)
            timing.ends.append(now - idle)
            timing.tokens_per_step = int(outputs["tokens"])
            if beside is not None:
                beside.step()
                beside.seconds.append(clock(job.processor) - now)
                idle += beside.seconds[-1]
            if turns is not None:
                trainer.should_stop |= turns.pass_on()
                idle += clock(job.processor) - now
            trainer.should_stop |= timing.ends[-1] + idle - timing.ends[0] > job.seconds

    class WatchedTrainer(L.Trainer):
        def __init__(self, *, callbacks, **settings):
            super().__init__(callbacks=[Stopwatch(), *callbacks], **settings)

    with tempfile.TemporaryDirectory() as scratch:
        cfg, choices = _composed(job.overrides)
        with patch.object(L, "Trainer", WatchedTrainer):
            pretrain(cfg, choices, job.folder or Path(scratch) / "run")
    return timing


def _composed(overrides: tuple[str, ...]) -> tuple[DictConfig, dict[str, str]]:
    """The recipe and the options chosen, as the command line would have them."""
    os.environ["MASKWRIGHT_ROOT"] = str(ROOT)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", ["logger=none", *overrides], return_hydra_config=True)
    choices = dict(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, choices


def run_overhead(job: MaskwrightJob, bare: BareJob) -> dict[str, Any]:
    """One step of maskwright and one of the bare loop in turn: tokens/s of both and the ratio of their step times."""
    loop = bare.loop()
    timing = run_maskwright(job, beside=loop)
    ours, theirs = timing.seconds, np.asarray(loop.seconds[WARM_UP:])
    ratio, low, high = bootstrap(ours / theirs)
    tokens = timing.tokens_per_step
    return {
        "ours": (tokens / ours).tolist(),
        "theirs": (tokens / theirs).tolist(),
        "ratio": ratio,
        "low": low,
        "high": high,
    }
