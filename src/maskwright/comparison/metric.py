"""The figure that runs are compared by: which way is better, and which runs' figures mean the same thing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskwright.comparison.differences import flat
from maskwright.comparison.reads import ASKED, READ, UNKNOWN, reads
from maskwright.comparison.runs import Run
from maskwright.errors import RecipeError
from maskwright.tracking.direction import less_is_better

DEFAULT = "ruler/loss"
WORD_LEVEL = "word_bits_per_byte"  # words masked by character offsets: the same text whatever the tokenizer
ANY_TOKENIZER = (WORD_LEVEL, "causal/bits_per_byte", "nats", "per_word", "nats_per_byte")  # ends of such names
HIDES = ("masking", "rate", "corruption", "prediction", "loss_weight", "views")  # a run's own masks, on held-out rows


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
    lower = less_is_better(name)
    if lower is None:
        raise RecipeError(
            f"whether more or less of {name} is better cannot be told from its name; add --better lower or --better "
            "higher."
        )
    return lower


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
    word = next((key for key in _shared(finished) if key.endswith(WORD_LEVEL)), None)
    if word and wanted is None and differing == ["tokenizer"]:
        note = f"The runs differ in tokenizer, so {name} is not the same quantity in all of them; compared by {word}."
        chosen = choose(runs, word, better)
        return Metric(word, chosen.lower, chosen.groups, [note, *chosen.notes])
    if name == "ruler/bits_per_byte" and wanted and differing == ["tokenizer"]:
        note = (
            "The runs differ in tokenizer: ruler/bits_per_byte is per byte of the same documents, but each tokenizer "
            "masks other characters of them, so small differences mean nothing."
        )
        alike = _lettered([reads(run.facts.get("data", {})) if group else None for run, group in zip(runs, groups)])
        if len(differs := alike[1]):
            return Metric(name, direction(name, better), alike[0], [note, _apart(name, differs)])
        return Metric(name, direction(name, better), alike[0], [note])
    return Metric(name, direction(name, better), groups, [_apart(name, differing)])


def _apart(name: str, differing: Sequence[str]) -> str:
    what, cure = " and ".join(differing), _cure(differing)
    return f"Runs that differ in {what} are not compared by {name}: it is another quantity in each group; {cure}."


def _groups(runs: Sequence[Run], name: str) -> tuple[list[str], list[str]]:
    """A letter per run, and in which respects the groups differ."""
    return _lettered([_marks(run, name) if run.figure(name) is not None else None for run in runs])


def _lettered(found: Sequence[Mapping[str, str] | None]) -> tuple[list[str], list[str]]:
    """A letter for each run's marks ("" for none), equal where they are, and the marks that differ."""
    marks = [None if one is None else tuple(sorted(one.items())) for one in found]
    kinds = list(dict.fromkeys(mark for mark in marks if mark is not None))
    letters = {
        kind: f"{chr(ord('A') + index % 26)}{index // 26 or ''}" for index, kind in enumerate(kinds)
    }  # ... Z, A1
    differing = [
        key
        for key in dict.fromkeys(key for kind in kinds for key, _ in kind)
        if len({dict(k).get(key) for k in kinds}) > 1
    ]
    return ["" if mark is None else letters[mark] for mark in marks], differing


def _cure(differing: Sequence[str]) -> str:
    if differing == ["tokenizer"]:
        return "measure them with the evaluation suite that masks words by character offsets"
    if {ASKED, UNKNOWN} & set(differing):
        return (
            "a tokenizer that folds or does not know some of the text is asked for less; give all the same folding "
            "(tokenizer.lowercase), or compare by tasks (--metric evaluation/...)"
        )
    if set(differing) <= set(HIDES):
        return "ruler/loss hides the same tokens for all"
    if not {"corpus", "tokenizer", "held-out rows measured"} & set(differing):
        return "evaluate them with the same settings"
    return "run them on one corpus, or compare by an evaluation on shared data (--metric evaluation/...)"


def _marks(run: Run, name: str) -> dict[str, str]:
    """What must be equal for a figure to mean the same."""
    prints, config = run.facts.get("fingerprints", {}), run.config or {}
    suite = max((path for path in run.evaluations if name.startswith(path + "/")), key=len, default=None)
    if suite is not None:
        return _evaluation_marks(run, suite, name.removeprefix(suite + "/"))
    if not re.search(r"(^|/)(ruler|heldout)/", name):
        return {}
    data = {"corpus": str(prints.get("corpus", "unknown"))}
    if name.endswith(WORD_LEVEL):
        return data | reads(run.facts.get("data", {}))
    own = "ruler/" not in name
    ruler = {"rows": config.get("heldout_rows")} if own else config.get("ruler", {})
    rows = ", ".join(f"{key} {value}" for key, value in ruler.items())
    hides = {group: str(config.get(group)) for group in HIDES} if own else {}
    return data | {"tokenizer": str(prints.get("tokenizer", "unknown")), "held-out rows measured": rows} | hides


def _evaluation_marks(run: Run, suite: str, figure: str) -> dict[str, str]:
    """Of a figure of an evaluation: its settings, precision and, where it read held-out text, that text.

    A suite that ran during training has its settings in the run's recipe.
    """
    kept, facts = run.evaluations[suite], run.evaluations[suite].get("facts", {})
    own: Any = (run.config or {}).get("evaluation") or {}
    settings = kept.get("settings", (own.get("suites") or {}).get(suite.removeprefix("evaluation/"), {}))
    marks = {"evaluation.precision": str(kept.get("precision", "32"))}
    words = facts.get("words")  # of the ruler; a likelihood counts its words under this name
    words = words if isinstance(words, Mapping) else {}
    if words and figure.endswith(ANY_TOKENIZER):
        said = {f"evaluation's {key}": str(value) for key, value in words.items() if key not in READ}
        return marks | said | reads(words)
    marks |= {f"evaluation.{key}": str(value) for key, value in flat(settings).items()}
    if "corpus" not in facts:  # it brings its own data
        return marks
    read = {key: facts.get(key) for key in ("corpus", "rows", "row_length")} | {
        "text": facts.get("text", words.get("text"))
    }
    marks |= {f"evaluation's {key}": str(value) for key, value in read.items()}
    if figure.endswith(ANY_TOKENIZER):
        return marks | reads(facts)
    return marks | {"tokenizer": str(run.facts.get("fingerprints", {}).get("tokenizer", "unknown"))}


def _shared(runs: Sequence[Run]) -> list[str]:
    """Names of figures that every finished run has."""
    return [key for key in (runs[0].figures if runs else {}) if all(run.figure(key) is not None for run in runs)]
