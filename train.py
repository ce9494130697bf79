"""Pre-train a language model: `python train.py`, or with choices, `python train.py objective=electra masking=span`."""

from __future__ import annotations

import os
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from maskwright.config.entry import entry, one_sentence

ROOT = Path(__file__).resolve().parent
os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@one_sentence()
def main(cfg: DictConfig) -> float | None:
    # Heavy libraries are imported late, so that --help answers at once.
    from hydra.core.hydra_config import HydraConfig

    from maskwright.tracking.jobs import multirun_name, run_on_devices, runs_elsewhere, task_words, tracked_job

    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    with tracked_job(folder) as tracked:
        from maskwright.config.build import build
        from maskwright.config.settings import Recipe, check_settings
        from maskwright.training.folder import resumed
        from maskwright.training.hardware import Hardware
        from maskwright.training.run import Preempted, pretrain

        check_settings(cfg, Recipe)
        if cfg.resume:
            cfg = resumed(cfg.resume, cfg, task_words())
        chosen = build(cfg, "hardware", kind=Hardware).resolve()
        if runs_elsewhere(chosen.devices, chosen.nodes):
            return run_on_devices(folder, chosen.devices, ROOT / "train.py").get("ruler/loss")
        try:
            return pretrain(cfg, job.runtime.choices, folder, multirun_name()).get("ruler/loss")
        except Preempted:
            tracked.preempted()
    return None


if __name__ == "__main__":
    entry(main, ROOT)
