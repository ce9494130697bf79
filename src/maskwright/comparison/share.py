"""The table of arms in W&B, where a key is configured; offline nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskwright.comparison.runs import Run

NOTHING = "W&B: {}, so nothing is sent"
COLUMNS = ("arm", "n", "mean", "sd", "low", "high")


def send(report: Mapping[str, Any], out: Path, project: str, entity: str | None) -> str:
    """Log the tables of arms and comparisons as one W&B run of the type `comparison`; says what was done."""
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return NOTHING.format(f"WANDB_MODE is {os.environ['WANDB_MODE']}")
    try:
        import wandb
    except ImportError:
        return NOTHING.format("not installed")
    if not wandb.login(prompt=False, verify=False):
        return NOTHING.format("no key is configured")
    arms = [[arm[name] for name in COLUMNS] for arm in report["arms"]]
    names = ("a", "b", "n", "difference", "low", "high", "p", "p_holm", "detectable", "sure")
    pairs = [[pair[name] for name in names] for pair in report["pairs"]]
    run = wandb.init(
        project=project,
        entity=entity,
        job_type="comparison",
        name=f"comparison by {report['metric']['name']}",
        dir=str(out),
        config={"metric": report["metric"], "options": report["options"], "columns": report["columns"]},
        settings=wandb.Settings(silent=True, console="off"),
    )
    tables = {"arms": wandb.Table(columns=list(COLUMNS), data=arms)}
    if pairs:
        tables["comparisons"] = wandb.Table(columns=list(names), data=pairs)
    run.log(tables)
    run.finish()
    return f"W&B: {run.url}"


def place(runs: Sequence[Run]) -> tuple[str, str | None]:
    """Project and entity of the first run that was logged to W&B, else the default project."""
    loggers = [(run.config or {}).get("logger") or {} for run in runs]
    logger = next((logger for logger in loggers if logger.get("project")), {})
    return logger.get("project", "maskwright"), logger.get("entity")
