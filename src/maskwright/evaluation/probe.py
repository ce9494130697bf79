"""Probe: what a linear classifier finds in each layer of the untouched network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import correlation, proportion
from maskwright.evaluation.represent import POOLINGS, every_layer, pooled
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.source import Splits
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.supervised import labelled
from maskwright.evaluation.tasks import Example, Task, collate, make
from maskwright.evaluation.tasks.text import class_metrics, number_metrics
from maskwright.evaluation.tools import Tools, reading

_ROWS = 64


class Probe(Suite):
    """Logistic (classes, tags) or ridge (numbers) regression on the standardised hidden states of every layer.

    The strength of regularisation and the layer of the headline are chosen on dev; test is looked at after that. most:
    training items (words, when tagging), the same ones for every layer and model.
    """

    name = "probe"

    def __init__(
        self,
        data: Splits,
        task: str = "tagging",
        text: str | Sequence[str] | None = None,
        label: str | None = None,
        metric: str | None = None,
        pooling: str = "mean",
        strengths: Sequence[float] = (0.01, 1.0),
        length: int | None = None,
        dev_share: float = 0.1,
        most: int | None = 20_000,
    ) -> None:
        if not make(task, text, label, metric).probes:
            raise RecipeError(
                f"evaluation.task is {task!r}, which a linear probe cannot learn; use evaluation=finetune."
            )
        if metric == "span_f1":
            raise RecipeError("evaluation.metric=span_f1 needs whole sentences; probe with accuracy or f1.")
        if pooling not in POOLINGS:
            raise RecipeError(f"evaluation.pooling is {pooling!r}; choose one of {', '.join(POOLINGS)}.")
        if not strengths or not all(value > 0 for value in strengths):
            raise RecipeError(f"evaluation.strengths is {list(strengths)}; give at least one number above 0.")
        if most is not None and most < 1:
            raise RecipeError(f"evaluation.most is {most}; give a number from 1 up, or null for all.")
        self.data, self.task = data, (task, text, label, metric)
        self.pooling, self.strengths, self.length = pooling, list(strengths), length
        self.dev_share, self.most = dev_share, most

    def check(self, subject: Subject) -> None:
        self.data.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        task = make(*self.task)
        words = task.name == "tagging"
        data = labelled(task, self.data, subject, self.length, self.dev_share, None if words else self.most)
        with tools.progress("probe: read", sum(len(part) for part in data.examples.values())) as advance:
            parts = {}
            for part, examples in data.examples.items():
                most = self.most if part == "train" else None
                parts[part] = self._features(subject, task, examples, tools, advance, most)
        layers = len(parts["train"][0])
        rows: list[list[Any]] = []
        models = []
        with tools.progress("probe: fit", layers * len(self.strengths)) as advance:
            for layer in range(layers):
                best: tuple[float, float, Any] | None = None
                for strength in self.strengths:
                    model = _fitted(parts["train"][0][layer], parts["train"][1], strength, task)
                    score = _measured(model, parts["dev"], layer, task)[task.metric]
                    if best is None or score > best[0]:
                        best = (score, strength, model)
                    advance(1)
                assert best is not None
                models.append(best)
        reported = data.reported
        figures: dict[str, Any] = {}
        top = max(range(layers), key=lambda layer: models[layer][0])
        for layer, (score, strength, model) in enumerate(models):
            found = _measured(model, parts[reported], layer, task)
            rows.append([layer, strength, score, *found.values()])
            for name, value in found.items():
                figures[f"by/layer/{layer}/{reported}/{name}"] = value
            if layer == top:
                chosen = found
        headline: dict[str, Any] = {f"{reported}/{task.metric}": chosen[task.metric]}
        count = len(parts[reported][1])
        if task.metric in ("pearson", "spearman"):
            interval = correlation(chosen[task.metric], count, ranks=task.metric == "spearman")
            headline = interval.figures(f"{reported}/{task.metric}")
        if task.metric == "accuracy":
            headline = proportion(chosen["accuracy"] * count, count).figures(f"{reported}/accuracy")
        headline |= {f"{reported}/{name}": value for name, value in chosen.items() if name != task.metric}
        baseline = task.baseline(data.rows["train"], data.examples[reported])
        figures = headline | {"layer": top} | figures
        figures |= {f"baseline/{name}": baseline[name] for name in chosen if name in baseline}
        notes = ["dev, by which layer and strength were chosen, is reported: no test set was named"] * (
            reported == "dev"
        )
        facts = {"task": task.name, "items": {part: len(found[1]) for part, found in parts.items()}, "notes": notes,
                 "truncated": data.truncated, "fit_layers": layers}  # fmt: skip
        columns = ("layer", "strength", f"dev {task.metric}", *(f"{reported} {name}" for name in chosen))
        title = f"linear probe, {task.name}; layer 0 is what enters the first layer"
        return Result(figures, [Table(title, columns, rows)], facts)

    def _features(
        self, subject: Subject, task: Task, examples: Sequence[Example], tools: Tools, advance: Any, most: int | None
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """float32 [N, D] of each layer, and the targets [N]: one item per text, or per word that can be read."""
        if most is not None and task.name == "tagging":
            sizes = np.cumsum([len(example.target) for example in examples])
            examples = examples[: int(np.searchsorted(sizes, most)) + 1]
        order = sorted(range(len(examples)), key=lambda number: len(examples[number].ids_L))
        store: list[list[np.ndarray]] = []
        targets: list[np.ndarray] = []
        with reading(subject.network), tools.autocast():
            for first in range(0, len(order), _ROWS):
                part = [examples[number] for number in order[first : first + _ROWS]]
                batch = collate(task, part, subject.pad, tools.device)
                layers = every_layer(
                    subject.network, batch.ids_BL, batch.valid_BL, padded=batch.padded, segment_BL=batch.segment_BL
                )
                if task.name == "tagging":
                    row = np.concatenate([np.full(len(e.target), n) for n, e in enumerate(part)])
                    place = np.concatenate([e.facts["place_K"] for e in part])
                    target = np.concatenate([e.target for e in part])
                    read = place >= 0
                    vectors = [hidden[row[read], place[read]] for hidden in layers]
                    target = target[read]
                else:
                    vectors = [pooled(hidden, batch.valid_BL, self.pooling) for hidden in layers]
                    target = np.array([example.target for example in part])
                store = store or [[] for _ in vectors]
                for kept, vector in zip(store, vectors, strict=True):
                    kept.append(vector.float().cpu().numpy())
                targets.append(target)
                advance(len(part))
        return [np.concatenate(kept) for kept in store], np.concatenate(targets)


def _fitted(features_ND: np.ndarray, target_N: np.ndarray, strength: float, task: Task) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = target_N >= 0 if task.name == "tagging" else np.ones(len(target_N), dtype=bool)
    regression = (
        Ridge(alpha=strength) if task.name == "regression" else LogisticRegression(C=1 / strength, max_iter=300)
    )
    model = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the dev score judges what was reached
        return model.fit(features_ND[known], target_N[known])


def _measured(model: Any, part: tuple[list[np.ndarray], np.ndarray], layer: int, task: Task) -> dict[str, float]:
    said, truth = model.predict(part[0][layer]), part[1]
    if task.name == "regression":
        return number_metrics(said.tolist(), truth.tolist())
    classes = len(task.classes)  # type: ignore[attr-defined]
    unseen = truth < 0  # a tag that training never showed is never right
    found = class_metrics(said.tolist(), np.where(unseen, classes, truth).tolist(), classes + bool(unseen.any()))
    return {name: found[name] for name in ("accuracy", "f1")} if task.name == "tagging" else found
