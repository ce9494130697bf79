"""What show_masks.py does: look at the recipe, then print it, or write it as JSON or as a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from maskwright.config.settings import ShowMasks, check_settings
from maskwright.errors import RecipeError
from maskwright.seeing import page, screen
from maskwright.seeing.look import look
from maskwright.seeing.recipes import Composed, policies
from maskwright.seeing.seen import document, seen


def show(
    cfg: DictConfig, choices: Mapping[str, str], console: Console | None = None, overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Show what the recipe masks in the first training rows; returns what `show.json=true` prints.

    overrides: of the command line, on top of which `show.policies` are composed. Raises RecipeError for what the user
    can mend.
    """
    console = console or Console(highlight=False)
    written = checked(cfg)
    composed = policies(written, overrides) if written else [Composed("", cfg, choices)]
    looks = look(composed, cfg.show.statistics_rows, cfg.show.progress)
    found = seen(looks, cfg.show.rows)
    told = document(found)
    if cfg.show.json:
        print(json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        screen.print_all(found, console)
    if cfg.show.html is not None:
        place = page.write(found, Path(cfg.show.html).expanduser(), overrides)
        print(f"page: {place} ({place.stat().st_size / 1e6:.1f} MB)", file=sys.stderr if cfg.show.json else sys.stdout)
    return told


def checked(cfg: DictConfig) -> list[str]:
    """The policies. Raises RecipeError for settings of `show` that mean nothing."""
    check_settings(cfg, ShowMasks)
    progress = cfg.show.progress
    if not 0 <= progress <= 1:
        raise RecipeError(f"show.progress is {progress}; it is a share of training between 0 and 1.")
    written = cfg.show.policies
    return [] if written is None else [written] if isinstance(written, str) else list(written)
