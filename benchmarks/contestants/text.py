"""The rows and the tokenizer that all contestants share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast


def padded_tokenizer(tokenizer: Any, size: int, folder: Path) -> Path:
    """Saves `tokenizer` with unused entries up to `size`, as BERT's own vocabulary has."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    words = state["model"]["vocab"]
    words.update({f"[unused{n}]": n for n in range(len(words), size)})
    names = {
        name: getattr(tokenizer, name) for name in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    }
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), **names).save_pretrained(folder)
    return folder


def full_rows(rows: Any) -> np.ndarray:
    """The rows without padding [N, L], as int64 ids."""
    columns = rows.take(np.arange(len(rows)))
    return columns["ids"][(columns["document"] > 0).all(dim=1)].numpy()
