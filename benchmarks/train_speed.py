"""Training speed against transformers' Trainer and against a bare PyTorch loop, in alternating paired runs.

    python benchmarks/train_speed.py                 # the whole table, about 20 minutes on 2 cores
    python benchmarks/train_speed.py --only fp32 bf16 --pairs 3

All train the same BERT (4 layers x 256, vocabulary 30,522) on the same rows of 128 tokens, 15 % masked.
    fp32, bf16   maskwright against Trainer at equal precision, batch and optimizer (AdamW)
    defaults     precision, batch and optimizer as `python train.py` chooses them against those of TrainingArguments
    overhead_*   maskwright against the bare loop at equal precision, batch and optimizer: one step of each in turn,
                 in one process

The ratio is of tokens/s (for overhead_* of step times: 1.05 means that the harness costs 5 %), the geometric mean over
pairs with a 95 % bootstrap interval. Included on every side: reading rows, making masks, forward, backward, clipping,
the optimizer, logging. Left out: imports, tokenisation, building the model, the first steps, validation, saving. The
bare loop's batches and masks are made beforehand. Trainer projects every position onto the vocabulary, maskwright and
the bare loop the masked ones only: that is part of the comparison. Runs on the CPU.
Needs `pip install -e '.[benchmarks]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contestants import timing
from contestants.bare import BareJob
from contestants.maskwright_run import MaskwrightJob, run_maskwright, run_overhead
from contestants.score import bundled_text
from contestants.text import full_rows, padded_tokenizer
from contestants.trainer import TrainerJob, run_trainer

COMPARISONS = ("fp32", "bf16", "defaults", "overhead_fp32", "overhead_bf16")
HIDDEN, LAYERS, HEADS, VOCABULARY, LENGTH = 256, 4, 4, 30_522, 128


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=COMPARISONS, help="comparisons to run")
    parser.add_argument("--pairs", type=int, default=4, help="paired runs per comparison")
    parser.add_argument("--seconds", type=float, default=25.0, help="length of each run, its first steps included")
    parser.add_argument("--batch", type=int, default=16, help="rows in a batch wherever the comparison fixes it")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads of every run")
    parser.add_argument("--json", type=Path, default=timing.ROOT / "benchmarks/results/train_speed.json")
    return parser.parse_args()


def paired(title: str, ours: Any, theirs: Any, pairs: int, threads: int) -> dict[str, Any]:
    """Runs both `pairs` times, taking turns at being first; tokens/s of every run and the ratio with its interval."""
    speed: dict[str, list[float]] = {"ours": [], "theirs": []}
    sides = {"ours": (run_maskwright, ours), "theirs": (run_trainer, theirs)}
    for pair in range(pairs):
        for side in ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours"):
            taken = timing.fresh(*sides[side], threads=threads)
            speed[side].append(taken.tokens_per_second)
            timing.note(f"{title} {pair + 1}/{pairs} {side}: {speed[side][-1]:,.0f} tokens/s")
    ratio, low, high = timing.bootstrap(np.divide(speed["ours"], speed["theirs"]))
    return {"ours": speed["ours"], "theirs": speed["theirs"], "ratio": ratio, "low": low, "high": high}


def main() -> None:
    chosen = arguments()
    prepared = bundled_text(LENGTH)
    rows = full_rows(prepared.train)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = padded_tokenizer(prepared.tokenizer, VOCABULARY, Path(folder) / "tokenizer")

        def trainer(bf16: bool, batch: int | None) -> TrainerJob:
            return TrainerJob(tokenizer, rows, HIDDEN, LAYERS, HEADS, batch, bf16, chosen.seconds)

        def maskwright(*overrides: str) -> MaskwrightJob:
            return MaskwrightJob(
                (
                    "model=bert_tiny",
                    f"model.config.hidden_size={HIDDEN}",
                    f"model.config.num_hidden_layers={LAYERS}",
                    f"model.config.num_attention_heads={HEADS}",
                    f"model.config.intermediate_size={4 * HIDDEN}",
                    "tokenizer=saved",
                    f"tokenizer.path={tokenizer}",
                    f"packing.length={LENGTH}",
                    "model.config.hidden_dropout_prob=0.1",
                    "model.config.attention_probs_dropout_prob=0.1",
                    "rate.value=0.15",
                    "corruption=bert",
                    "trainer.validate_every=1000000",
                    "ruler.rows=8",
                    "heldout_rows=8",
                    f"hardware.threads={chosen.threads}",
                    *overrides,
                ),
                chosen.seconds,
            )

        for name in chosen.only:
            if name == "defaults":
                ours, theirs = maskwright(), trainer(False, None)
            else:
                bf16 = name.endswith("bf16")
                precision = "bf16" if bf16 else "32"
                ours = maskwright("optimizer=adamw", f"batch.rows={chosen.batch}", f"hardware.precision={precision}")
                theirs = trainer(bf16, chosen.batch)
            if name.startswith("overhead"):
                bare = BareJob(tokenizer, rows, HIDDEN, LAYERS, HEADS, chosen.batch, bf16)
                ours = replace(ours, seconds=chosen.seconds * chosen.pairs)
                results[name] = timing.fresh(run_overhead, ours, bare, threads=chosen.threads)
            else:
                results[name] = paired(name, ours, theirs, chosen.pairs, chosen.threads)
    report(results, chosen)


def report(results: dict[str, Any], chosen: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"BERT {LAYERS} x {HIDDEN}, vocabulary {VOCABULARY:,}, rows of {LENGTH}, {chosen.threads} threads"
    )
    for heading in ("comparison", "maskwright tokens/s", "other tokens/s", "ratio", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "comparison" else "right")
    for name, result in results.items():
        table.add_row(
            f"{name} vs {'bare loop' if name.startswith('overhead') else 'Trainer'}",
            f"{np.mean(result['ours']):,.0f}",
            f"{np.mean(result['theirs']):,.0f}",
            f"{result['ratio']:.3f}",
            f"{result['low']:.3f} - {result['high']:.3f}",
        )
    Console(width=110).print(table)
    setting = {"threads": chosen.threads, "pairs": chosen.pairs, "seconds": chosen.seconds, "batch": chosen.batch}
    machine = {"processor": platform.processor() or platform.machine(), "versions": timing.versions()}
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({"setting": setting, "machine": machine, "results": results}, indent=2) + "\n")
    print(f"written to {chosen.json}")


if __name__ == "__main__":
    main()
