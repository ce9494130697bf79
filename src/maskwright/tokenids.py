"""What the ids of a tokenizer are: how many rows a table of them needs, which of them have a token, which is unknown.

Ids may have holes and lie above the number of tokens (pieces taken out, added tokens behind a padded table), so
`len(tokenizer)` says nothing about the highest one. Shapes: V rows of a table.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def table_rows(tokenizer: Any) -> int:
    """Rows of a table that has one for every id: the highest id + 1."""
    return 1 + max(tokenizer.get_vocab().values())


def is_token_V(tokenizer: Any, rows: int | None = None) -> np.ndarray:
    """Bool [V]: the ids that stand for a token, in a table of `rows` rows (None: `table_rows`)."""
    ids = np.fromiter(tokenizer.get_vocab().values(), np.int64)
    there_V = np.zeros(table_rows(tokenizer) if rows is None else rows, dtype=bool)
    there_V[ids[ids < len(there_V)]] = True
    return there_V


def unknown_id(tokenizer: Any) -> int | None:
    """The id that stands for text without a token: the declared one, else the one that the model itself writes."""
    if tokenizer.unk_token_id is not None:
        return int(tokenizer.unk_token_id)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    token = model.get("unk_token")
    return model.get("unk_id") if token is None else tokenizer.backend_tokenizer.token_to_id(token)
