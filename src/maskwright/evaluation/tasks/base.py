"""What a supervised task is: how rows become examples, what head reads the network, what is measured.

Shapes: B examples of a batch, L positions, D hidden width, C outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from maskwright.errors import RecipeError
from maskwright.evaluation.source import Row


@dataclass
class Example:
    """One text, or pair of texts, as ids with what is to be said of it."""

    ids_L: np.ndarray  # int64
    target: Any
    facts: dict[str, Any] = field(default_factory=dict)  # what measuring needs to know
    segment_L: np.ndarray | None = None  # int64, for networks that tell segments apart


@dataclass
class Batch:
    """Examples as tensors; `targets` is what the task made of them."""

    ids_BL: Tensor
    valid_BL: Tensor
    padded: bool
    targets: dict[str, Tensor]
    segment_BL: Tensor | None = None


class Task(ABC):
    """text: one column, or two for pairs. label: a column. metric: what is selected by, and reported first."""

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]  # all that are measured; the first is the default to select by
    text_columns: ClassVar[tuple[str, ...]]  # used when no text is named
    label_column: ClassVar[str]
    texts: ClassVar[tuple[int, ...]] = (1, 2)  # how many texts an example may have
    probes: ClassVar[bool] = True  # whether a linear probe can learn it

    def __init__(self, text: str | Sequence[str] | None, label: str | None, metric: str | None) -> None:
        columns = self.text_columns if text is None else (text,) if isinstance(text, str) else tuple(text)
        if len(columns) not in self.texts:
            raise RecipeError(
                f"evaluation.text has {len(columns)} columns; task={self.name} takes "
                f"{' or '.join(str(number) for number in self.texts)}."
            )
        if metric is not None and metric not in self.metrics:
            raise RecipeError(f"evaluation.metric is {metric!r}; task={self.name} measures {', '.join(self.metrics)}.")
        self.text, self.label = columns, label or self.label_column
        self.metric = metric or self.metrics[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows must have."""
        return (*self.text, self.label)

    @abstractmethod
    def learn(self, rows: Sequence[Row]) -> None:
        """Take from the training rows what the labels are. Raises RecipeError when nothing can be learned from them."""

    @abstractmethod
    def examples(self, rows: Sequence[Row], encode: Encode) -> list[Example]:
        """One or more examples per row."""

    @abstractmethod
    def head(self, width: int, pooling: str, dropout: float) -> nn.Module:
        """hidden_BLD, batch -> outputs."""

    @abstractmethod
    def targets(self, examples: Sequence[Example], length: int) -> dict[str, Tensor]:
        """The targets of a batch padded to `length`."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""

    @abstractmethod
    def say(self, outputs: Tensor, targets: dict[str, Tensor]) -> list[Any]:
        """The prediction for each example of a batch, on the CPU."""

    @abstractmethod
    def measure(self, said: Sequence[Any], examples: Sequence[Example]) -> dict[str, float]:
        """All metrics."""

    def baseline(self, rows: Sequence[Row], examples: Sequence[Example]) -> dict[str, float]:
        """The metrics of the best answer without reading: the majority, or the mean, of the training rows."""
        return {}


class Encode:
    """Texts and pairs to ids, cut to `length` tokens; counts what was cut.

    segments: whether the network tells segments apart. It is then told those that the tokenizer gives in transformers.
    """

    def __init__(self, tokenizer: Any, length: int, pad: int, segments: bool = False) -> None:
        from tokenizers import Tokenizer

        if not getattr(tokenizer, "is_fast", False):
            raise RecipeError("This model's tokenizer has no fast form (tokenizer.json); convert it first.")
        self.tokenizer, self.length, self.pad = tokenizer, length, pad
        self.segments = segments and "token_type_ids" in tokenizer.model_input_names
        self.backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self.backend.no_padding()
        self.backend.no_truncation()
        self.backend.encode_special_tokens = True
        self.truncated = 0

    def __call__(self, texts: Sequence[tuple[str, ...]]) -> list[Any]:
        """Encodings of single texts or pairs; of a pair the longer text is cut first."""
        whole = self.backend.encode_batch([parts[0] if len(parts) == 1 else parts for parts in texts])
        self.truncated += sum(len(encoding) > self.length for encoding in whole)
        if any(len(encoding) > self.length for encoding in whole):
            self.backend.enable_truncation(self.length, strategy="longest_first")
            whole = self.backend.encode_batch([parts[0] if len(parts) == 1 else parts for parts in texts])
            self.backend.no_truncation()
        return whole

    def example(self, encoding: Any, target: Any, facts: dict[str, Any] | None = None) -> Example:
        """An encoding with what is to be said of it."""
        segment_L = np.array(encoding.type_ids, dtype=np.int64) if self.segments else None
        return Example(np.array(encoding.ids, dtype=np.int64), target, facts or {}, segment_L)

    def windows(self, texts: Sequence[tuple[str, str]], stride: int) -> list[list[Any]]:
        """Each pair as windows over its second text that overlap by `stride` tokens."""
        self.backend.enable_truncation(self.length, stride=stride, strategy="only_second")
        try:
            found = self.backend.encode_batch(list(texts))
        except BaseException as error:  # the library panics when the first text alone is too long
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise RecipeError(f"evaluation.length is {self.length}, which a question alone fills; raise it.") from error
        finally:
            self.backend.no_truncation()
        return [[encoding, *encoding.overflowing] for encoding in found]


def collate(task: Task, examples: Sequence[Example], pad: int, device: torch.device) -> Batch:
    """Examples padded to the longest of them."""
    length = max(len(example.ids_L) for example in examples)
    ids_BL = torch.full((len(examples), length), pad, dtype=torch.int64)
    valid_BL = torch.zeros((len(examples), length), dtype=torch.bool)
    for row, example in enumerate(examples):
        ids_BL[row, : len(example.ids_L)] = torch.from_numpy(example.ids_L)
        valid_BL[row, : len(example.ids_L)] = True
    padded = any(len(example.ids_L) < length for example in examples)
    segment_BL = None
    if all(example.segment_L is not None for example in examples):
        segment_BL = torch.zeros_like(ids_BL)
        for row, example in enumerate(examples):
            segment_BL[row, : len(example.ids_L)] = torch.from_numpy(example.segment_L)
        segment_BL = segment_BL.to(device)
    targets = {name: value.to(device) for name, value in task.targets(examples, length).items()}
    return Batch(ids_BL.to(device), valid_BL.to(device), padded, targets, segment_BL)
