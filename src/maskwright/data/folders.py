"""Folders of the cache that are whole or absent, however many processes want them at once.

A folder lists the sizes of its files, written when it was made. One that has lost a file, or a part of one, is made
again, and a line says so.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from maskwright.data.flat import trim
from maskwright.data.progress import progress, say
from maskwright.errors import RecipeError

_SIZES = "sizes.json"
_NEW = ".new-"  # how folders begin that are not complete


def folder_of(place: Path, build: Callable[[Path], None]) -> Path:
    """`place`, built by one process at a time into a temporary folder that takes its name when complete.

    Where it is whole, nothing is locked or written. Raises RecipeError when the cache cannot be written.
    """
    if is_whole(place):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place.parent)
        with _alone(place):
            lost = damage(place) if place.exists() else None
            if lost:
                say(f"the data cache {place} is damaged ({lost}); it is made again")
            if lost or not place.exists():
                new = Path(tempfile.mkdtemp(prefix=_NEW, dir=place.parent))
                try:
                    build(new)
                    trim()
                    (new / _SIZES).write_text(json.dumps(_sizes(new), indent=1) + "\n", encoding="utf-8")
                    if lost:
                        os.replace(place, new.with_name(f"{new.name}-old"))
                    os.replace(new, place)
                finally:
                    shutil.rmtree(new, ignore_errors=True)
                    shutil.rmtree(new.with_name(f"{new.name}-old"), ignore_errors=True)
    except FileNotFoundError:  # something of the cache went away: whoever asked starts again
        raise
    except OSError as error:
        raise RecipeError(
            f"the data cache {place.parent} cannot be written ({error.strerror or error}); "
            "free some space or point MASKWRIGHT_CACHE to another folder."
        ) from error
    return place


def is_whole(place: Path) -> bool:
    """The folder is there, and its files are as long as they were."""
    return place.exists() and damage(place) is None


def damage(folder: Path) -> str | None:
    """What a folder lost since it was made, in words; None: nothing."""
    try:
        listed = json.loads((folder / _SIZES).read_text(encoding="utf-8"))
        expected = {str(name): int(size) for name, size in listed.items()}
    except FileNotFoundError:
        return f"it has no {_SIZES}"
    except (OSError, ValueError, AttributeError, TypeError):
        return f"its {_SIZES} cannot be read"
    there = _sizes(folder)
    for name, size in expected.items():
        if name not in there:
            return f"{name} is missing"
        if there[name] != size:
            return f"{name} has {there[name]:,} of {size:,} bytes"
    return None


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SIZES)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep other processes from building the same folder; says every half minute that it waits for one."""
    from filelock import FileLock

    lock = FileLock(f"{place}.lock")
    with progress(f"wait for another process that prepares {place}", None):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sweep(parent: Path) -> None:
    """Remove what killed processes left half-made, unless somebody is building in this part of the cache."""
    from filelock import FileLock, Timeout

    left = list(parent.glob(f"{_NEW}*"))
    if not left:
        return
    for path in parent.glob("*.lock"):  # a builder holds its lock as long as its folder is there
        try:
            with FileLock(path, timeout=0):
                pass
        except (Timeout, OSError):
            return
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
