"""Counter-based randomness: noise is a pure function of its key, never a generator with state.

The same key gives the same number in any batch, on any worker, rank or device, before and after a restart.
Shapes: B rows, L positions.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

_GOLDEN, _MULTIPLY_1, _MULTIPLY_2 = -7046029254386353131, -4658895280553007687, -7723592293110705685  # splitmix64


def _mix(z: Tensor) -> Tensor:
    """splitmix64's finaliser: a bijection of int64 whose output bits look independent."""
    z = (z ^ (z >> 30 & (1 << 34) - 1)) * _MULTIPLY_1
    z = (z ^ (z >> 27 & (1 << 37) - 1)) * _MULTIPLY_2
    return z ^ (z >> 31 & (1 << 33) - 1)


def stream_id(name: str) -> int:
    """The number of a dotted stream name such as `main.span.length`: stable across processes and versions."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def uniform(parts: tuple[int | Tensor, ...], length: int, first: int = 0) -> Tensor:
    """Noise in (0, 1): float64 [B, length], one row for each key.

    `parts` are the key: integers, or int64 tensors [B] that differ by row (seed, stream, visit, sample, lane ...).
    Positions count from `first`, which may be negative (before the row).
    """
    device = next((part.device for part in parts if isinstance(part, Tensor)), None)
    return uniform_at(parts, torch.arange(first, first + length, device=device)[None])


def uniform_at(parts: tuple[int | Tensor, ...], place_BK: Tensor) -> Tensor:
    """The noise of `uniform` at chosen positions only: float64, in the shape of `place_BK` (int64; one row serves
    all)."""
    rows = [part for part in parts if isinstance(part, Tensor)]
    key_B = torch.zeros(rows[0].shape if rows else (1,), dtype=torch.int64, device=place_BK.device)
    for part in parts:
        key_B = _mix(key_B + _stride(part))
    bits_BK = _mix(key_B[:, None] + place_BK * _GOLDEN) >> 11 & (1 << 53) - 1
    return (bits_BK.double() + 0.5) * 2.0**-53


def mixed_seed(*parts: int) -> int:
    """A 63-bit seed for a library's own generator (dropout, initialisation) from the same hash."""
    key = torch.zeros((), dtype=torch.int64)
    for part in parts:
        key = _mix(key + _stride(part))
    return int(key) & (1 << 63) - 1


def _stride(part: int | Tensor) -> int | Tensor:
    """How far one key part moves the counter; + 1 so that a part of zero still moves it (seed 0 is a seed like any
    other)."""
    stride = (part + 1) * _GOLDEN  # int64 tensors wrap by themselves
    return stride if isinstance(part, Tensor) else (stride + (1 << 63)) % (1 << 64) - (1 << 63)
