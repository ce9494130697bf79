"""Fill-ins: what the network writes into masked text, as a table for eyes.

Shapes: B rows, L positions, K the most positions a row may lose, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from maskwright.masking.view import View

COLUMNS = ("text", "truth", "fill-in")
Row = tuple[str, str, str]


def fill_ins(network: Any, tokenizer: Any, sentences: Sequence[str], top: int = 3) -> list[Row]:
    """One row (text, "", fill-ins) per sentence; several masks are separated by " / ".

    Raises:
        RecipeError: a sentence has no mask token.
    """
    rows = []
    with _reading(network) as device:
        for sentence in sentences:
            ids_1L = tokenizer(sentence, return_tensors="pt", truncation=True)["input_ids"].to(device)
            place_K = (ids_1L[0] == tokenizer.mask_token_id).nonzero()[:, 0]
            if not len(place_K):
                mask = tokenizer.mask_token
                raise RecipeError(f"The sentence {sentence!r} has no {mask}; write it where a word is asked for.")
            hidden_1LD = network.encode(ids_1L, torch.ones_like(ids_1L, dtype=torch.bool))
            logits_KV = network.guessable(network.predict(hidden_1LD[0, place_K]))
            rows.append((sentence, "", " / ".join(_guesses(logits_V, tokenizer, top) for logits_V in logits_KV)))
    return rows


def held_out(network: Any, tokenizer: Any, view: View, rows: int = 4, around: int = 9, top: int = 2) -> list[Row]:
    """One row (text around one masked token, the token that stood there, fill-ins) for each of the first `rows` rows.

    The token asked for reads as the mask token, the others that the network did not see as "_".
    """
    table = []
    with _reading(network) as device:
        few = view.rows(slice(rows))
        hidden_BLD = network.encode(few.ids_BM.to(device), few.valid_BM.to(device))
        for row in range(len(few.ids_BM)):
            used = few.counts_BK[row].nonzero()[:, 0]
            if not len(used):
                continue
            pick = used[few.place_BK[row, used].argsort()[len(used) // 2]]  # the one nearest the middle
            place = int(few.place_BK[row, pick])
            ids_L = few.ids_BM[row][: int(few.valid_BM[row].sum())]
            left = _text(ids_L[max(0, place - around) : place], tokenizer)
            right = _text(ids_L[place + 1 : place + 1 + around], tokenizer)
            guesses = _guesses(network.guessable(network.predict(hidden_BLD[row, place])), tokenizer, top)
            truth = _token(int(few.target_BK[row, pick]), tokenizer)
            table.append((f"{left} {tokenizer.mask_token} {right}".strip(), truth, guesses))
    return table


def show(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the rows as a table; the column of truths is left out when there are none."""
    console = console or Console()
    truths = any(truth for _, truth, _ in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("text", ratio=3)
    if truths:
        table.add_column("truth", no_wrap=True)
    table.add_column("fill-in", ratio=2)
    for text, truth, guesses in rows:
        table.add_row(escape(text), *([escape(truth)] if truths else []), escape(guesses))
    console.print(table)


@contextmanager
def _reading(network: Any) -> Iterator[torch.device]:
    """Without dropout and gradients; the network comes back in the mode it was in."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield next(network.parameters()).device
    finally:
        network.train(training)


def _guesses(logits_V: Tensor, tokenizer: Any, top: int) -> str:
    chance, ids = logits_V.float().softmax(-1).topk(top)
    pairs = zip(ids.tolist(), chance.tolist(), strict=True)
    return ", ".join(f"{_token(i, tokenizer)} {100 * p:.0f}%" for i, p in pairs)


def _token(token: int, tokenizer: Any) -> str:
    piece = tokenizer.convert_ids_to_tokens(token)
    return piece if piece.startswith("##") else tokenizer.decode([token]).strip() or piece


def _text(ids: Tensor, tokenizer: Any) -> str:
    text = tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False)
    for mark, shown in ((tokenizer.mask_token, "_"), (tokenizer.cls_token, ""), (tokenizer.sep_token, "|")):
        if mark:
            text = text.replace(mark, shown)
    return " ".join(text.split())
