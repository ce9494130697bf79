"""Fine-tune: what a network is worth once it is trained on a task (several seeds, chosen on dev, reported on test)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import bounds_of, over_items
from maskwright.evaluation.learning import Learned, Settings, learn, new_learner, said
from maskwright.evaluation.represent import POOLINGS
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.source import Splits
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.supervised import Labelled, labelled
from maskwright.evaluation.tasks import Task, make
from maskwright.evaluation.tools import Tools, undisturbed


class Finetune(Suite):
    """Train a copy of the network with a new head for every seed and every learning rate.

    The learning rate and the epoch are chosen by `metric` on dev alone: the rate with the best mean over seeds. Only
    then is the test set looked at, once, with the weights kept from it. Intervals are Student's t over seeds.
    """

    name = "finetune"

    def __init__(
        self,
        data: Splits,
        task: str = "classification",
        text: str | Sequence[str] | None = None,
        label: str | None = None,
        metric: str | None = None,
        seeds: Sequence[int] = (1, 2, 3),
        lr: float | Sequence[float] = (1e-4, 5e-4),
        frozen: bool = False,
        pooling: str = "mean",
        dropout: float = 0.1,
        epochs: int = 5,
        patience: int | None = 2,
        rows: int = 32,
        length: int | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        clip: float = 1.0,
        dev_share: float = 0.1,
        most: int | None = None,
    ) -> None:
        make(task, text, label, metric)
        self.lrs = [lr] if isinstance(lr, int | float) else list(lr)
        self.seeds = list(seeds)
        if pooling not in POOLINGS:
            raise RecipeError(f"evaluation.pooling is {pooling!r}; choose one of {', '.join(POOLINGS)}.")
        for key, values in (("lr", self.lrs), ("seeds", self.seeds)):
            if not values or (key == "lr" and not all(value > 0 for value in values)):
                raise RecipeError(f"evaluation.{key} is {values}; give at least one, and rates above 0.")
        for key, number in (("epochs", epochs), ("rows", rows), ("patience", patience), ("most", most)):
            if number is not None and number < 1:
                raise RecipeError(f"evaluation.{key} is {number}; give a whole number from 1 up.")
        for key, share in (("dropout", dropout), ("warmup", warmup), ("dev_share", dev_share)):
            if not 0 <= share < 1:
                raise RecipeError(f"evaluation.{key} is {share}; it lies in 0..1, 1 excluded.")
        self.data, self.task = data, (task, text, label, metric)
        self.settings = Settings(frozen, pooling, dropout, epochs, patience, rows, weight_decay, warmup, clip)
        self.length, self.dev_share, self.most = length, dev_share, most

    def check(self, subject: Subject) -> None:
        self.data.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        task = make(*self.task)
        data = labelled(task, self.data, subject, self.length, self.dev_share, self.most)
        best = self._search(subject, task, data, tools)
        reported = [self._reported(subject, task, data, learned, tools) for learned in best[1]]
        return self._result(task, data, best, reported)

    def _search(
        self, subject: Subject, task: Task, data: Labelled, tools: Tools
    ) -> tuple[float, list[Learned], list[list[Any]]]:
        """The learning rate with the best mean on dev, its learners, and a table of all that were tried."""
        best: tuple[float, list[Learned]] | None = None
        tried: list[list[Any]] = []
        total = len(self.lrs) * len(self.seeds) * self.settings.epochs
        with tools.progress(f"finetune {task.name}", total) as advance:
            for lr in self.lrs:
                runs = [
                    learn(subject.network, task, data.examples["train"], data.examples["dev"], lr, seed, self.settings,
                          subject.pad, tools, advance)
                    for seed in self.seeds
                ]  # fmt: skip
                tried += [
                    [lr, seed, run.dev[task.metric], run.epoch, run.epochs] for seed, run in zip(self.seeds, runs)
                ]
                if best is None or _mean(runs, task) > _mean(best[1], task):
                    best = (lr, runs)  # the weights of the others are let go
        assert best is not None
        return (*best, tried)

    def _reported(
        self, subject: Subject, task: Task, data: Labelled, learned: Learned, tools: Tools
    ) -> dict[str, float]:
        if data.reported == "dev":
            return learned.dev
        with undisturbed(0):
            learner = new_learner(subject.network, task, self.settings, tools)
        learner.load_state_dict(learned.state)
        examples = data.examples["test"]
        return task.measure(said(learner, task, examples, self.settings.rows, subject.pad, tools), examples)

    def _result(
        self, task: Task, data: Labelled, best: tuple[float, list[Learned], list[list[Any]]],
        reported: list[dict[str, float]],
    ) -> Result:  # fmt: skip
        lr, runs, tried = best
        baseline = task.baseline(data.rows["train"], data.examples[data.reported])
        figures: dict[str, Any] = {}
        rows = []
        for name in (task.metric, *(name for name in reported[0] if name != task.metric)):
            values = [found[name] for found in reported]
            interval = over_items(values, bounds_of(name, values))
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            figures |= interval.figures(f"{data.reported}/{name}") | {f"{data.reported}/{name}/sd": spread}
            rows.append([name, interval.value, spread, interval.low, interval.high, baseline.get(name)])
        if data.reported != "dev":
            on_dev = [run.dev[task.metric] for run in runs]
            figures |= over_items(on_dev, bounds_of(task.metric, on_dev)).figures(f"dev/{task.metric}")
        figures |= {f"baseline/{name}": value for name, value in baseline.items()}
        figures["lr"] = lr
        notes = ["dev, by which epoch and lr were chosen, is reported: no test set was named"] * (
            data.reported == "dev"
        )
        notes += ["dev is a share of the training rows"] * data.made_dev
        facts = {
            "task": task.name,
            "sizes": {part: len(rows) for part, rows in data.rows.items()},
            "truncated": data.truncated,
            "frozen": self.settings.frozen,
            "notes": notes,
            "seeds": self.seeds,
            "by_seed": reported,
        }
        columns = (data.reported, "mean", "sd", "low", "high", "without reading")
        title = f"{task.name}, {len(runs)} seeds, lr {lr:g}, {'frozen' if self.settings.frozen else 'full'}"
        return Result(
            figures,
            [Table(title, columns, rows),
             Table("chosen on dev", ("lr", "seed", f"dev {task.metric}", "best epoch", "epochs"), tried)],
            facts,
        )  # fmt: skip


def _mean(runs: Sequence[Learned], task: Task) -> float:
    return float(np.mean([run.dev[task.metric] for run in runs]))
