"""Evaluate a trained model: `python evaluate.py run=outputs/<day>/<time> evaluation=minimal_pairs ...`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from maskwright.tracking.fresh import register  # imports nothing heavy

os.environ.setdefault("MASKWRIGHT_ROOT", str(Path(__file__).resolve().parent))


def _folder(run: str | None, name: str | None, suite: str, fresh: str) -> str:
    # these import nothing heavy
    from maskwright.evaluation.places import results_folder
    from maskwright.tracking.fresh import fresh_folder

    folder = results_folder(run, name or suite, fresh)
    return fresh_folder(folder) if folder == fresh and fresh.startswith("outputs/") else folder


OmegaConf.register_new_resolver("results_folder", _folder, replace=True)
register()


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> float | None:
    # Heavy libraries are imported late, so that --help answers at once.
    from hydra.core.hydra_config import HydraConfig

    from maskwright.errors import RecipeError

    try:
        from maskwright.evaluation.evaluate import evaluate

        job = HydraConfig.get()
        result = evaluate(cfg, job.runtime.choices, Path(job.runtime.output_dir))
        return next(iter(result.numbers().values()), None)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
