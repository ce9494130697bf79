"""Folders of the cache that are whole or absent, however many processes want them at once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from maskwright.errors import RecipeError


def folder_of(place: Path, build: Callable[[Path], None]) -> Path:
    """`place`, built by one process at a time into a temporary folder that takes its name when complete."""
    if place.exists():
        return place
    from filelock import FileLock

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not place.exists():
                new = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
                try:
                    build(new)
                    os.replace(new, place)
                finally:
                    shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise RecipeError(
            f"the data cache {place.parent} cannot be written ({error.strerror or error}); "
            "free some space or point MASKWRIGHT_CACHE to another folder."
        ) from error
    return place
