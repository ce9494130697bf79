"""Labelled data as a task's examples: train to learn from, dev to choose by, test to report on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskwright.data.order import permutation
from maskwright.errors import RecipeError
from maskwright.evaluation.source import Row, Splits
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.tasks import Encode, Example, Task

_SPLIT_SEED = 0  # of the dev share, the same for every model and seed


@dataclass
class Labelled:
    """rows and examples by part. reported: `test`, or `dev` where there is no test set."""

    rows: dict[str, list[Row]]
    examples: dict[str, list[Example]]
    reported: str
    truncated: int
    made_dev: bool  # whether dev is a share of the training rows


def labelled(
    task: Task, splits: Splits, subject: Subject, length: int | None, dev_share: float, most: int | None
) -> Labelled:
    """Read and encode everything. most: training rows at most, the same ones for every model (None: all)."""
    rows = {}
    for part in ("train", "dev", "test"):
        found = splits.rows(part, *task.columns)
        if found is not None:
            rows[part] = found
    made_dev = "dev" not in rows
    order = permutation(len(rows["train"]), _SPLIT_SEED, 0)
    if made_dev:
        count = round(dev_share * len(order))
        if not 0 < count < len(order):
            raise RecipeError(
                f"evaluation.dev_share is {dev_share}, which keeps {count} of {len(order)} training rows; "
                "name a dev set or choose another share."
            )
        rows["dev"] = _taken(rows["train"], order[:count])
        order = order[count:]
    rows["train"] = _taken(rows["train"], order[:most])
    task.learn(rows["train"])
    limit = min(subject.length, length or subject.length)
    encode = Encode(subject.tokenizer, limit, subject.pad, "segments" in subject.network.can)
    examples = {part: task.examples(found, encode) for part, found in rows.items()}
    return Labelled(rows, examples, "test" if "test" in rows else "dev", encode.truncated, made_dev)


def _taken(rows: Sequence[Row], places: np.ndarray) -> list[Row]:
    """Some rows, in their own order."""
    return [rows[number] for number in sorted(places.tolist())]
