"""Pre-train a language model: `python train.py`, or with choices, `python train.py objective=electra masking=span`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from maskwright.config.entry import entry, one_sentence
from maskwright.tracking.fresh import register, with_choices  # imports nothing heavy

ROOT = Path(__file__).resolve().parent
os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
register()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@one_sentence
def main(cfg: DictConfig) -> float | None:
    # Heavy libraries are imported late, so that --help answers at once.
    from hydra.core.hydra_config import HydraConfig

    from maskwright.tracking.jobs import (
        in_multirun,
        multirun_name,
        rerun_command,
        run_on_devices,
        runs_elsewhere,
        task_words,
        tracked_job,
    )

    job, interrupted = HydraConfig.get(), False
    folder = Path(job.runtime.output_dir)
    try:
        with tracked_job(folder) as tracked:
            from maskwright.config.build import build
            from maskwright.config.settings import Recipe, check_settings
            from maskwright.training.going_on import AlreadyDone, going_on
            from maskwright.training.hardware import Hardware
            from maskwright.training.run import Preempted, pretrain

            check_settings(cfg, Recipe)
            try:
                cfg = going_on(cfg, folder, task_words(), in_multirun())
                chosen = build(cfg, "hardware", kind=Hardware).resolve()
                if runs_elsewhere(chosen.devices, chosen.nodes):
                    return run_on_devices(folder, chosen.devices, ROOT / "train.py", cfg.resume).get("ruler/loss")
                return pretrain(cfg, job.runtime.choices, folder, multirun_name(), tracked.reopen).get("ruler/loss")
            except AlreadyDone as done:
                tracked.skip()
                print(f"run folder {folder}: this run has finished; nothing is left to do", flush=True)
                return done.figures.get("ruler/loss")
            except Preempted as stopped:
                interrupted = stopped.interrupted
                tracked.preempted(130 if interrupted else 1)
    except KeyboardInterrupt:
        print(f"stopped; go on with: {rerun_command(folder, task_words())}", file=sys.stderr)
        raise SystemExit(130) from None
    if interrupted:
        raise SystemExit(130)
    return None


if __name__ == "__main__":
    entry(main, ROOT, with_choices(sys.argv[1:]))
