"""What one optimizer step works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from maskwright.masking import View
from maskwright.masking.draws import Draws


@dataclass
class Batch:
    """The rows of one optimizer step on this rank, and the views made of them.

    rows: ids, document, bytes, visit, sample and the annotation columns, [B, L] or [B]. progress: samples consumed of
    samples planned before this step, in 0..1; masks depend on it and on nothing else that changes.
    """

    rows: dict[str, Tensor]
    step: int
    progress: float
    purpose: str = "train"  # or "heldout", "ruler"
    views: dict[str, View] = field(default_factory=dict)
    seed: int = 0  # of masks and of everything else that is drawn by sample
    masking_seconds: float = 0.0  # host seconds that the views took

    def __len__(self) -> int:
        return len(self.rows["ids"])

    def copies(self, name: str) -> list[View]:
        """The view of that name and its further copies, where more is predicted than corrupted."""
        return [view for key, view in self.views.items() if key == name or key.startswith(f"{name}+")]

    def draws(self, name: str) -> Draws:
        """Noise by name for draws that a network makes, such as a generator's samples."""
        return Draws(self.seed, name, self.rows["visit"], self.rows["sample"])

    def micro_batches(self, size: int) -> Iterator[Batch]:
        """The batch in pieces of at most `size` rows."""
        for first in range(0, len(self), size):
            part = slice(first, first + size)
            rows = {name: tensor[part] for name, tensor in self.rows.items()}
            yield replace(self, rows=rows, views={name: view.rows(part) for name, view in self.views.items()})

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The rows on `device`; views are made there, after the transfer."""
        return replace(
            self, rows={name: tensor.to(device, non_blocking=non_blocking) for name, tensor in self.rows.items()}
        )

    def pin_memory(self) -> Batch:
        """For the loader's pinned transfer."""
        return replace(self, rows={name: tensor.pin_memory() for name, tensor in self.rows.items()})
