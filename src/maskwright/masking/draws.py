"""Named noise for one view of one batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maskwright.masking.noise import stream_id, uniform, uniform_at


@dataclass(frozen=True)
class Draws:
    """Where a masking gets its randomness: noise by name, a pure function of (seed, view and name, visit, sample)."""

    seed: int
    view: str  # name of the view, the first part of every stream name
    visit_B: Tensor  # int64, how often each sample was presented before
    sample_B: Tensor  # int64, stable sample ids

    def __call__(self, name: str, length: int, first: int = 0) -> Tensor:
        """Noise float64 [B, length] in (0, 1) for the stream `<view>.<name>`, positions counted from `first`."""
        return uniform(self._key(name), length, first)

    def at(self, name: str, place_BK: Tensor) -> Tensor:
        """The noise of that stream at the positions `place_BK` (int64) only."""
        return uniform_at(self._key(name), place_BK)

    def _key(self, name: str) -> tuple[int | Tensor, ...]:
        return self.seed, stream_id(f"{self.view}.{name}"), self.visit_B, self.sample_B
