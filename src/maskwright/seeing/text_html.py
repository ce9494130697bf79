"""Sample rows as HTML: a clean row in the colours of its outcomes, and what the network reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from maskwright.data.annotate import Annotator
from maskwright.masking import Outcome
from maskwright.masking.columns import named
from maskwright.seeing.outcomes import said
from maskwright.seeing.pieces import Reader
from maskwright.seeing.seen import Row, Seen
from maskwright.seeing.tokens import Read, Token


def clean(each: Seen, row: Row, reader: Reader) -> str:
    """The clean row. A selected unit is one box; below a token stands what is shown in its place, where that is
    neither [MASK] nor the token; an inserted token stands before the token that it was inserted before."""
    column = outlined(each)
    inserted = _inserted(row.reads)
    sizes = _sizes(row.tokens)
    parts: list[str] = []
    for number, token in enumerate(row.tokens):
        behind = row.tokens[number + 1] if number + 1 < len(row.tokens) else None
        before = row.tokens[number - 1] if number else None
        word = reader[token.id]
        if not word.glued or not number:
            parts.append('<span class="w">')
        parts += [
            f'<span class="t {said(Outcome.INSERTED)} new" data-tip="inserted">+{escape(reader[new].text)}</span>'
            for new in inserted.get(token.place, ())
        ]
        goes_on = _one_box(token, behind)
        linked = behind is not None and column is not None and not behind.columns.get(column, True)
        glued = behind is not None and reader[behind.id].glued
        text = escape(word.text) + ("" if glued or not (goes_on or linked) else " ")
        classes = _classes(token, word.special)
        classes += ["b"] * (not _one_box(before, token)) + ["e"] * (not goes_on) if token.outcome else []
        if column is not None and (linked or not token.columns.get(column, True)):
            classes.append("link")
        parts.append(_token(token, text, classes, _tip(each, token, sizes[number], reader), each, reader))
        if not glued:
            parts.append("</span><wbr>" if goes_on or linked else "</span> ")
    return "".join(parts)


def reads(row: Row, reader: Reader) -> str:
    """What the network reads of a row."""
    outcomes = {token.place: token for token in row.tokens}
    parts: list[str] = []
    for token in row.reads:
        word = reader[token.id]
        own = outcomes.get(token.origin)
        text = escape(word.text)
        if own is None:
            text = f'<span class="t {said(Outcome.INSERTED)} b e">{text}</span>'
        elif own.id != token.id:
            text = f'<span class="t {said(own.outcome)} b e">{text}</span>'
        elif word.special:
            text = f'<span class="s">{text}</span>'
        parts.append(("" if word.glued or not parts else " ") + text)
    return "".join(parts)


def outlined(each: Seen) -> str | None:
    """The column whose units of several tokens are underlined: the first that the view's unit reads."""
    for column in each.look.views.recipes[each.name].masking.unit.columns:
        if isinstance(column, str) or (isinstance(column, Annotator) and np.dtype(column.dtype) == np.bool_):
            return named(column)
    return None


def _token(token: Token, text: str, classes: Sequence[str], tip: str, each: Seen, reader: Reader) -> str:
    shown = "" if token.shown in (None, token.id) else reader[int(token.shown or 0)].text
    if token.outcome in (Outcome.VISIBLE, Outcome.MASKED):
        shown = ""
    style = ""
    if each.steering is not None and token.steer is not None and token.columns is not None:
        style = f' style="--w:{min(max(token.steer / each.steering.full, 0.0), 1.0):.2f}"'
    kept = f'class="{" ".join(classes)}"{style} data-tip="{escape(tip)}"'
    if shown:
        text = text.replace(" ", "&nbsp;")  # a space at its end would be lost in a ruby
        return f"<ruby {kept}>{text}<rt>{escape(shown)}</rt></ruby>"
    return f"<span {kept}>{text}</span>"


def _classes(token: Token, special: bool) -> list[str]:
    if special:
        return ["t", "s"]
    if not token.outcome:
        return ["t", "v"]
    return ["t", said(token.outcome), *(["un"] if token.outcome.in_place and not token.predicted else [])]


def _one_box(token: Token | None, behind: Token | None) -> bool:
    """Neighbours in one selected unit."""
    return (
        token is not None
        and behind is not None
        and behind.place == token.place + 1
        and token.outcome != Outcome.VISIBLE
        and behind.outcome != Outcome.VISIBLE
        and token.unit == behind.unit
    )


def _sizes(tokens: Sequence[Token]) -> list[int]:
    """Tokens of the box in which each token stands."""
    sizes, first = [1] * len(tokens), 0
    for number, token in enumerate(tokens):
        if not _one_box(tokens[number - 1] if number else None, token):
            first = number
        sizes[first : number + 1] = [number + 1 - first] * (number + 1 - first)
    return sizes


def _tip(each: Seen, token: Token, size: int, reader: Reader) -> str:
    """What hovering says, line by line."""
    lines = [reader.piece(token.id)]
    if token.outcome:
        shown = "" if token.shown is None else reader.piece(token.shown)
        lines.append(f"{said(token.outcome)}{f', shown as {shown}' if shown else ''}")
        lines.append(f"unit of {size} token{'s' * (size != 1)}")
        loss = each.figures["loss_weight"]
        if not token.predicted:
            lines.append("not predicted")
        elif loss and loss["least"] != loss["most"]:
            lines.append(f"loss weight {token.loss_weight:.3g}")
    if each.steering is not None and token.steer is not None:
        lines.append(f"{each.steering.kind} {each.steering.shown(token.steer)}")
    lines += [f"{name}: {_value(value)}" for name, value in token.columns.items() if _telling(value)]
    return "\n".join(lines)


def _telling(value: Any) -> bool:
    return value is not None and not isinstance(value, bool)


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _inserted(reads: Sequence[Read]) -> dict[int, list[int]]:
    """Inserted tokens by the place of the clean token behind them."""
    found: dict[int, list[int]] = {}
    waiting: list[int] = []
    for token in reads:
        if token.origin < 0:
            waiting.append(token.id)
        elif waiting:
            found[token.origin], waiting = waiting, []
    return found
