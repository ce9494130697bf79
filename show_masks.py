"""See what a recipe masks: `python show_masks.py masking=span rate.value=0.4`. Nothing is trained."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from maskwright.config.entry import entry, one_sentence
from maskwright.tracking.fresh import register

ROOT = Path(__file__).resolve().parent
os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
register()


@hydra.main(version_base="1.3", config_path="conf", config_name="show_masks")
@one_sentence
def main(cfg: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from maskwright.seeing.command import show
    from maskwright.tracking.jobs import task_words

    show(cfg, HydraConfig.get().runtime.choices, overrides=task_words())


@one_sentence
def words() -> list[str]:
    """The command line as Hydra takes it: `--json` is a setting, and `-m` means policies side by side."""
    from maskwright.seeing.recipes import swept

    return swept(["show.json=true" if word == "--json" else word for word in sys.argv[1:]])


if __name__ == "__main__":
    entry(main, ROOT, words())
