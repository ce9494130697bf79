"""What continued training changed: the figures before the first step beside those after the last, and a plain word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BEFORE = "before/"  # in metrics.json, in front of the name of a figure measured before the first step


def pairs(metrics: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """By name the figures that were measured before the first step and after the last."""
    both = {name: (metrics.get(BEFORE + name), value) for name, value in metrics.items()}
    return {name: (then, now) for name, (then, now) in both.items() if then is not None and now is not None}


def verdict(metrics: Mapping[str, Any]) -> list[str]:
    """A sentence for every loss that rose: the ruler's, or where a run has no ruler that of its objective."""
    changed = pairs(metrics)
    ruled = [name for name in changed if name.endswith("ruler/loss")]
    own = [name for name in changed if name.startswith("heldout/") and not name.startswith("heldout/accuracy/")]
    return [
        f"{name} rose from {then:.4f} to {now:.4f}: on this text the network is worse than the checkpoint that it "
        "started from; lower optimizer.lr, train on more text, or keep the checkpoint."
        for name, (then, now) in ((name, changed[name]) for name in ruled or own)
        if now > then
    ]
