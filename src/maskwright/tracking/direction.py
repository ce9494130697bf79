"""Whether less of a figure is better, told from its name."""

from __future__ import annotations

import re

LOWER = {
    "loss", "nats", "perplexity", "ppl", "bits", "byte", "bpb", "mse", "rmse", "mae", "error", "brier", "ece",
    "seconds", "flops", "heldout",
}  # fmt: skip
HIGHER = {
    "accuracy", "acc", "f1", "auc", "auroc", "mcc", "matthews", "correlation", "spearman", "pearson", "ndcg", "mrr",
    "map", "recall", "precision", "match", "em", "score", "mfu", "hits", "r2",
}  # fmt: skip


def less_is_better(name: str) -> bool | None:
    """By the last telling word of the name; None where it has none."""
    for word in reversed(re.split(r"[^a-z0-9]+", name.lower())):
        if word in LOWER | HIGHER:
            return word in LOWER
    return None
