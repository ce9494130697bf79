"""The artefacts that a recipe's annotators learned or opened, and how to use them elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from maskwright.annotation.artefact import Artefact
from maskwright.errors import RecipeError

_MOST_LISTED = 12  # of a list in an example


@dataclass
class Made:
    """An artefact. origin: `built` now, from the `cache`, or `given`. tables: rows of each. use: the setting that takes
    its folder in another recipe, None where there is none."""

    kind: str
    origin: str
    tables: dict[str, int]
    bytes: int
    seconds: float | None
    folder: Path
    settings: dict[str, Any]
    examples: dict[str, list[dict[str, Any]]]
    use: str | None

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {**vars(self), "folder": str(self.folder)}


def made(artefact: Artefact, cache: Path, began: float, cfg: DictConfig, rows: int) -> Made:
    """What there is to say of an artefact. began: the time before which it was in the cache already. rows: of each
    table, as examples."""
    files = [path for path in artefact.folder.iterdir() if path.is_file()]
    ours = artefact.folder.parent.resolve() == (cache / "artefacts").resolve()
    fresh = max((path.stat().st_mtime for path in files), default=0.0) >= began
    return Made(
        kind=artefact.facts["kind"],
        origin=("built" if fresh else "cache") if ours else "given",
        tables=dict(artefact.facts.get("rows", {})),
        bytes=sum(path.stat().st_size for path in files),
        seconds=artefact.facts.get("seconds"),
        folder=artefact.folder.resolve(),
        settings=dict(artefact.facts.get("settings", {})),
        examples={name: top(artefact.folder / f"{name}.parquet", rows) for name in artefact.tables},
        use=_setting(artefact, cfg),
    )


def top(file: Path, rows: int) -> list[dict[str, Any]]:
    """The first rows of a table, read without the rest."""
    batches = pq.ParquetFile(file).iter_batches(batch_size=max(rows, 1))
    return [_shortened(row) for row in next(batches).to_pylist()[:rows]] if rows else []


def _shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [*value[:_MOST_LISTED], "..."] if isinstance(value, list) and len(value) > _MOST_LISTED else value
        for name, value in row.items()
    }


def _setting(artefact: Artefact, cfg: DictConfig) -> str | None:
    """Which `table` of this recipe takes the artefact's folder: that of the part with its very settings."""
    wanted = _plain(artefact.facts.get("settings", {}))
    for path, node in _tables(OmegaConf.to_container(cfg, resolve=True), ()):
        part = _built(node)
        if part is None or _plain(part.settings()) != wanted:
            continue
        if _built({**node, "table": str(artefact.folder)}) is not None:
            return ".".join(path)
    return None


def _tables(node: Any, path: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Parts of a config that have a `table`, with the path of that setting."""
    if isinstance(node, dict) and "_target_" in node and "table" in node and not isinstance(node["table"], dict):
        yield (*path, "table"), node
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, part in below:
        yield from _tables(part, (*path, str(name)))


def _built(node: Mapping[str, Any]) -> Any:
    """The part, if it can say its settings."""
    try:
        part = instantiate(dict(node), _convert_="all")
        return part if callable(getattr(part, "settings", None)) and part.settings() is not None else None
    except (InstantiationException, RecipeError):
        return None


def _plain(settings: Any) -> Any:
    return json.loads(json.dumps(settings, sort_keys=True))
