"""Tasks on whole texts or pairs of texts: classes and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional import pearson_corrcoef, spearman_corrcoef
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_matthews_corrcoef,
)

from maskwright.errors import RecipeError
from maskwright.evaluation.source import Row, text_of
from maskwright.evaluation.tasks.base import Encode, Example, Task
from maskwright.evaluation.tasks.heads import PooledHead


class TextTask(Task):
    """One target for each text or pair."""

    outputs: int

    def examples(self, rows: Sequence[Row], encode: Encode) -> list[Example]:
        texts = [tuple(text_of(row, column, "evaluation.text") for column in self.text) for row in rows]
        encodings = encode(texts)
        return [
            encode.example(encoding, self.target(row[self.label]))
            for encoding, row in zip(encodings, rows, strict=True)
        ]

    def target(self, label: Any) -> Any:
        raise NotImplementedError

    def head(self, width: int, pooling: str, dropout: float) -> nn.Module:
        return PooledHead(width, self.outputs, pooling, dropout)


class Classification(TextTask):
    """Which class? Accuracy, F1 (of the second class in sorted order when there are two, else the mean over those that
    occur) and Matthews' correlation."""

    name = "classification"
    metrics = ("accuracy", "f1", "mcc")
    text_columns, label_column = ("text",), "label"

    def learn(self, rows: Sequence[Row]) -> None:
        self.classes = sorted({str(row[self.label]) for row in rows})
        if len(self.classes) < 2:
            raise RecipeError(
                f"evaluation.label: the training rows have the one class {self.classes[0]!r}; name the right column."
            )
        self.number = {name: number for number, name in enumerate(self.classes)}
        self.outputs = len(self.classes)

    def target(self, label: Any) -> int:
        if str(label) not in self.number:
            raise RecipeError(
                f"evaluation.label: the class {label!r} does not occur in the training rows, which have "
                f"{', '.join(self.classes[:8])}; mend the data."
            )
        return self.number[str(label)]

    def targets(self, examples: Sequence[Example], length: int) -> dict[str, Tensor]:
        return {"target_B": torch.tensor([example.target for example in examples])}

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        return functional.cross_entropy(outputs.float(), targets["target_B"])

    def say(self, outputs: Tensor, targets: dict[str, Tensor]) -> list[int]:
        return outputs.argmax(-1).tolist()

    def measure(self, said: Sequence[int], examples: Sequence[Example]) -> dict[str, float]:
        return class_metrics(said, [example.target for example in examples], self.outputs)

    def baseline(self, rows: Sequence[Row], examples: Sequence[Example]) -> dict[str, float]:
        most = self.number[Counter(str(row[self.label]) for row in rows).most_common(1)[0][0]]
        return self.measure([most] * len(examples), examples)


class Regression(TextTask):
    """Which number? Pearson's and Spearman's correlation and the mean squared error (in the label's own units)."""

    name = "regression"
    metrics = ("pearson", "spearman", "negative_mse")
    text_columns, label_column = ("sentence1", "sentence2"), "score"
    outputs = 1

    def learn(self, rows: Sequence[Row]) -> None:
        values = [self._number(row[self.label]) for row in rows]
        self.mean, self.spread = float(np.mean(values)), float(np.std(values))
        if self.spread == 0:
            raise RecipeError(f"evaluation.label: every training row has {values[0]}; name the right column.")

    def target(self, label: Any) -> float:
        return self._number(label)

    @staticmethod
    def _number(label: Any) -> float:
        try:
            return float(label)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"evaluation.label: {label!r} is no number; name the right column.") from error

    def targets(self, examples: Sequence[Example], length: int) -> dict[str, Tensor]:
        return {"target_B": torch.tensor([example.target for example in examples], dtype=torch.float32)}

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        return functional.mse_loss(outputs[:, 0].float(), (targets["target_B"] - self.mean) / self.spread)

    def say(self, outputs: Tensor, targets: dict[str, Tensor]) -> list[float]:
        return (outputs[:, 0].double() * self.spread + self.mean).tolist()

    def measure(self, said: Sequence[float], examples: Sequence[Example]) -> dict[str, float]:
        return number_metrics(said, [example.target for example in examples])

    def baseline(self, rows: Sequence[Row], examples: Sequence[Example]) -> dict[str, float]:
        return self.measure([self.mean] * len(examples), examples)


def class_metrics(said: Sequence[int], truth: Sequence[int], classes: int) -> dict[str, float]:
    """Accuracy, F1 (of class 1 of two, else the mean over the classes that occur) and Matthews' correlation (0 where
    one side is constant)."""
    said_N, truth_N = torch.as_tensor(said), torch.as_tensor(truth)
    flat = len(said_N) == 0 or bool((said_N == said_N[0]).all()) or bool((truth_N == truth_N[0]).all())
    f1_C = multiclass_f1_score(said_N, truth_N, classes, average=None)
    there_C = torch.bincount(truth_N, minlength=classes) > 0
    return {
        "accuracy": float(multiclass_accuracy(said_N, truth_N, classes, average="micro")),
        "f1": float(f1_C[1] if classes == 2 else f1_C[there_C].mean()),
        # of a constant, torchmetrics gives numbers up to some hundredths
        "mcc": 0.0 if flat else float(multiclass_matthews_corrcoef(said_N, truth_N, classes)),
    }


def number_metrics(said: Sequence[float], truth: Sequence[float]) -> dict[str, float]:
    """Correlations (0 where one side is constant, which orders nothing) and the negative mean squared error."""
    said_N, truth_N = torch.as_tensor(said, dtype=torch.float64), torch.as_tensor(truth, dtype=torch.float64)
    flat = len(said_N) < 2 or bool(said_N.std() == 0) or bool(truth_N.std() == 0)
    return {
        "pearson": 0.0 if flat else float(pearson_corrcoef(said_N, truth_N)),
        "spearman": 0.0 if flat else float(spearman_corrcoef(said_N, truth_N)),
        "negative_mse": -float(functional.mse_loss(said_N, truth_N)),
    }
