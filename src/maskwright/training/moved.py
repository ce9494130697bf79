"""Files that a recipe names: they may lie elsewhere when a run goes on, as long as what is in them is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from maskwright.errors import Refused

# Their content is a part of the data's fingerprints, or lies in the run's folder (the tokenizer).
_DATA = ("data.files", "data.path", "tokenizer.path")
# Keys of conf/ that name a file or a folder, wherever they stand.
_NAMES = {"abbreviations", "dictionary", "easy", "file", "gender", "keep", "stop", "table", "terms", "vectors"}
_OTHERS = ("data", "tokenizer", "model", "logger", "evaluation", "hardware")


def movable(key: str, value: Any) -> bool:
    """Whether `key`, whose value was `value`, names files that may lie elsewhere."""
    if key in _DATA:
        return True
    return isinstance(value, str) and key.rpartition(".")[2] in _NAMES and key.partition(".")[0] not in _OTHERS


def keep_moved(saved: DictConfig, cfg: DictConfig) -> bool:
    """Put into `saved` where files lie by `cfg`; whether any has moved."""
    places = {key: OmegaConf.select(cfg, key) for key in _DATA}
    places |= {key: value for key, value in leaves(OmegaConf.to_container(cfg, resolve=True)) if movable(key, value)}
    moved = {key: place for key, place in places.items() if OmegaConf.select(saved, key) not in (place, None)}
    for key, place in moved.items():
        OmegaConf.update(saved, key, place, merge=False)
    return bool(moved)


def named_files(cfg: DictConfig) -> dict[str, str]:
    """By key, the sha256 of each file or folder that the recipe names beside the corpus."""
    values = leaves(OmegaConf.to_container(cfg, resolve=True))
    named = {key: Path(value).expanduser() for key, value in values if movable(key, value) and key not in _DATA}
    return {key: _sha256(place) for key, place in named.items() if place.exists()}


def refuse_other_files(recorded: Mapping[str, str], cfg: DictConfig) -> None:
    """Raises Refused where a file is gone, or holds something else than when the run began."""
    now = named_files(cfg)
    for key, content in recorded.items():
        if now.get(key) != content:
            what = "has other content than" if key in now else "is no longer where it was"
            raise Refused(
                f"The run cannot go on: {key} ({OmegaConf.select(cfg, key)}) {what} when it began; put the old file "
                f"back, or say with {key}=<path> where it lies now."
            )


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dicts and lists by their keys, as OmegaConf selects them: `corruption.stages[1].table`."""
    if isinstance(node, dict) and (node or not key):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list) and node:
        for number, value in enumerate(node):
            yield from leaves(value, f"{key}[{number}]")
    else:
        yield key, node


def _sha256(place: Path) -> str:
    found = hashlib.sha256()
    for path in [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(place)).encode())
        with path.open("rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                found.update(part)
    return found.hexdigest()
