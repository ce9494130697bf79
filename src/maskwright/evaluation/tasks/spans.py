"""Span question answering: where in a text does the answer stand? (SQuAD's layout, arXiv 1606.05250)

Shapes: B windows, L positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.text import squad

from maskwright.errors import RecipeError
from maskwright.evaluation.source import Row, text_of
from maskwright.evaluation.tasks.base import Encode, Example, Task
from maskwright.evaluation.tasks.heads import TokensHead

_LONGEST = 30  # tokens of an answer
_SHARED = 0.25  # of a window that the next one repeats


class Spans(Task):
    """F1 over words and exact match, SQuAD's way. text: question and context. label: answers, {"text": [...],
    "answer_start": [...]} or a list of {"text", "answer_start"}, the first of which is learned.

    Long contexts are read in overlapping windows; a window without the answer is told to point at the first token.
    """

    name = "spans"
    metrics = ("f1", "exact_match")
    text_columns, label_column = ("question", "context"), "answers"
    texts = (2,)
    probes = False

    def learn(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._answers(row)

    def examples(self, rows: Sequence[Row], encode: Encode) -> list[Example]:
        texts = [(text_of(row, self.text[0], "evaluation.text"), text_of(row, self.text[1], "evaluation.text"))
                 for row in rows]  # fmt: skip
        found = []
        for number, windows in enumerate(encode.windows(texts, int(_SHARED * encode.length))):
            answers = self._answers(rows[number])
            first, last = answers[0][1], answers[0][1] + len(answers[0][0])
            for window in windows:
                offsets = np.array(window.offsets, dtype=np.int64).reshape(-1, 2)
                context_L = np.array([kind == 1 for kind in window.sequence_ids])
                place_L = np.flatnonzero(context_L & (offsets[:, 0] < last) & (offsets[:, 1] > first))
                whole = len(place_L) and offsets[place_L[0], 0] <= first and offsets[place_L[-1], 1] >= last
                target = (int(place_L[0]), int(place_L[-1])) if whole else (0, 0)
                facts = {"question": number, "offsets": offsets, "context_L": context_L,
                         "context": texts[number][1], "answers": [text for text, _ in answers]}  # fmt: skip
                found.append(encode.example(window, target, facts))
        return found

    def _answers(self, row: Row) -> list[tuple[str, int]]:
        value = row[self.label]
        try:
            if isinstance(value, dict):
                found = list(zip(value["text"], value["answer_start"], strict=True))
            else:
                found = [(answer["text"], answer["answer_start"]) for answer in value]
            found = [(str(text), int(start)) for text, start in found]
        except (TypeError, KeyError, ValueError) as error:
            raise RecipeError(
                f"evaluation.label: {self.label} must hold texts and answer_starts, as SQuAD's do, not {value!r}."
            ) from error
        if not found:
            raise RecipeError(f"evaluation.label: a question has no answer ({row[self.text[0]]!r}); leave it out.")
        return found

    def head(self, width: int, pooling: str, dropout: float) -> nn.Module:
        return TokensHead(width, 2, dropout)

    def targets(self, examples: Sequence[Example], length: int) -> dict[str, Tensor]:
        allowed_BL = torch.zeros((len(examples), length), dtype=torch.bool)
        for row, example in enumerate(examples):
            allowed_BL[row, : len(example.ids_L)] = torch.from_numpy(example.facts["context_L"])
        allowed_BL[:, 0] = True  # stands for "not in this window"
        target_B2 = torch.tensor([example.target for example in examples], dtype=torch.int64)
        return {"allowed_BL": allowed_BL, "target_B2": target_B2}

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        logits_BL2 = outputs.float().masked_fill(~targets["allowed_BL"][..., None], -1e9)
        return functional.cross_entropy(logits_BL2, targets["target_B2"])

    def say(self, outputs: Tensor, targets: dict[str, Tensor]) -> list[tuple[float, int, int]]:
        """(score above that of "not here", first, last) of each window's best span."""
        found = []
        for logits_L2, allowed_L in zip(outputs.float().cpu(), targets["allowed_BL"].cpu(), strict=True):
            allowed_L = allowed_L.clone()
            nothing = float(logits_L2[0].sum())
            allowed_L[0] = False
            start_L, end_L = (logits_L2[:, side].masked_fill(~allowed_L, -torch.inf) for side in (0, 1))
            size_LL = torch.arange(len(end_L))[None, :] - torch.arange(len(start_L))[:, None]  # tokens less one
            score_LL = (start_L[:, None] + end_L[None, :]).masked_fill(
                (size_LL < 0) | (size_LL >= _LONGEST), -torch.inf
            )
            best = int(score_LL.argmax())
            first, last = divmod(best, len(start_L))
            found.append((float(score_LL[first, last]) - nothing, first, last))
        return found

    def measure(self, said: Sequence[Any], examples: Sequence[Example]) -> dict[str, float]:
        best: dict[int, tuple[float, str]] = {}
        answers: dict[int, list[str]] = {}
        for (score, first, last), example in zip(said, examples, strict=True):
            number, offsets = example.facts["question"], example.facts["offsets"]
            text = example.facts["context"][offsets[first, 0] : offsets[last, 1]] if score > -torch.inf else ""
            if number not in best or score > best[number][0]:
                best[number] = (score, text)
            answers[number] = example.facts["answers"]
        guesses: Any = [{"prediction_text": text, "id": str(number)} for number, (_, text) in best.items()]
        truths: Any = [{"answers": {"text": texts, "answer_start": [0] * len(texts)}, "id": str(number)}
                  for number, texts in answers.items()]  # fmt: skip
        found = squad(guesses, truths)
        return {name: float(found[name]) / 100 for name in self.metrics}
