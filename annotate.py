"""Build a recipe's annotations without training: `python annotate.py masking=pmi`. Training then finds them ready."""

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


@hydra.main(version_base="1.3", config_path="conf", config_name="annotate")
@one_sentence
def main(cfg: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from maskwright.seeing.annotations.command import annotate

    annotate(cfg, HydraConfig.get().runtime.choices)


if __name__ == "__main__":
    entry(main, ROOT, ["annotate.json=true" if word == "--json" else word for word in sys.argv[1:]])
