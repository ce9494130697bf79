"""A warning of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Warned:
    """level: `warning` (may change the conclusion) or `note`; about: one or two words; text: the whole sentence."""

    level: str
    about: str
    text: str


def some(names: Sequence[str], most: int = 4) -> str:
    """A few names, and how many more there are."""
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
