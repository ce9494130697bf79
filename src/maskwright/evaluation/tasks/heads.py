"""The heads that fine-tuning puts on a network. Shapes: B examples, L positions, K places, D width, C outputs."""

from __future__ import annotations

from torch import Tensor, nn

from maskwright.evaluation.represent import pooled
from maskwright.evaluation.tasks.base import Batch
from maskwright.models.places import pick


class PooledHead(nn.Module):
    """Dropout and one linear layer on a pooled vector: [B, C]."""

    def __init__(self, width: int, outputs: int, pooling: str, dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(width, outputs)

    def forward(self, hidden_BLD: Tensor, batch: Batch) -> Tensor:
        return self.linear(self.dropout(pooled(hidden_BLD, batch.valid_BL, self.pooling)))


class PlacesHead(nn.Module):
    """Dropout and one linear layer at the places that the targets name: [B, K, C]."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(width, outputs)

    def forward(self, hidden_BLD: Tensor, batch: Batch) -> Tensor:
        return self.linear(self.dropout(pick(hidden_BLD, batch.targets["place_BK"])))


class TokensHead(nn.Module):
    """Dropout and one linear layer at every position: [B, L, C]."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(width, outputs)

    def forward(self, hidden_BLD: Tensor, batch: Batch) -> Tensor:
        return self.linear(self.dropout(hidden_BLD))
