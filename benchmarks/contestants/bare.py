"""The least PyTorch that trains the same model: what a harness adds is measured against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoTokenizer, BertForMaskedLM

from contestants.trainer import bert_config


class BareLoop:
    """No loader, no logging, no schedule; batches and masks are made beforehand.

    The vocabulary projection runs on the masked positions only. `step()` is one optimizer step.
    """

    def __init__(
        self, model: Any, rows: np.ndarray, batch: int, mask_token: int, bf16: bool, optimizer: Any, batches: int = 32
    ) -> None:
        self.model, self.optimizer, self.bf16 = model.train(), optimizer, bf16
        self.seconds: list[float] = []  # of each step, for whoever times it
        noise = np.random.default_rng(0)
        masked = round(0.15 * (rows.shape[1] - 2))
        self.batches, self.done = [], 0
        for _ in range(batches):
            clean_BL = torch.from_numpy(rows[noise.choice(len(rows), batch, replace=False)].astype(np.int64))
            inner = noise.random((batch, rows.shape[1] - 2)).argsort(axis=1)[:, :masked] + 1
            place_BK = torch.from_numpy(np.sort(inner, axis=1))
            ids_BL = clean_BL.scatter(1, place_BK, mask_token)
            self.batches.append((ids_BL, place_BK, clean_BL.gather(1, place_BK)))

    def step(self) -> None:
        ids_BL, place_BK, target_BK = self.batches[self.done % len(self.batches)]
        self.done += 1
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            hidden_BLD = self.model.bert(ids_BL).last_hidden_state
            hidden_BKD = hidden_BLD.gather(1, place_BK[..., None].expand(-1, -1, hidden_BLD.shape[-1]))
            logits_BKV = self.model.cls(hidden_BKD)
            loss = F.cross_entropy(logits_BKV.float().flatten(0, 1), target_BK.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        loss.item()


@dataclass
class BareJob:
    """A bare loop: the ceiling of what a harness can reach with this model."""

    tokenizer: Path
    rows: np.ndarray
    hidden: int
    layers: int
    heads: int
    batch: int
    bf16: bool

    def loop(self) -> BareLoop:
        torch.manual_seed(1)
        tokenizer = AutoTokenizer.from_pretrained(self.tokenizer)
        model = BertForMaskedLM(bert_config(tokenizer, self.hidden, self.layers, self.heads, self.rows.shape[1]))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        return BareLoop(model, self.rows, self.batch, tokenizer.mask_token_id, self.bf16, optimizer)
