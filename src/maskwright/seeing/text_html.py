"""Sample rows as HTML: a clean row in the colours of its outcomes, and what the network reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from maskwright.data.annotate import Annotator
from maskwright.masking import Outcome
from maskwright.masking.columns import named
from maskwright.seeing.outcomes import said
from maskwright.seeing.pieces import Reader, Word, apart
from maskwright.seeing.seen import Row, Seen
from maskwright.seeing.tips import one_box, tips
from maskwright.seeing.tokens import Read, Token


def clean(each: Seen, row: Row, reader: Reader) -> str:
    """The clean row. A selected unit is one box; below a token stands what is shown in its place, where that is
    neither [MASK] nor the token; an inserted token stands before the token that it was inserted before."""
    column = outlined(each)
    inserted = _inserted(row.reads)
    said_of = tips(each, row.tokens, column, reader)
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
        goes_on = one_box(token, behind)
        linked = behind is not None and column is not None and not behind.columns.get(column, True)
        space = " " if behind is not None and apart(word, reader[behind.id]) else ""
        inside = goes_on or linked  # of a box or an underlined unit
        text = escape(word.text) + (space if inside else "")
        classes = _classes(token, word.special)
        classes += ["b"] * (not one_box(before, token)) + ["e"] * (not goes_on) if token.outcome else []
        if column is not None and (linked or not token.columns.get(column, True)):
            classes.append("link")
        parts.append(_token(token, text, classes, said_of[number], each, reader))
        if behind is None or not reader[behind.id].glued:
            parts.append("</span>" + ("<wbr>" if inside or not space else space))
    return "".join(parts)


def reads(row: Row, reader: Reader) -> str:
    """What the network reads of a row."""
    outcomes = {token.place: token for token in row.tokens}
    parts: list[str] = []
    before: Word | None = None
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
        parts.append((" " if apart(before, word) else "") + text)
        before = word
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
