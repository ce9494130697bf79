"""What annotate.py does: everything up to the annotated rows, without training, and a report of what there is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from maskwright.annotation.artefact import opened
from maskwright.config.settings import Annotate
from maskwright.data.annotate import Annotator
from maskwright.masking.columns import WORD
from maskwright.seeing.annotations import screen
from maskwright.seeing.annotations.artefacts import made
from maskwright.seeing.annotations.columns import found
from maskwright.seeing.look import understood


def annotate(cfg: DictConfig, choices: Mapping[str, str], console: Console | None = None) -> dict[str, Any]:
    """Build and cache texts, tokens, artefacts and columns of a recipe; returns what `annotate.json=true` prints.

    Raises RecipeError for what the user can mend.
    """
    recipe, _ = understood(cfg, choices, Annotate)
    began, clock = time.time(), time.perf_counter()
    with opened() as artefacts:
        prepared = recipe.prepare(cfg)
    seconds = time.perf_counter() - clock
    annotators: dict[str, Annotator | None] = {WORD: None} if recipe.columns else {}
    for column in recipe.columns:
        if isinstance(column, Annotator):
            annotators.setdefault(column.name, column)
    shown = [made(each, prepared.source.cache, began, cfg, cfg.annotate.rows) for each in artefacts]
    special = recipe.vocabulary(prepared).special
    columns = [found(prepared, special, name, each, cfg.annotate.samples) for name, each in annotators.items()]
    told = {
        "recipe": recipe.sentence,
        "cache": str(prepared.source.cache),
        "seconds": round(seconds, 1),
        "data": prepared.report,
        "fingerprints": prepared.fingerprints,
        "artefacts": [each.plain() for each in shown],
        "columns": [each.plain() for each in columns],
    }
    if cfg.annotate.json:
        print(json.dumps(told, ensure_ascii=False, indent=1, default=str))
    else:
        console = console or Console(highlight=False)
        screen.print_all(recipe.sentence, prepared.summary, seconds, shown, columns, console)
    return told
