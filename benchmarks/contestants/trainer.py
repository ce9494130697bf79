"""transformers' Trainer, as its own `run_mlm.py` example uses it: packed rows, masks drawn by its collator."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contestants.timing import Timing, Turns, clock


def bert_config(tokenizer: Any, hidden: int, layers: int, heads: int, length: int, dropout: float = 0.1) -> Any:
    """BERT's configuration (arXiv 1810.04805) at another size, feed-forward layers four times as wide."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=max(length, 128),
        pad_token_id=tokenizer.pad_token_id,
    )


@dataclass
class TrainerJob:
    """One run: 15 % masking by DataCollatorForLanguageModeling, AdamW, everything else Trainer's default.

    `steps` sets the learning-rate schedule; `seconds` stops the run whatever the schedule says.
    """

    tokenizer: Path
    rows: np.ndarray  # [N, L] token ids without padding
    hidden: int
    layers: int
    heads: int
    batch: int | None  # rows in a step; None: Trainer's default, 8
    bf16: bool
    seconds: float = math.inf
    steps: int = 1_000_000
    learning_rate: float = 5e-5
    warm_up: float = 0.0  # share of the steps
    dropout: float = 0.1
    seed: int = 1
    save: Path | None = None
    processor: bool = False  # seconds are the processor's


def run_trainer(job: TrainerJob, turns: Turns | None = None) -> Timing:
    """Trains a new BERT and saves it, with its tokenizer, where the job says.

    With `turns`, the other side takes a step after each, whose seconds do not count in `ends`.
    """
    from datasets import Dataset
    from transformers import (
        AutoTokenizer,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )

    set_seed(job.seed)
    tokenizer = AutoTokenizer.from_pretrained(job.tokenizer)
    specials = np.isin(job.rows, tokenizer.all_special_ids).astype(np.int64)
    dataset = Dataset.from_dict({"input_ids": job.rows, "special_tokens_mask": specials})
    model = BertForMaskedLM(bert_config(tokenizer, job.hidden, job.layers, job.heads, job.rows.shape[1], job.dropout))

    with tempfile.TemporaryDirectory() as scratch:
        optional = {} if job.batch is None else {"per_device_train_batch_size": job.batch}
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=job.steps,
            learning_rate=job.learning_rate,
            warmup_steps=round(job.warm_up * job.steps),
            use_cpu=True,
            bf16=job.bf16,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            seed=job.seed,
            **optional,
        )
        timing = Timing(arguments.train_batch_size * job.rows.shape[1], parameters=model.num_parameters())

        class Stopwatch(TrainerCallback):
            idle = 0.0

            def on_train_begin(self, args, state, control, **kwargs):
                if turns is not None:
                    turns.begin()
                timing.ends.append(clock(job.processor))

            def on_step_end(self, args, state, control, **kwargs):
                now = clock(job.processor)
                timing.ends.append(now - self.idle)
                control.should_training_stop |= timing.ends[-1] - timing.ends[0] > job.seconds
                if turns is not None:
                    control.should_training_stop |= turns.pass_on()
                    self.idle += clock(job.processor) - now

        Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
            callbacks=[Stopwatch()],
        ).train()
    if job.save is not None:
        model.save_pretrained(job.save)
        tokenizer.save_pretrained(job.save)
    return timing
