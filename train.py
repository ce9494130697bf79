"""Pre-train a language model: `python train.py`, or with choices, `python train.py objective=electra masking=span`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

ROOT = Path(__file__).resolve().parent
os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    # Heavy libraries are imported late, so that --help answers at once.
    from hydra.core.hydra_config import HydraConfig

    from maskwright.errors import RecipeError
    from maskwright.training.folder import resumed
    from maskwright.training.run import pretrain

    hydra_cfg = HydraConfig.get()
    try:
        if cfg.resume:
            cfg = resumed(cfg.resume, cfg, hydra_cfg.overrides.task)
        metrics = pretrain(cfg, hydra_cfg.runtime.choices, Path(hydra_cfg.runtime.output_dir))
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return metrics.get("ruler/loss")


if __name__ == "__main__":
    main()
