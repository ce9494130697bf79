"""Where a run can be seen: its folder from the report's place, and its page on W&B."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

from maskwright.comparison.runs import Run


def folder_link(run: Run, out: Path) -> str:
    """The run's folder, relative to the report's, so that both can be moved together."""
    return Path(os.path.relpath(run.folder.resolve(), out.resolve())).as_posix()


def wandb_link(run: Run) -> str | None:
    """The address of an online W&B run, as far as its folder tells; None for offline runs and other loggers."""
    try:
        kept = json.loads((run.folder / "wandb.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if kept.get("url"):
        return str(kept["url"])
    logger = (run.config or {}).get("logger") or {}
    online = any((run.folder / "wandb").glob("run-*"))  # offline runs lie in offline-run-*
    if not (online and kept.get("id") and logger.get("entity") and logger.get("project")):
        return None
    return "https://wandb.ai/" + "/".join(
        quote(str(part)) for part in (logger["entity"], logger["project"], "runs", kept["id"])
    )
