"""What three minutes of training buy: maskwright's quick start against transformers' Trainer, on one ruler.

    python benchmarks/time_to_quality.py                # about 16 minutes on 2 cores
    python benchmarks/time_to_quality.py --clock processor     # on a machine that does other things too

Both see the same training documents and tokenizer, as many tokens in a batch, at the same precision, and are scored on
the same held-out rows of 128 tokens under the same fixed masks (15 % of tokens, all [MASK]).
    maskwright   `python train.py` as it is: its model, optimizer, schedule and masking rate
    Trainer      a BERT (arXiv 1810.04805) of the same width, depth and heads; rows of 128 tokens, since its learned
                 positions must cover the ruler's; 15 % masked 80/10/10 by its collator; AdamW, 5 % warm-up, linear
                 decay, no dropout (a short run sees its text about once). Once for each learning rate; the best one
                 counts, chosen on the ruler itself, which favours it

The clock runs from the start of the first training step to the end of the last, on both sides: reading rows, masks,
optimizer, logging and checkpoints are inside; imports, tokenisation, building the model, scoring and exporting outside;
nobody validates before the end. A short trial run first measures the speed, so that each schedule ends with the time; a
run slower than its trial is cut at the time. With --clock processor the seconds are those that the threads computed,
divided by their number. Needs `pip install -e '.[benchmarks]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from contestants.maskwright_run import MaskwrightJob, run_maskwright
from contestants.score import LENGTH, bundled_text, score
from contestants.text import full_rows
from contestants.timing import ROOT, Timing, fresh, note, steps_within, versions
from contestants.trainer import TrainerJob, run_trainer

TRIAL = 15.0  # seconds of the run that measures the speed
WARM_UP = 0.05  # share of the baseline's steps


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0, help="training time of each run")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[5e-4, 1e-3, 3e-3], help="the baseline's")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="what the seconds are of")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads of every run")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/time_to_quality.json")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        ours = quick_start(chosen, Path(scratch))
        rows = [ours, *baselines(chosen, Path(scratch), ours["tokens"] // ours["steps"])]
    report(rows, chosen)


def result(name: str, timing: Timing, score: dict[str, float]) -> dict[str, Any]:
    taken = timing.ends[-1] - timing.ends[0]
    steps = timing.steps
    note(f"{name}: {steps:,} steps in {taken:.0f} s, ruler loss {score['loss']:.3f}")
    return {
        "name": name,
        "parameters": timing.parameters,
        "seconds": taken,
        "steps": steps,
        "tokens": steps * timing.tokens_per_step,
        **score,
    }


def quick_start(chosen: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    job = MaskwrightJob(
        (f"seed={chosen.seed}", f"hardware.threads={chosen.threads}"),
        TRIAL,
        scratch / "trial",
        processor=chosen.clock == "processor",
    )
    trial = fresh(run_maskwright, job, threads=chosen.threads)
    steps = steps_within(chosen.seconds, trial)
    job = replace(
        job,
        overrides=(*job.overrides, f"trainer.max_steps={steps}", f"trainer.validate_every={steps}"),
        seconds=chosen.seconds,
        folder=scratch / "maskwright",
    )
    timing = fresh(run_maskwright, job, threads=chosen.threads)
    return result("maskwright", timing, fresh(score, job.folder / "export", threads=chosen.threads))


def baselines(chosen: argparse.Namespace, scratch: Path, tokens_per_step: int) -> list[dict[str, Any]]:
    """One run per learning rate, shaped like the quick start's model."""
    from maskwright.training.hardware import has_bf16

    run = scratch / "maskwright"
    shape = json.loads((run / "export/config.json").read_text())
    job = TrainerJob(
        tokenizer=run / "export",
        rows=full_rows(bundled_text(LENGTH).train),
        hidden=shape["hidden_size"],
        layers=shape["num_hidden_layers"],
        heads=shape["num_attention_heads"],
        batch=tokens_per_step // LENGTH,
        bf16=has_bf16("cpu"),
        seconds=TRIAL,
        warm_up=WARM_UP,
        dropout=0.0,
        seed=chosen.seed,
        processor=chosen.clock == "processor",
    )
    steps = steps_within(chosen.seconds, fresh(run_trainer, job, threads=chosen.threads))
    results = []
    for rate in chosen.learning_rates:
        folder = scratch / f"trainer-{rate:g}"
        timing = fresh(
            run_trainer,
            replace(job, steps=steps, seconds=chosen.seconds, learning_rate=rate, save=folder),
            threads=chosen.threads,
        )
        on_ruler = fresh(score, folder, threads=chosen.threads)
        results.append(result(f"Trainer, learning rate {rate:g}", timing, on_ruler))
    return results


def report(rows: list[dict[str, Any]], chosen: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{chosen.seconds:.0f} s ({chosen.clock}) of training each, {chosen.threads} threads")
    for heading in ("", "parameters", "seconds", "steps", "tokens", "ruler loss", "accuracy"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['parameters']:,}",
            f"{row['seconds']:.0f}",
            f"{row['steps']:,}",
            f"{row['tokens']:,}",
            f"{row['loss']:.3f}",
            f"{row['accuracy']:.3f}",
        )
    Console(width=110).print(table)
    ours, *others = rows
    best = min(others, key=lambda row: row["loss"])
    lead = best["loss"] - ours["loss"]
    print(f"maskwright's ruler loss is {lead:.2f} nats lower than that of the best of {len(others)}: {best['name']}.")
    if len(others) > 2 and best in (others[0], others[-1]):
        print("The best learning rate stands at the edge of those tried; try more with --learning-rates.")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    setting = {
        "seconds": chosen.seconds,
        "clock": chosen.clock,
        "threads": chosen.threads,
        "seed": chosen.seed,
        "versions": versions(),
    }
    chosen.json.write_text(json.dumps({"setting": setting, "runs": rows, "nats_lower": lead}, indent=2) + "\n")
    print(f"written to {chosen.json}")


if __name__ == "__main__":
    main()
