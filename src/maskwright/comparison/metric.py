"""The figure that runs are compared by: which way is better, and which runs' figures mean the same thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from maskwright.comparison.runs import Run
from maskwright.errors import RecipeError

DEFAULT = "ruler/loss"
WORD_LEVEL = "word_bits_per_byte"  # words masked by character offsets: the same text whatever the tokenizer
LOWER = {
    "loss", "nats", "perplexity", "ppl", "bits", "byte", "bpb", "mse", "rmse", "mae", "error", "brier", "ece",
    "seconds", "flops", "heldout",
}  # fmt: skip
HIGHER = {
    "accuracy", "acc", "f1", "auc", "auroc", "mcc", "matthews", "correlation", "spearman", "pearson", "ndcg", "mrr",
    "map", "recall", "precision", "match", "em", "score", "mfu", "hits", "r2",
}  # fmt: skip


@dataclass
class Metric:
    """name: the figure compared by; lower: whether less is better; groups: for each run a letter, equal where its
    figure means the same thing ("" for runs without the figure); notes: what a reader must know about the choice."""

    name: str
    lower: bool
    groups: list[str]
    notes: list[str]

    @property
    def better(self) -> str:
        return "lower" if self.lower else "higher"


def direction(name: str, better: str | None = None) -> bool:
    """Whether less is better, from the name's last telling word, or from `better` (lower | higher).

    Raises RecipeError when neither tells.
    """
    if better is not None:
        return better == "lower"
    for word in reversed(re.split(r"[^a-z0-9]+", name.lower())):
        if word in LOWER | HIGHER:
            return word in LOWER
    raise RecipeError(
        f"whether more or less of {name} is better cannot be told from its name; add --better lower or --better higher."
    )


def choose(runs: Sequence[Run], wanted: str | None = None, better: str | None = None) -> Metric:
    """The figure to compare by: `wanted` (None: ruler/loss), or a word-level one where runs have other tokenizers.

    Raises RecipeError when no finished run has the figure.
    """
    name = wanted or DEFAULT
    finished = [run for run in runs if run.finished]
    if not any(run.figure(name) is not None for run in finished):
        known = sorted({key for run in finished for key in run.figures if run.figure(key) is not None})
        if not finished:
            raise RecipeError(f"none of the {len(runs)} runs has finished, so there is nothing to compare yet.")
        group = name.rpartition("/")[0]
        said = next(
            (f" ({run.figures[f'{group}/reason']})" for run in finished if f"{group}/reason" in run.figures), ""
        )
        raise RecipeError(f"no finished run has {name}{said}; choose --metric from {', '.join(known) or 'nothing'}.")
    groups, differing = _groups(runs, name)
    if not differing:
        return Metric(name, direction(name, better), groups, [])
    what = " and ".join(differing)
    word = next((key for key in _shared(finished) if key.endswith(WORD_LEVEL)), None)
    if word and wanted is None and differing == ["tokenizer"]:
        note = f"The runs differ in tokenizer, so {name} is not the same quantity in all of them; compared by {word}."
        return Metric(word, direction(word, better), _groups(runs, word)[0], [note])
    if name == "ruler/bits_per_byte" and wanted and differing == ["tokenizer"]:
        note = (
            "The runs differ in tokenizer: ruler/bits_per_byte is per byte of the same documents, but each tokenizer "
            "masks other characters of them, so small differences mean nothing."
        )
        return Metric(name, direction(name, better), ["A" if group else "" for group in groups], [note])
    cure = (
        "measure them with the evaluation suite that masks words by character offsets"
        if differing == ["tokenizer"]
        else "run them on one corpus, or compare by an evaluation on shared data (--metric evaluation/...)"
    )
    note = f"Runs that differ in {what} are not compared by {name}: it is another quantity in each group; {cure}."
    return Metric(name, direction(name, better), groups, [note])


def _groups(runs: Sequence[Run], name: str) -> tuple[list[str], list[str]]:
    """A letter per run, and in which respects the groups differ."""
    marks = [_marks(run, name) if run.figure(name) is not None else None for run in runs]
    kinds = list(dict.fromkeys(tuple(mark.items()) for mark in marks if mark is not None))
    letters = {kind: chr(ord("A") + min(index, 25)) for index, kind in enumerate(kinds)}
    differing = [
        key
        for key in dict.fromkeys(key for kind in kinds for key, _ in kind)
        if len({dict(k).get(key) for k in kinds}) > 1
    ]
    return ["" if mark is None else letters[tuple(mark.items())] for mark in marks], differing


def _marks(run: Run, name: str) -> dict[str, str]:
    """What must be equal for a figure to mean the same: none for evaluations, which bring data of their own."""
    prints, config = run.facts.get("fingerprints", {}), run.config or {}
    if not re.search(r"(^|/)(ruler|heldout)/", name):
        return {}
    data = {"corpus": str(prints.get("corpus", "unknown"))}
    if name.endswith(WORD_LEVEL):
        return data
    ruler = config.get("ruler", {}) if "ruler/" in name else {"rows": config.get("heldout_rows")}
    rows = ", ".join(f"{key} {value}" for key, value in ruler.items())
    return data | {"tokenizer": str(prints.get("tokenizer", "unknown")), "held-out rows measured": rows}


def _shared(runs: Sequence[Run]) -> list[str]:
    """Names of figures that every finished run has."""
    return [key for key in (runs[0].figures if runs else {}) if all(run.figure(key) is not None for run in runs)]
