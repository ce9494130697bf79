"""See what a recipe masks: `python show_masks.py masking=span rate.value=0.4`. Nothing is trained."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

os.environ.setdefault("MASKWRIGHT_ROOT", str(Path(__file__).resolve().parent))
OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)


@hydra.main(version_base="1.3", config_path="conf", config_name="show_masks")
def main(cfg: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from maskwright.errors import RecipeError
    from maskwright.seeing.command import show

    job = HydraConfig.get()
    try:
        show(cfg, job.runtime.choices, overrides=list(job.overrides.task))
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def words() -> list[str]:
    """The command line as Hydra takes it: `--json` is a setting, and `-m` means policies side by side."""
    from maskwright.errors import RecipeError
    from maskwright.seeing.recipes import swept

    try:
        return swept(["show.json=true" if word == "--json" else word for word in sys.argv[1:]])
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    sys.argv[1:] = words()
    main()
