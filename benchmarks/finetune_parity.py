"""The same head, data and settings through plain transformers: does fine-tuning give the same number?

    python benchmarks/finetune_parity.py run=outputs/<day>/<time> --train train.tsv --dev dev.tsv --test test.tsv

Both train AutoModel's body and one linear layer on the mean of its token vectors, for the same epochs with AdamW and a
linear schedule, keep the epoch with the best dev accuracy, and report test accuracy over seeds. Theirs is
transformers.Trainer with its own collator, shuffling, schedule and choice of the best epoch. The two means must lie
within each other's spread over seeds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from maskwright.evaluation.finetune import Finetune
from maskwright.evaluation.loading import load
from maskwright.evaluation.source import Splits
from maskwright.evaluation.tools import Tools

EPOCHS, LR, ROWS, DROPOUT, DECAY, WARMUP = 3, 5e-4, 32, 0.1, 0.01, 0.1


class MeanClassifier(nn.Module):
    """AutoModel, the mean over its tokens, dropout, one linear layer."""

    def __init__(self, folder: str, classes: int) -> None:
        super().__init__()
        from transformers import AutoModel

        self.body = AutoModel.from_pretrained(folder)
        self.dropout, self.linear = nn.Dropout(DROPOUT), nn.Linear(self.body.config.hidden_size, classes)

    def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None) -> dict[str, Any]:
        hidden = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask[..., None].to(hidden.dtype)
        logits = self.linear(self.dropout((hidden * weight).sum(1) / weight.sum(1)))
        loss = nn.functional.cross_entropy(logits, labels) if labels is not None else None
        return {"loss": loss, "logits": logits}


def theirs(folder: str, splits: Splits, seed: int, length: int) -> float:
    """Test accuracy through transformers.Trainer."""
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

    tokenizer = AutoTokenizer.from_pretrained(folder)
    classes = sorted({row["label"] for row in splits.rows("train") or ()})

    def encoded(part: str) -> list[dict[str, Any]]:
        rows = splits.rows(part) or []
        ids = tokenizer([row["text"] for row in rows], truncation=True, max_length=length)
        return [{"input_ids": i, "attention_mask": m, "labels": classes.index(row["label"])}
                for i, m, row in zip(ids["input_ids"], ids["attention_mask"], rows, strict=True)]  # fmt: skip

    set_seed(seed)
    with tempfile.TemporaryDirectory() as work:
        arguments = TrainingArguments(
            work, num_train_epochs=EPOCHS, learning_rate=LR, per_device_train_batch_size=ROWS, weight_decay=DECAY,
            warmup_steps=WARMUP, lr_scheduler_type="linear", max_grad_norm=1.0, seed=seed, eval_strategy="epoch",
            save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="accuracy", save_total_limit=1,
            report_to="none", logging_strategy="no", disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Trainer(
            MeanClassifier(folder, len(classes)),
            arguments,
            train_dataset=encoded("train"),
            eval_dataset=encoded("dev"),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda said: {"accuracy": float((said.predictions.argmax(-1) == said.label_ids).mean())},
        )
        trainer.train()
        found = trainer.predict(encoded("test"))
    return float((found.predictions.argmax(-1) == found.label_ids).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run=<folder of a run or an export>")
    for part in ("train", "dev", "test"):
        parser.add_argument(f"--{part}", required=True, help="tab-separated text and label, without a header line")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/finetune_parity.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.run.removeprefix("run=")
    place = folder if (Path(folder) / "config.json").exists() else str(Path(folder) / "export")
    splits = Splits(options.train, options.dev, options.test, columns=["text", "label"])
    seeds = list(range(1, options.seeds + 1))
    subject = load(place)
    suite = Finetune(splits, lr=LR, epochs=EPOCHS, patience=None, rows=ROWS, dropout=DROPOUT, weight_decay=DECAY,
                     warmup=WARMUP, seeds=seeds)  # fmt: skip
    ours = [found["accuracy"] for found in suite.run(subject, Tools()).facts["by_seed"]]
    plain = [theirs(place, splits, seed, subject.length) for seed in seeds]
    table = Table("", "mean", "sd over seeds", "seeds")
    for name, values in (("maskwright", ours), ("transformers", plain)):
        table.add_row(
            name, f"{np.mean(values):.4f}", f"{np.std(values, ddof=1):.4f}", " ".join(f"{v:.4f}" for v in values)
        )
    Console().print(table)
    gap, spread = abs(np.mean(ours) - np.mean(plain)), max(np.std(ours, ddof=1), np.std(plain, ddof=1))
    Console().print(f"the means differ by {gap:.4f}; one spread over seeds is {spread:.4f}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"maskwright": ours, "transformers": plain}, indent=1))


if __name__ == "__main__":
    main()
