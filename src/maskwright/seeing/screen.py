"""Masks on the terminal: painted rows, what the network reads where it is shorter or longer, and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskwright.masking import Outcome
from maskwright.seeing.outcomes import LOOKS, UNPREDICTED, said
from maskwright.seeing.over_training import moves
from maskwright.seeing.pieces import Reader, apart
from maskwright.seeing.seen import Row, Seen
from maskwright.seeing.tokens import Token

_CHANGED = (Outcome.RANDOM, Outcome.SIMILAR, Outcome.MOVED, Outcome.REPLACED)
_MOST_CLASSES = 12  # on one line


def print_all(found: Sequence[Seen], console: Console) -> None:
    """Every view of every recipe, and a table that sets several side by side."""
    before = None
    for each in found:
        if each.look is not before:
            if before is not None:
                console.print()
            _head(each, console)
        if len(each.look.views.recipes) > 1:
            console.print(f"\nview {each.name}: {each.described}", style="bold", markup=False)
        _print_view(each, console)
        before = each.look
    if len(found) > 1:
        console.print()
        console.print(_side_by_side(found))


def _head(each: Seen, console: Console) -> None:
    look = each.look
    policy = f"{look.policy}: " if look.policy else ""
    console.print(
        f"{policy}{look.recipe.sentence}, at {100 * look.progress:.3g}% of training", style="bold", markup=False
    )
    if look.refused:
        console.print(f"train.py would refuse it: {look.refused}", style="yellow", markup=False)


def _print_view(each: Seen, console: Console) -> None:
    reader = Reader(each.look.prepared.tokenizer)
    colours = console.is_terminal
    for row in each.rows:
        console.print()
        console.print(painted(row, reader, plain=not colours), soft_wrap=False)
        if not each.keeps_places:
            console.print(Text("reads: ", "dim") + read_as(row, reader, plain=not colours), soft_wrap=False)
    console.print(Text("\n") + _legend(each, plain=not colours))
    console.print()
    console.print(_statistics(each))


def painted(row: Row, reader: Reader, plain: bool) -> Text:
    """A clean row; selected words coloured by outcome, or in brackets where there are no colours.

    Neighbours of one unit share their colour (or brackets) without a gap; neighbouring units are set apart by a thin
    bar.
    """
    text = Text()
    previous: Token | None = None
    for number, token in enumerate(row.tokens):
        behind = row.tokens[number + 1] if number + 1 < len(row.tokens) else None
        word, outcome = reader[token.id], token.outcome
        label = word.text
        if outcome in _CHANGED and token.shown is not None:
            label = f"{label}→{reader[token.shown].text}"
        label += UNPREDICTED if outcome and outcome.in_place and not token.predicted else ""
        same = _alike(previous, token)
        if apart(None if previous is None else reader[previous.id], word):
            text.append(" ", LOOKS[outcome].style if same and not plain else None)
        elif previous is not None and previous.outcome and outcome and not same and not plain:
            text.append("|", "dim")  # what touches without a space
        if word.special:
            text.append(label, "dim")
        elif outcome == Outcome.VISIBLE:
            text.append(label)
        elif plain:
            opens, closes = LOOKS[outcome].mark.split("{}")
            text.append(("" if same else opens) + label + ("" if _alike(token, behind) else closes))
        else:
            text.append(label, LOOKS[outcome].style)
        previous = token
    text.rstrip()
    return text


def _alike(token: Token | None, behind: Token | None) -> bool:
    """Neighbours of one unit with one outcome."""
    if token is None or behind is None or not token.outcome or behind.place != token.place + 1:
        return False
    return (token.unit, token.outcome) == (behind.unit, behind.outcome)


def read_as(row: Row, reader: Reader, plain: bool) -> Text:
    """What the network reads of a row, in the colours of what was shown in place of what."""
    outcomes = {token.place: token.outcome for token in row.tokens}
    clean = {token.place: token.id for token in row.tokens}
    text, before = Text(), None
    for token in row.reads:
        word = reader[token.id]
        outcome = Outcome.INSERTED if token.origin < 0 else outcomes[token.origin]
        same = clean.get(token.origin) == token.id
        text.append(" " if apart(before, word) else "")
        text.append(word.text, None if plain or same else LOOKS[outcome].style)
        before = word
    text.rstrip()
    return text


def _legend(each: Seen, plain: bool) -> Text:
    occurring = [outcome for outcome in Outcome if outcome and each.figures["outcomes"][said(outcome)]]
    parts = [Text(LOOKS[o].mark.format(said(o))) if plain else Text(f" {said(o)} ", LOOKS[o].style) for o in occurring]
    if any(t.outcome and t.outcome.in_place and not t.predicted for row in each.rows for t in row.tokens):
        parts.append(Text(f"{UNPREDICTED} not predicted"))
    return Text("  ").join(parts)


def _statistics(each: Seen) -> Table:
    figures = each.figures
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    asked = figures["rate_by_row"]
    varies = asked["most"] - asked["least"] > 1e-9
    by_row = f", by row {_percent(asked['least'])} to {_percent(asked['most'])}" if varies else ""
    table.add_row("rate asked for", f"{100 * figures['rate']:.2f}%{by_row}")
    table.add_row("achieved", f"{100 * figures['achieved_rate']:.2f}% over {figures['rows']:,} rows")
    by_row = figures["achieved_rate_by_row"]
    table.add_row(
        "by row",
        f"{_percent(by_row['least'])} to {_percent(by_row['most'])}, standard deviation {100 * by_row['sd']:.2f}%",
    )
    table.add_row("masked tokens", f"{figures['masked_per_row']:.1f} a row; room for {figures['capacity']}")
    if abs(figures["predicted_rate"] - figures["achieved_rate"]) > 1e-9:
        told = f"{100 * figures['predicted_rate']:.2f}%, {figures['predicted_per_row']:.1f} a row"
        table.add_row("predicted", told)
    loss = figures["loss_weight"]
    if loss and loss["least"] != loss["most"]:
        table.add_row("loss weights", f"{loss['least']:.3g} to {loss['most']:.3g}, mean {loss['mean']:.3g}")
    if not each.keeps_places:
        told = f"{figures['read_per_row']:.1f} tokens of {figures['tokens_per_row']:.1f}"
        told += f", {figures['inserted_per_row']:.1f} of them inserted" if figures["inserted_per_row"] else ""
        table.add_row("the network reads", f"{told}; room for {figures['width']}")
    occurring = [f"{name} {100 * share:.1f}%" for name, share in figures["outcomes"].items() if share]
    table.add_row("outcomes", ", ".join(occurring) or "none")
    for title, key in (
        ("units, in tokens", "units_by_tokens"),
        ("units, in words", "units_by_words"),
        ("runs, in tokens", "runs_by_tokens"),
    ):
        if figures[key] is not None:
            table.add_row(title, _histogram(figures[key]))
    for name, classes in figures["masked_by"].items():
        shown = sorted(classes, key=lambda one: -one["tokens"])[:_MOST_CLASSES] if len(classes) > 1 else []
        kept = [one for one in classes if one in shown]
        told = "  ".join(f"{one['class']}: {_percent(one['share'])}" for one in kept)
        table.add_row(f"masked by {name}", told + (" ..." if len(kept) < len(classes) else ""))
    if moves(figures["over_training"]):
        points = figures["over_training"][::5]
        table.add_row("over training", "  ".join(f"{_at(p)}: {_percent(p['achieved_rate'])}" for p in points))
    return table


def _side_by_side(found: Sequence[Seen]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("side by side", overflow="fold")
    for title in ("asked", "achieved", "sd by row", "predicted", "unit"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in found:
        f = each.figures
        table.add_row(
            Text(each.label),
            f"{100 * f['rate']:.2f}%",
            f"{100 * f['achieved_rate']:.2f}%",
            f"{100 * f['achieved_rate_by_row']['sd']:.2f}%",
            f"{100 * f['predicted_rate']:.2f}%",
            f"{f['mean_unit_tokens']:.2f}",
        )
    return table


def _histogram(counts: dict[str, int]) -> str:
    total = max(sum(counts.values()), 1)
    shares = {length: f"{100 * count / total:.0f}" for length, count in counts.items()}
    return "  ".join(f"{length}: {'<1' if share == '0' else share}%" for length, share in shares.items())


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _at(point: dict[str, Any]) -> str:
    return f"{100 * point['progress']:.0f}%"
