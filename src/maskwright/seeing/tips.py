"""What hovering over a token says: the token and what is shown, its unit, its weight, its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from maskwright.masking import Outcome
from maskwright.seeing.outcomes import said
from maskwright.seeing.pieces import Reader, apart
from maskwright.seeing.seen import Seen
from maskwright.seeing.tokens import Token


def tips(each: Seen, tokens: Sequence[Token], column: str | None, reader: Reader) -> list[str]:
    """One text of several lines for each token of a row. column: whose units are named, where they have several
    tokens."""
    boxes = _pieces(tokens, one_box)
    marked = _pieces(tokens, lambda before, token: column is not None and not token.columns.get(column, True))
    loss = each.figures["loss_weight"]
    weighed = loss is not None and loss["least"] != loss["most"]
    found = []
    for token, box, unit in zip(tokens, boxes, marked, strict=True):
        lines = [reader.piece(token.id)]
        if token.outcome:
            lines += [_became(token, reader), _unit("unit", box, reader)]
            if not token.predicted:
                lines.append("not predicted")
            elif weighed:
                lines.append(f"loss weight {token.loss_weight:.3g}")
        if each.steering is not None and token.steer is not None:
            lines.append(f"{each.steering.kind} {each.steering.shown(token.steer)}")
        if len(unit) > 1 and unit != box:
            lines.append(_unit(str(column), unit, reader))
        lines += [f"{name}: {_value(value)}" for name, value in token.columns.items() if _telling(value)]
        found.append("\n".join(lines))
    return found


def one_box(before: Token | None, token: Token | None) -> bool:
    """Neighbours in one selected unit."""
    if before is None or token is None or token.place != before.place + 1:
        return False
    return before.unit == token.unit and Outcome.VISIBLE not in (before.outcome, token.outcome)


def _pieces(tokens: Sequence[Token], joined: Callable[[Token, Token], bool]) -> list[Sequence[Token]]:
    """For each token the run of neighbours in which it stands."""
    runs: list[Sequence[Token]] = []
    first = 0
    for number in range(1, len(tokens) + 1):
        if number == len(tokens) or not joined(tokens[number - 1], tokens[number]):
            runs += [tokens[first:number]] * (number - first)
            first = number
    return runs


def _became(token: Token, reader: Reader) -> str:
    shown = "" if token.shown is None else f", shown as {reader.piece(token.shown)}"
    return said(token.outcome) + shown


def _unit(name: str, tokens: Sequence[Token], reader: Reader) -> str:
    """`unit of 3 tokens: United States of`."""
    text, before = "", None
    for token in tokens:
        text += (" " if apart(before, reader[token.id]) else "") + reader[token.id].text
        before = reader[token.id]
    return f"{name} of 1 token" if len(tokens) == 1 else f"{name} of {len(tokens)} tokens: {text}"


def _telling(value: Any) -> bool:
    return value is not None and not isinstance(value, bool)


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
