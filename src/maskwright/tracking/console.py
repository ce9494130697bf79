"""The screen: the recipe in one line, the summary at the end, what to try next. Readable in 80 columns and in a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maskwright.pasting import command
from maskwright.tracking.change import BEFORE, pairs, verdict

# name in metrics.json -> how a reader calls it, what it counts
_FIGURES = {
    "ruler/accuracy": ("ruler accuracy", "masked tokens of held-out text guessed right"),
    "ruler/loss": ("ruler loss", "nats per masked token"),
    "ruler/bits_per_byte": ("ruler bits/byte", "of the text under the masks"),
    "speed/tokens_per_second": ("speed", "tokens/s, padding not counted"),
    "speed/mfu": ("model-FLOPs use", "of the stated peak"),
    "speed/masking_share": ("masking", "of the training time"),
    "speed/data_wait": ("waiting for data", "of the training time"),
    "flops": ("compute", "model FLOPs"),
    "seconds": ("training time", ""),
}
_SHARES = {"speed/mfu", "speed/masking_share", "speed/data_wait"}


def compact(count: float) -> str:
    """A count in three digits: 950, 4.2M, 850k, 1.5B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            short = count / size
            return f"{short:.1f}{letter}" if short < 99.95 else f"{short:.0f}{letter}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """A time as one says it: 40 s, 4 min, 1 h 20 min, 3 days 2 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def percent(share: float) -> str:
    """A share as 30% or 12.5%."""
    return f"{100 * share:.3g}%"


def recipe_line(
    model: str,
    parameters: int,
    objective: str,
    masking: str,
    data: str,
    tokens: int,
    hardware: str,
    steps: int,
    seconds: float | None = None,
) -> str:
    """The recipe in one sentence.

    >>> recipe_line("bert_tiny", 4_200_000, "mlm", "span 30% -> 15%", "sotu", 2_700_000, "cpu bf16", 1500, 240)
    'bert_tiny 4.2M - mlm - span 30% -> 15% - sotu 2.7M tokens - cpu bf16 - 1,500 steps, about 4 min'
    """
    parts = [f"{model} {compact(parameters)}", objective, masking, f"{data} {compact(tokens)} tokens", hardware]
    about = f", about {duration(seconds)}" if seconds is not None else ""
    return " - ".join([part for part in parts if part] + [f"{steps:,} steps{about}"])


def run_name(model: str, objective: str, masking: str, data: str, seed: int) -> str:
    """The name a run has in W&B: readable, from the recipe."""
    return " ".join(part for part in (model, objective, masking, data, f"seed {seed}") if part)


def summary(
    metrics: Mapping[str, Any], folder: str | Path, where: Sequence[str] = (), console: Console | None = None
) -> None:
    """Print the final figures of metrics.json, and where everything lies."""
    console = console or Console(soft_wrap=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style="bold")
    table.add_column(style="dim")
    shown = dict(_FIGURES)
    for name in metrics:  # other networks' or views' numbers, such as generator/ruler/loss
        other = not name.endswith("/reason") and not name.startswith(BEFORE)
        if name not in shown and other and "ruler/" in name:
            shown[name] = (name, "")
    changed = pairs(metrics)
    given = ""  # the reason that stands in the row above
    for name, (title, meaning) in shown.items():
        if name not in metrics:
            continue
        value = metrics[name]
        if value is None:
            reason = str(metrics.get(f"{name}/reason") or metrics.get(f"{name.rpartition('/')[0]}/reason", ""))
            table.add_row(title, "-", escape(reason) if reason != given else "")
            given = reason
        elif name == "seconds":
            done = f"{metrics.get('steps', 0):,} steps, {compact(metrics.get('tokens', 0))} tokens"
            table.add_row(title, duration(value), done)
        else:
            then = f"{_figure(name, changed[name][0])} -> " if name in changed else ""
            table.add_row(title, then + _figure(name, value), meaning)
    console.print()
    console.print(table)
    for line in verdict(metrics):
        console.print(f"\nnote: {escape(line)}", soft_wrap=True, highlight=False)
    console.print(f"\nrun folder  {escape(str(folder))}", soft_wrap=True, highlight=False)
    for line in where:
        console.print(escape(line), soft_wrap=True, highlight=False)


def ended(step: int, steps: int, reason: str | None, best: tuple[str, int | None] | None) -> list[str]:
    """Lines that say where training ended early, and which checkpoint is exported in place of the last.

    best: the figure that decides, and the step where it was best.
    """
    lines = [f"ended after step {step:,} of {steps:,}: {reason}"] if reason else []
    if best and best[1] is not None and best[1] != step:
        lines.append(f"the weights of step {best[1]:,}, the best by {best[0]}, are measured and exported")
    return lines


def measured(figures: Mapping[str, float]) -> str:
    """The losses of a validation in words, and the ruler's accuracy: `ruler/loss 5.1234, heldout/mlm 5.0312`."""
    shown = [name for name in figures if "ruler/" not in name or name.endswith(("/loss", "/accuracy"))]
    return ", ".join(f"{name} {_figure(name, figures[name])}" for name in sorted(shown, key=lambda n: "ruler" not in n))


def next_commands(
    folder: str | Path, fill_mask: str | None = None, others: Sequence[tuple[str, str]] = (), own: bool = False
) -> list[tuple[str, str]]:
    """What to try next: (what it does, command).

    fill_mask: a sentence with a mask when the export fills masks. own: transformers learns of the network from us.
    """
    commands = []
    if fill_mask is not None:
        first = "import maskwright; " if own else ""
        model, sentence = str(Path(folder) / "export"), fill_mask
        ask = f"from transformers import pipeline; print(pipeline('fill-mask', {model!r})({sentence!r})[0])"
        commands.append(("ask the model", command("-c", first + ask)))
    return commands + list(others)


def of_this_run(
    folder: str | Path, words: Sequence[str], steps: int, measured: str | Path | None = None, lengthened: bool = False
) -> list[tuple[str, str]]:
    """What to do with a run that has ended: (what it does, command).

    words: those that it was begun with. steps: that it has done. measured: what the ruler can look at; None: nothing.
    lengthened: whether the words say less than the run has become.
    """
    commands = []
    if measured is not None:
        commands.append(("its figures at other rates and units", command("evaluate.py", run=measured)))
    alone = not any(word.startswith("sweeps=") for word in words)  # which would begin its whole multirun
    if alone:
        commands.append(("the masks that it was trained on", command("show_masks.py", *words)))
    commands.append(("as many steps again", f"{command('train.py', resume=folder)} trainer.max_steps=+{steps}"))
    if alone and not lengthened:
        commands.append(("the same recipe under other seeds", command("train.py", "-m", *_unseeded(words), "seed=2,3")))
    return commands


def of_this_multirun(folder: Path, restart: str | None, jobs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What to do with a multirun. restart: how, where anything is left to do. jobs: their status with `folder` and, of
    those that finished, ruler/loss."""
    done = [job for job in jobs if job.get("state") == "finished"]
    commands = []
    if restart is not None:
        commands.append(("go on with what has not finished", restart))
    if len(done) > 1:
        commands.append(("compare them", command("compare.py", str(folder))))
    ruled = [job for job in done if job.get("ruler/loss") is not None]
    if ruled:
        best = min(ruled, key=lambda job: job["ruler/loss"])
        commands.append(("figures of the lowest loss at other rates", command("evaluate.py", run=best["folder"])))
    return commands


def _unseeded(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("seed=")]


def show_next(commands: Sequence[tuple[str, str]], console: Console | None = None) -> None:
    """Print commands so that each can be copied whole: never wrapped or cut."""
    console = console or Console()
    if commands:
        console.print("\nnext", style="bold")
    for what, line in commands:
        console.print(f"  [dim]# {escape(what)}[/dim]")
        console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)


def _figure(name: str, value: Any) -> str:
    if name in _SHARES:
        return f"{100 * value:.1f}%"
    if name == "flops":
        return f"{value:.2e}"
    if name == "speed/tokens_per_second":
        return compact(value)
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
