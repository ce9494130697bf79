"""Small heads that objectives put on an encoder and drop at the export.

Shapes: B rows, L positions, D hidden width, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def output_layer(width: int, classes: int) -> nn.Linear:
    """The last layer of a head, which optimizers treat as such and not as a hidden matrix."""
    layer = nn.Linear(width, classes)
    layer.is_output = True  # type: ignore[assignment]
    return layer


class RowHead(nn.Module):
    """Class logits [B, C] from the first position's hidden vector: dense, tanh, linear, as BERT's pooler and head."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.dense, self.out = nn.Linear(width, width), output_layer(width, classes)

    def forward(self, hidden_BLD: Tensor) -> Tensor:
        return self.out(torch.tanh(self.dense(hidden_BLD[:, 0])))


class TokenHead(nn.Module):
    """Logits [..., C] from hidden vectors [..., D]: dense, gelu, linear."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.dense, self.out = nn.Linear(width, width), output_layer(width, classes)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.out(functional.gelu(self.dense(hidden)))


def row_class(column_BL: Tensor) -> Tensor:
    """The class of each row, int64 [B], from a column that is the same at all tokens of a document and 0 at others."""
    return column_BL.amax(1)


def class_loss(logits_BC: Tensor, class_B: Tensor) -> Tensor:
    """Cross-entropy in nats, float32 [B], for classes counted from 1; finite where the class is 0."""
    return functional.cross_entropy(logits_BC.float(), (class_B - 1).clamp(min=0), reduction="none")
