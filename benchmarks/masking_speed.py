"""Speed of the maskers against transformers' collators: tokens/s at [64, 512], in turn in one process.

    python benchmarks/masking_speed.py                 # about a minute on 2 idle cores
    python benchmarks/masking_speed.py --only token span

Every policy is composed from conf/ as on the command line and makes a whole view of the same 64 rows of the bundled
text: which positions, what they become, the targets. transformers' collators get the same rows as lists of tensors, as
a loader hands them over. Speeds are by the clock, the median turn and the best one. Ratios are of processor time summed
over threads, which does not depend on what else the machine does; on idle cores, where the policies use all of them and
the collators one, the ratios by the clock are higher.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from contestants.timing import ROOT, fresh, versions
from maskwright.data.order import permutation

ROWS, LENGTH, RATE = 64, 512, 0.15
# One row a policy: the overrides that make it. {weights} is a JSON file with a weight for each token.
POLICIES = {
    "token": ("masking=random",),
    "word": ("masking=whole_word", "masking/budget=exact"),
    "weighted": ("masking=random", "masking/weight=table", "masking.weight.file={weights}"),
    "span": ("masking=span",),
    "T5 segments": ("masking=t5",),
    "token, expected": ("masking=random", "masking/budget=expected"),
    "word, whole": ("masking=whole_word", "masking/budget=whole"),
}
RANDOM, WHOLE_WORD = "transformers random", "transformers whole word"
TARGETS = {"token": 10e6, "word": 10e6, "weighted": 10e6, "span": 3e6}  # tokens/s on 2 cores


def policy(overrides: tuple[str, ...]) -> tuple[Callable[[], Any], dict[str, torch.Tensor], Any]:
    """A function that masks the rows once, the rows, and the tokenizer."""
    from hydra import compose, initialize_config_dir
    from omegaconf import open_dict

    from maskwright.training.recipe import assemble

    os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = [f"packing.length={LENGTH}", "rate=constant", f"rate.value={RATE}", "corruption=bert"]
        cfg = compose("train", [*settings, *overrides], return_hydra_config=True)
    choices = dict(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    views = recipe.bind(prepared, 0)
    full = prepared.train.tokens // LENGTH  # rows without padding come first
    rows = prepared.train.take(permutation(full, 0, 0)[:ROWS])
    rows["visit"] = torch.zeros_like(rows["sample"])
    return lambda: views(rows, 0.0), rows, prepared.tokenizer


def collators(rows: dict[str, torch.Tensor], tokenizer: Any) -> dict[str, Callable[[], Any]]:
    """transformers' maskers, with what each needs beside the ids made beforehand."""
    from transformers import DataCollatorForLanguageModeling

    common = {"tokenizer": tokenizer, "mlm_probability": RATE}
    random = DataCollatorForLanguageModeling(**common)
    whole_word = DataCollatorForLanguageModeling(
        whole_word_mask=True, mask_replace_prob=1, random_replace_prob=0, **common
    )
    special = torch.isin(rows["ids"], torch.tensor(tokenizer.all_special_ids))
    lists = [
        {"input_ids": ids, "special_tokens_mask": mark} for ids, mark in zip(rows["ids"], special.long(), strict=True)
    ]
    pairs = word_offsets(rows["word"], special)
    words = [{"input_ids": ids, "offset_mapping": spans} for ids, spans in zip(rows["ids"], pairs, strict=True)]
    return {
        RANDOM: lambda: random([dict(row) for row in lists]),
        WHOLE_WORD: lambda: whole_word([dict(row) for row in words]),
    }


def word_offsets(word_BL: torch.Tensor, special_BL: torch.Tensor) -> Iterator[list[tuple[int, int]]]:
    """Character offsets in which the pieces of a word touch and words are a space apart, for whole_word_mask."""
    for starts, specials in zip(word_BL.tolist(), special_BL.tolist(), strict=True):
        at, pairs = 0, []
        for start, special in zip(starts, specials, strict=True):
            at += bool(start)
            pairs.append((0, 0) if special else (at, at + 3))
            at += 0 if special else 3
        yield pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=POLICIES, default=list(POLICIES), help="policies to time")
    parser.add_argument("--rounds", type=int, default=30, help="turns that each contestant takes")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/masking_speed.json")
    options = parser.parse_args()
    report(fresh(race, options.only, options.rounds, options.threads, threads=options.threads), options)


def race(policies: list[str], rounds: int, threads: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of one masking in each turn, by the clock and of the processor, by contestant; without the first two."""
    runs: dict[str, Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.json"
        _, rows, tokenizer = policy(("masking=whole_word",))
        weights.write_text(json.dumps({token: 0.1 + i % 7 for token, i in tokenizer.get_vocab().items()}))
        for name in policies:
            runs[name], *_ = policy(tuple(word.format(weights=weights) for word in POLICIES[name]))
    runs |= collators(rows, tokenizer)
    torch.set_num_threads(threads)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        first = turn % len(runs)  # whoever follows the slowest finds cold caches: let it be another each time
        for name, run in (list(runs.items()) * 2)[first : first + len(runs)]:
            times = 1 if name == WHOLE_WORD else 3
            began = time.perf_counter(), time.process_time()
            for _ in range(times):
                run()
            ended = time.perf_counter(), time.process_time()
            if turn > 1:
                seconds[name].append(((ended[0] - began[0]) / times, (ended[1] - began[1]) / times))
    return seconds


def report(seconds: dict[str, list[tuple[float, float]]], options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from maskwright.training.hardware import device_name

    table = Table(title=f"[{ROWS}, {LENGTH}], {RATE:.0%}, {options.threads} threads")
    for heading in ("masking", "M tokens/s", "best", "target", "x random", "x whole word"):
        table.add_column(heading, justify="left" if heading == "masking" else "right")
    results = {}
    used = {name: statistics.median(processor for _, processor in turns) for name, turns in seconds.items()}
    for name, turns in seconds.items():
        ratios = {other: used[other] / used[name] for other in (RANDOM, WHOLE_WORD)}
        clock = [seconds for seconds, _ in turns]
        median, best = ROWS * LENGTH / statistics.median(clock), ROWS * LENGTH / min(clock)
        results[name] = {"tokens_per_second": median, "best": best, "times": ratios}
        target = f"{TARGETS[name] / 1e6:.0f}" if name in TARGETS else ""
        figures = (f"{median / 1e6:.2f}", f"{best / 1e6:.2f}", target, *(f"{ratios[other]:.1f}" for other in ratios))
        table.add_row(name, *figures)
    Console(width=110).print(table)
    machine = {"processor": device_name("cpu"), "load": os.getloadavg(), "versions": versions()}
    setting = {"threads": options.threads, "rounds": options.rounds, "shape": [ROWS, LENGTH], "rate": RATE}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"setting": setting, "machine": machine, "results": results}, indent=2) + "\n")
    print(f"written to {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
