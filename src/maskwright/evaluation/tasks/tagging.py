"""Tagging: one label for each word of a sentence, read at the word's first token.

Shapes: B sentences, K words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from maskwright.errors import RecipeError
from maskwright.evaluation.source import Row
from maskwright.evaluation.tasks.base import Encode, Example, Task
from maskwright.evaluation.tasks.heads import PlacesHead

_IGNORED = -100


class Tagging(Task):
    """Accuracy over words, F1 averaged over tags, and for IOB tags the F1 of whole entities (span_f1).

    text, label: columns with a list per sentence. A word that was cut away or has no token counts as wrong: a short
    reading is not an easier test.
    """

    name = "tagging"
    metrics = ("accuracy", "f1", "span_f1")
    text_columns, label_column = ("form",), "upos"
    texts = (1,)

    def learn(self, rows: Sequence[Row]) -> None:
        self.classes = sorted({str(tag) for row in rows for tag in row[self.label]})
        if len(self.classes) < 2:
            raise RecipeError(f"evaluation.label: the training sentences have the one tag {self.classes}; name tags.")
        self.number = {name: number for number, name in enumerate(self.classes)}
        if self.metric == "span_f1" and not is_iob(self.classes):
            raise RecipeError("evaluation.metric=span_f1 needs tags such as B-PER, I-PER and O; choose accuracy or f1.")

    def examples(self, rows: Sequence[Row], encode: Encode) -> list[Example]:
        texts, words = [], []
        for row in rows:
            forms, tags = row[self.text[0]], row[self.label]
            if isinstance(forms, str) or isinstance(tags, str) or len(forms) != len(tags):
                raise RecipeError(
                    f"evaluation.text and label: {self.text[0]} and {self.label} must hold one list per sentence, of "
                    "the same length; name other columns or mend the data."
                )
            sizes = [len(form) for form in forms]
            first = np.cumsum([0, *(size + 1 for size in sizes[:-1])]) if sizes else np.zeros(0, dtype=np.int64)
            texts.append((" ".join(forms),))
            words.append((first, first + np.array(sizes, dtype=np.int64)))
        found = []
        for encoding, (first_K, last_K), row in zip(encode(texts), words, rows, strict=True):
            place_K = first_tokens(encoding, first_K, last_K)
            # a tag that training never showed is no class of the head: never right, and nothing to learn from
            target_K = np.array([self.number.get(str(tag), -1) for tag in row[self.label]], dtype=np.int64)
            facts = {"tags": [str(tag) for tag in row[self.label]], "place_K": place_K}
            found.append(encode.example(encoding, target_K, facts))
        return found

    def head(self, width: int, pooling: str, dropout: float) -> nn.Module:
        return PlacesHead(width, len(self.classes), dropout)

    def targets(self, examples: Sequence[Example], length: int) -> dict[str, Tensor]:
        most = max(len(example.target) for example in examples)
        place_BK = torch.zeros((len(examples), most), dtype=torch.int64)
        target_BK = torch.full((len(examples), most), _IGNORED, dtype=torch.int64)
        for row, example in enumerate(examples):
            place_K = example.facts["place_K"]
            there = (place_K >= 0) & (example.target >= 0)
            place_BK[row, : len(place_K)] = torch.from_numpy(np.maximum(place_K, 0))
            target_BK[row, : len(place_K)] = torch.from_numpy(np.where(there, example.target, _IGNORED))
        return {"place_BK": place_BK, "target_BK": target_BK}

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        target_N = targets["target_BK"].flatten()
        total = functional.cross_entropy(
            outputs.float().flatten(0, 1), target_N, ignore_index=_IGNORED, reduction="sum"
        )
        return total / (target_N != _IGNORED).sum().clamp(min=1)

    def say(self, outputs: Tensor, targets: dict[str, Tensor]) -> list[list[int]]:
        return outputs.argmax(-1).tolist()

    def measure(self, said: Sequence[Sequence[int]], examples: Sequence[Example]) -> dict[str, float]:
        none = len(self.classes)  # what was not read gets a class of its own, which no word has
        guess, truth, entities = [], [], []
        for line, example in zip(said, examples, strict=True):
            place_K, known = example.facts["place_K"], example.target
            read = [int(tag) if place >= 0 else none for tag, place in zip(line, place_K)]
            guess += read
            truth += [int(tag) if tag >= 0 else none + 1 for tag in known]
            names = [self.classes[tag] if tag < none else "O" for tag in read]
            entities.append((names, example.facts["tags"]))
        guess_N, truth_N = torch.tensor(guess), torch.tensor(truth)
        there = torch.bincount(truth_N, minlength=none + 2)[:none] > 0
        f1_C = multiclass_f1_score(guess_N, truth_N, none + 2, average=None)[:none][there]
        measured = {
            "accuracy": float(multiclass_accuracy(guess_N, truth_N, none + 2, average="micro")),
            "f1": float(f1_C.mean()),
        }
        return measured | ({"span_f1": span_f1(entities)} if is_iob(self.classes) else {})

    def baseline(self, rows: Sequence[Row], examples: Sequence[Example]) -> dict[str, float]:
        most = self.number[Counter(str(tag) for row in rows for tag in row[self.label]).most_common(1)[0][0]]
        return self.measure([[most] * len(example.target) for example in examples], examples)


def first_tokens(encoding: Any, first_K: np.ndarray, last_K: np.ndarray) -> np.ndarray:
    """The place of each word's first token, -1 for a word without one: int64 [K]."""
    special_L = np.array(encoding.special_tokens_mask, dtype=bool)
    place_L = np.flatnonzero(~special_L)
    if not len(place_L) or not len(first_K):
        return np.full(len(first_K), -1, dtype=np.int64)
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)[place_L]
    at_K = np.searchsorted(np.maximum.accumulate(offsets[:, 1]), first_K, side="right")
    inside_K = (at_K < len(place_L)) & (offsets[np.minimum(at_K, len(place_L) - 1), 0] < last_K)
    return np.where(inside_K, place_L[np.minimum(at_K, len(place_L) - 1)], -1)


def is_iob(tags: Sequence[str]) -> bool:
    """Whether tags mark entities: O beside B- or I-."""
    return all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags) and any(tag != "O" for tag in tags)


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """(first, one past the last, kind) of each entity, read as conlleval does: an I- after another kind begins one."""
    found, start, kind = set(), 0, ""
    for place, tag in enumerate([*tags, "O"]):
        inside = tag.startswith("I-") and kind == tag[2:]
        if kind and not inside:
            found.add((start, place, kind))
            kind = ""
        if not inside and tag != "O":
            start, kind = place, tag[2:]
    return found


def span_f1(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    """F1 of entities that agree in both ends and kind, over (guessed tags, true tags) of all sentences."""
    right = guessed = there = 0
    for guess, truth in pairs:
        mine, theirs = entities(guess), entities(truth)
        right, guessed, there = right + len(mine & theirs), guessed + len(mine), there + len(theirs)
    return 2 * right / (guessed + there) if guessed + there else 0.0
