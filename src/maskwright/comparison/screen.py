"""The comparison on the screen: what came out, the arms, the differences that matter, and the runs left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maskwright.comparison.comparison import Comparison
from maskwright.comparison.differences import label
from maskwright.comparison.statistics import Pair
from maskwright.comparison.words import cost, interval, number, p_value, signed, spread, verdict


def show(result: Comparison, files: Sequence[Path], console: Console | None = None) -> None:
    """Print everything that a decision needs; the files hold the rest."""
    console = console or Console(highlight=False)
    states = [entry.run.state for entry in result.entries]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    by = f"{result.metric.name} ({result.metric.better} is better)"
    console.print(f"\n{len(states)} runs ({counts}), {len(result.arms)} arms, by {by}")
    for one in result.warned:
        style = "bold yellow" if one.level == "warning" else "dim"
        console.print(f"[{style}]{one.about}[/]  {escape(one.text)}")
    console.print(_arms(result))
    for sentence in verdict(result):
        console.print(escape(sentence))
    shown = _telling(result)
    if shown:
        console.print(_pairs(result, shown))
        if len(shown) < len(result.pairs):
            console.print(f"[dim]{len(result.pairs) - len(shown)} more comparisons in pairs.csv[/dim]")
    for factor in result.factors:
        console.print(_factor(result, factor.key, factor.pairs))
    _left_out(result, console)
    console.print()
    for path in files:
        console.print(f"written  {escape(str(path))}", soft_wrap=True)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index else "left", no_wrap=index > 0, min_width=0 if index else 20)
    return table


def _arms(result: Comparison) -> Table:
    confidence = f"{100 * (1 - result.options.alpha):.3g} % interval"
    table = _table("recipe", "seeds", "mean", "sd", confidence, "FLOPs", "time")
    groups = {arm.group for arm in result.measured}
    for arm in result.arms:
        name = f"{arm.arm} [{arm.group}]" if len(groups) > 1 and arm.group and "[data" not in arm.arm else arm.arm
        cells = [number(arm.mean), spread(arm.sd), interval(arm.low, arm.high)]
        costs = [cost(name, arm.costs[name]) for name in ("flops", "seconds")]
        chosen = label({key: value for key, value in arm.settings.items() if key not in result.columns})
        name = f"{name} ({chosen})" if result.tuned else name
        table.add_row(escape(name), f"{arm.n} of {arm.planned}", *cells, *costs, style="bold" if arm.rank == 1 else "")
    return table


def _telling(result: Comparison) -> list[Pair]:
    """Against the baseline, or else against the best of each group."""
    if result.options.baseline:
        return result.pairs
    best = {arm.arm for arm in result.measured if arm.rank == 1}
    return [pair for pair in result.pairs if best & {pair.a, pair.b}]


def _pairs(result: Comparison, pairs: Sequence[Pair]) -> Table:
    table = _table(
        f"against {pairs[0].a}" if len({pair.a for pair in pairs}) == 1 else "comparison",
        "difference",
        "interval",
        "p (Holm)",
        "detectable",
    )
    for pair in pairs:
        name = pair.b if len({pair.a for pair in pairs}) == 1 else f"{pair.b} - {pair.a}"
        if pair.p is None:
            table.add_row(escape(f"{name} ({pair.reason})"), signed(pair.difference), style="dim")
            continue
        sure = "bold green" if pair.sure(result.options.alpha) else ""
        cells = [interval(pair.low, pair.high, True), p_value(pair.p_holm), spread(pair.detectable)]
        table.add_row(escape(name), signed(pair.difference), *cells, style=sure)
    return table


def _factor(result: Comparison, key: str, pairs: Sequence[Pair]) -> Table:
    table = _table(f"{key} alone", "difference", "interval", "p (Holm)")
    for pair in pairs:
        sure = "bold green" if pair.sure(result.options.alpha) else ""
        cells = [signed(pair.difference), interval(pair.low, pair.high, True), p_value(pair.p_holm)]
        table.add_row(escape(f"{pair.b} - {pair.a}"), *cells, style=sure)
    return table


def _left_out(result: Comparison, console: Console) -> None:
    left = [entry for entry in result.entries if not entry.run.finished]
    for entry in left:
        console.print(
            f"\n[red]{escape(entry.name)}[/red] {entry.run.state}: {escape(entry.run.reason)}", soft_wrap=True
        )
        console.print(f"  {escape(label(entry.settings))} seed={escape(entry.seed)}", soft_wrap=True)
        console.print(f"  again, alone: {escape(entry.run.command)}", soft_wrap=True)
