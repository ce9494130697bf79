"""Training speed against transformers' Trainer and against a bare PyTorch loop, step by step in turn.

    python benchmarks/train_speed.py                 # the whole table, about 10 minutes on 2 cores
    python benchmarks/train_speed.py --only fp32 bf16 --steps 10
    python benchmarks/train_speed.py --clock processor     # on a machine that does other things too

All train the same BERT (4 layers x 256, vocabulary 30,522) on the same rows of 128 tokens, 15 % masked.
    fp32, bf16   maskwright against Trainer at equal precision, batch and optimizer (AdamW)
    defaults     precision, batch and optimizer as `python train.py` chooses them against those of TrainingArguments
    overhead_*   maskwright against the bare loop at equal precision, batch and optimizer, in one process

Both sides take a step in turn, each in a process of its own (overhead_*: in one), and each step is paired with the
one after it. The ratio is of tokens/s (for overhead_* of step times: 1.05 means that the harness costs 5 %), the
geometric mean over pairs with a 95 % bootstrap interval; beside it that of the median steps. Included on every side:
reading rows, making masks, forward, backward, clipping, the optimizer, logging. Left out: imports, tokenisation,
building the model, the first steps, validation, saving. The bare loop's batches and masks are made beforehand. Trainer
projects every position onto the vocabulary, maskwright and the bare loop the masked ones only, and maskwright's last
layer works at those alone: that is part of the comparison. With --clock processor the seconds are those that the
threads computed, divided by their number. Runs on the CPU.
Needs `pip install -e '.[benchmarks]'`.
"""

from __future__ import annotations

import argparse
import json
import os
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
from maskwright.training.hardware import device_name

COMPARISONS = ("fp32", "bf16", "defaults", "overhead_fp32", "overhead_bf16")
HIDDEN, LAYERS, HEADS, VOCABULARY, LENGTH = 256, 4, 4, 30_522, 128


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=COMPARISONS, help="comparisons to run")
    parser.add_argument("--steps", type=int, default=25, help="steps of each side per comparison, warm-up included")
    parser.add_argument("--batch", type=int, default=16, help="rows in a batch wherever the comparison fixes it")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads of every run")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="what the seconds are of")
    parser.add_argument("--json", type=Path, default=timing.ROOT / "benchmarks/results/train_speed.json")
    return parser.parse_args()


def paired(ours: Any, theirs: Any, steps: int, threads: int) -> dict[str, Any]:
    """tokens/s of every step of both, and the ratio with its interval."""
    taken = timing.in_turns((run_maskwright, ours), (run_trainer, theirs), steps, threads)
    mine, other = (side.tokens_per_step / side.seconds for side in taken)
    ratio, low, high = timing.bootstrap(mine / other)
    return {"ours": mine.tolist(), "theirs": other.tolist(), "ratio": ratio, "low": low, "high": high}


def main() -> None:
    chosen = arguments()
    prepared = bundled_text(LENGTH)
    rows = full_rows(prepared.train)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = padded_tokenizer(prepared.tokenizer, VOCABULARY, Path(folder) / "tokenizer")

        processor = chosen.clock == "processor"

        def trainer(bf16: bool, batch: int | None) -> TrainerJob:
            return TrainerJob(tokenizer, rows, HIDDEN, LAYERS, HEADS, batch, bf16, processor=processor)

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
                processor=processor,
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
                # rows of metrics.csv every 10 steps, as in any run
                ours = replace(ours, overrides=(*ours.overrides, f"trainer.max_steps={2 * chosen.steps}"))
                results[name] = timing.fresh(run_overhead, ours, bare, threads=chosen.threads)
            else:
                results[name] = paired(ours, theirs, chosen.steps, chosen.threads)
            timing.note(
                f"{name}: {results[name]['ratio']:.3f} ({results[name]['low']:.3f}-{results[name]['high']:.3f})"
            )
    report(results, chosen)


def report(results: dict[str, Any], chosen: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"BERT {LAYERS} x {HIDDEN}, vocabulary {VOCABULARY:,}, rows of {LENGTH}, {chosen.threads} threads"
    )
    headings = ("comparison", "maskwright tokens/s", "other tokens/s", "ratio", "95 % interval", "of medians")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "comparison" else "right")
    for name, result in results.items():
        overhead = name.startswith("overhead")
        mine, other = np.median(result["ours"]), np.median(result["theirs"])
        table.add_row(
            f"{name} vs {'bare loop' if overhead else 'Trainer'}",
            f"{mine:,.0f}",
            f"{other:,.0f}",
            f"{result['ratio']:.3f}",
            f"{result['low']:.3f} - {result['high']:.3f}",
            f"{other / mine if overhead else mine / other:.3f}",
        )
    Console(width=110).print(table)
    setting = {"clock": chosen.clock, "threads": chosen.threads, "steps": chosen.steps, "batch": chosen.batch}
    machine = {"processor": device_name("cpu"), "load": os.getloadavg(), "versions": timing.versions()}
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({"setting": setting, "machine": machine, "results": results}, indent=2) + "\n")
    print(f"written to {chosen.json}")


if __name__ == "__main__":
    main()
