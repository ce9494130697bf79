"""Build a recipe's annotations without training: `python annotate.py masking=pmi`. Training then finds them ready."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

os.environ.setdefault("MASKWRIGHT_ROOT", str(Path(__file__).resolve().parent))
OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)


@hydra.main(version_base="1.3", config_path="conf", config_name="annotate")
def main(cfg: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from maskwright.errors import RecipeError
    from maskwright.seeing.annotations.command import annotate

    try:
        annotate(cfg, HydraConfig.get().runtime.choices)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    sys.argv = ["annotate.json=true" if word == "--json" else word for word in sys.argv]
    main()
