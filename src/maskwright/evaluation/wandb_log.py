"""Figures of an evaluation in the W&B run of the training that they belong to."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from maskwright.evaluation.results import Result, cell
from maskwright.tracking.loggers import Wandb


def log(recipe: Wandb, folder: Path, name: str, result: Result) -> list[str]:
    """Add figures to the summary and tables to the history of the run that wandb.json names.

    The run's own name and config stay as they are. Returns lines for the screen.
    """
    import wandb

    kept = json.loads((folder / "wandb.json").read_text(encoding="utf-8"))
    mode: Any = recipe.mode_in_force(wandb)
    wandb.finish()
    run = wandb.init(
        project=recipe.project, entity=recipe.entity, mode=mode, id=kept["id"], group=kept.get("group"),
        resume="allow", dir=str(folder), settings=wandb.Settings(silent=True, console="off"),
    )  # fmt: skip
    try:
        run.summary.update({f"{name}/{figure}": value for figure, value in result.numbers().items()})
        for number, table in enumerate(result.tables, 1):
            rows = [[cell(value) for value in row] for row in table.rows]
            run.log({f"{name}/table_{number}": wandb.Table(columns=list(table.columns), data=rows)})
    finally:
        run.finish()
    if mode == "offline":
        return [f"W&B offline: wandb sync --append {shlex.quote(str(Path(run.dir).parent))}"]
    return [f"W&B: {run.url}"] if mode == "online" else []
