"""The step checkpoints of a folder: their names, and which of them are whole."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

NAME = re.compile(r"step-(\d+)\.ckpt")


def name(step: int) -> str:
    """File name of the checkpoint taken after `step` optimizer steps."""
    return f"step-{step:08d}.ckpt"


def listed(folder: str | Path) -> list[Path]:
    """The step checkpoints of a folder, the newest first, whole or not. A missing folder has none."""
    matches = [(path, NAME.fullmatch(path.name)) for path in Path(folder).glob("step-*.ckpt")]
    return [path for _, path in sorted(((int(match[1]), path) for path, match in matches if match), reverse=True)]


def whole(path: str | Path) -> bool:
    """Whether every byte of a checkpoint is as it was written, by the checksums in its archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def newest(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of a folder; None where there is none."""
    return next((path for path in listed(folder) if whole(path)), None)
