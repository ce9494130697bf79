"""Speed of the maskers against transformers' collators: tokens/s at [64, 512], alternating in one process.

    python benchmarks/masking_speed.py                 # about a minute

Every contestant makes a whole view: which positions, what they become, the targets. Rows are uniformly drawn WordPiece
ids in words of some pieces; transformers' collators get the same rows as lists of tensors, as a loader hands them over.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from maskwright.masking import Masking, ViewRecipe, Views, Vocabulary
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.corruptions import Replace
from maskwright.masking.field import Field
from maskwright.masking.rates import Constant
from maskwright.masking.lengths import Geometric
from maskwright.masking.units import Segments, Span, Token, Word
from maskwright.masking.weights import Weight

ROWS, LENGTH, RATE = 64, 512, 0.15
TARGETS = {"token": 10e6, "word": 10e6, "weighted": 10e6, "span": 3e6}


class ByColumn(Weight):
    """Weights that lie in a column, as an annotation would bring them."""

    def __call__(self, field: Field) -> torch.Tensor:
        return field.columns["weight"]

    def describe(self) -> str:
        return "weighted"


def tokenizer():
    """A BERT tokenizer whose second half of the vocabulary continues words."""
    from transformers import BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"w{i}" for i in range(15_000)] + [f"##w{i}" for i in range(15_000)]
    return BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})


def batch(vocabulary: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    word = torch.rand(ROWS, LENGTH, generator=generator) < 0.7
    ids = torch.randint(5, 15_000, (ROWS, LENGTH), generator=generator) + 15_000 * ~word
    ids[:, 0], ids[:, -1], word[:, 1] = 2, 3, True
    weight = torch.rand(ROWS, LENGTH, generator=generator, dtype=torch.float64) + 0.1
    sample = torch.arange(ROWS)
    return {"ids": ids, "word": word | (ids < 5), "document": torch.ones_like(ids), "weight": weight,
            "sample": sample, "visit": torch.zeros_like(sample)}  # fmt: skip


def contestants() -> dict[str, Callable[[], object]]:
    from transformers import DataCollatorForLanguageModeling

    tok = tokenizer()
    rows = batch(len(tok))
    longest = {"word": LENGTH}
    exact = Counted("token", "nearest", "cut", 0, None)
    whole = Counted("token", "random", "random", 0, None)
    greedy = Counted("token", "nearest", "skip", 0, None)

    def views(unit, budget, weight=None, longest=longest):  # type: ignore[no-untyped-def]
        recipe = ViewRecipe("main", Masking(unit, budget, weight), Constant(RATE), Replace(0.8, 0.1, 0.1, "token"))
        made = Views([recipe], Vocabulary.of(tok), 0, LENGTH, longest)
        return lambda: made(rows, 0.0)

    lists = [{"input_ids": row, "special_tokens_mask": (row < 5).long()} for row in rows["ids"]]
    common = {"tokenizer": tok, "mlm_probability": RATE}
    random = DataCollatorForLanguageModeling(**common)
    whole_word = DataCollatorForLanguageModeling(whole_word_mask=True, **common)
    offsets = word_offsets(rows["word"])
    word_lists = [{"input_ids": row, "offset_mapping": pairs} for row, pairs in zip(rows["ids"], offsets)]
    return {
        "token": views(Token(), exact),
        "word": views(Word(), exact),
        "weighted": views(Token(), exact, ByColumn()),
        "span": views(Span(Geometric(0.2, 10)), exact),
        "T5 segments": views(Segments(3.0), exact),
        "token, expected": views(Token(), Independent(0)),
        "word, whole": views(Word(), whole, longest={"word": 10}),
        "word, skip": views(Word(), greedy),
        "transformers random": lambda: random([dict(row) for row in lists]),
        "transformers whole word": lambda: whole_word([dict(row) for row in word_lists]),
    }


def word_offsets(word_BL: torch.Tensor) -> list[list[tuple[int, int]]]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="turns that each contestant takes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/masking_speed.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = contestants()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.rounds + 2):
        for name, run in runs.items():
            slow = name.startswith("transformers whole")
            if slow and turn % 5:
                continue
            began = time.perf_counter()
            for _ in range(1 if slow else 3):
                run()
            if turn > 1 or slow:
                seconds[name].append((time.perf_counter() - began) / (1 if slow else 3))
    speed = {name: ROWS * LENGTH / statistics.median(times) for name, times in seconds.items()}
    best = {name: ROWS * LENGTH / min(times) for name, times in seconds.items()}
    table = Table("masking", "M tokens/s", "best", "x random", "x whole word", "target")
    for name in runs:
        ratios = [f"{speed[name] / speed[other]:.1f}" for other in ("transformers random", "transformers whole word")]
        target = f"{TARGETS[name] / 1e6:.0f}" if name in TARGETS else ""
        table.add_row(name, f"{speed[name] / 1e6:.2f}", f"{best[name] / 1e6:.2f}", *ratios, target)
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"median": speed, "best": best, "threads": options.threads}, indent=1))


if __name__ == "__main__":
    main()
