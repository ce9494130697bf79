"""Cloze prompts: a text in a template that has one mask, at which is predicted, and places for trigger tokens.

Shapes: L tokens of one prompt, T trigger tokens, F texts of a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from maskwright.data.tokenizers.reading import encodings
from maskwright.errors import RecipeError
from maskwright.evaluation.tasks import Encode

TEXT, TRIGGER, MASK = "{text}", "{trigger}", "{mask}"
_PLACE = re.compile(r"(\{text\}|\{trigger\}|\{mask\})")
_FIXED, _TRIGGER, _SLOT = -1, -2, -3  # what a token is; from 0 up: the text that it belongs to


@dataclass(frozen=True)
class Prompt:
    """One row in the template, with the mask in the slot and at every trigger."""

    ids_L: np.ndarray  # int64
    trigger_T: np.ndarray  # int64, where the trigger tokens stand
    slot: int  # where the prediction is read


class ClozeTemplate:
    """`{text}` is a text, in the order of the columns; `{trigger}` one token to be found; `{mask}` the slot.

    Raises RecipeError unless there is one `{mask}` and a `{text}` for each column.
    """

    def __init__(self, template: str, texts: int) -> None:
        self.parts = _PLACE.split(template)
        unknown = next((found for part in self.parts[::2] for found in re.findall(r"\{.*?\}", part)), None)
        if unknown is not None:
            raise RecipeError(f"evaluation.template has {unknown}; its places are {TEXT}, {TRIGGER} and {MASK}.")
        if self.parts.count(MASK) != 1 or self.parts.count(TEXT) != texts:
            raise RecipeError(
                f"evaluation.template is {template!r}; it needs {MASK} once and {TEXT} as often as evaluation.text "
                f"names columns ({texts})."
            )
        self.triggers = self.parts.count(TRIGGER)
        before = "".join(self.parts[: self.parts.index(MASK)])
        self.space = " " if before[-1:].isspace() else ""  # what stands between the slot's word and what is before it
        self.places = [part for part in self.parts if part in (TRIGGER, MASK)]

    def runs(self, texts: Sequence[str]) -> list[tuple[str, list[tuple[int, int, int]]]]:
        """What stands before, between and behind triggers and mask, and (text, from, to) where the texts are in it.

        A space before a trigger or the mask belongs to the token that comes there.
        """
        found: list[tuple[str, list[tuple[int, int, int]]]] = []
        spans: list[tuple[int, int, int]] = []
        run, number = "", 0
        for part in self.parts:
            if part in (TRIGGER, MASK):
                found.append((run.rstrip(), spans))
                run, spans = "", []
            elif part == TEXT:
                spans.append((number, len(run), len(run) + len(texts[number])))
                run, number = run + texts[number], number + 1
            else:
                run += part
        return [*found, (run, spans)]

    def shown(self, triggers: Sequence[str]) -> str:
        """The template with trigger tokens in it."""
        left = iter(triggers)
        return "".join(next(left) if part == TRIGGER else part for part in self.parts)


class ClozeEncoder:
    """Prompts of at most `length` tokens. Only texts are cut, at their ends, the longer one first.

    Raises RecipeError when the template leaves no room for a text.
    """

    def __init__(self, template: ClozeTemplate, tokenizer: Any, length: int, mask: int) -> None:
        self.template, self.length, self.mask = template, length, mask
        self.backend = Encode(tokenizer, length, pad=0).backend
        around = self.backend.encode("a")
        self.before, self.after = (
            [token for token, _ in takewhile(lambda pair: pair[1], zip(ids, special))]
            for ids, special in (
                (around.ids, around.special_tokens_mask),
                (around.ids[::-1], around.special_tokens_mask[::-1]),
            )
        )
        self.truncated = 0  # prompts of which a text was cut, by the calls so far

    def __call__(self, rows: Sequence[Sequence[str]]) -> list[Prompt]:
        """One prompt for each row of texts."""
        runs = [run for texts in rows for run in self.template.runs(texts)]
        found = encodings(self.backend, [run for run, _ in runs])
        size = len(self.template.places) + 1
        pieces = [(encoding, spans) for encoding, (_, spans) in zip(found, runs)]
        return [self._prompt(pieces[first : first + size]) for first in range(0, len(pieces), size)]

    def _prompt(self, pieces: Sequence[tuple[Any, Sequence[tuple[int, int, int]]]]) -> Prompt:
        ids, kind = list(self.before), [_FIXED] * len(self.before)
        for (encoding, spans), place in zip(pieces, [*self.template.places, None], strict=True):
            ids += encoding.ids
            kind += [
                next((text for text, first, last in spans if start < last and end > first), _FIXED)
                for start, end in encoding.offsets
            ]
            if place is not None:
                ids.append(self.mask)
                kind.append(_SLOT if place == MASK else _TRIGGER)
        ids += self.after[::-1]
        kind += [_FIXED] * len(self.after)
        kind_L = np.array(kind)
        keep_L = self._kept(kind_L)
        ids_L, kind_L = np.array(ids, dtype=np.int64)[keep_L], kind_L[keep_L]
        return Prompt(ids_L, np.flatnonzero(kind_L == _TRIGGER), int(np.flatnonzero(kind_L == _SLOT)[0]))

    def _kept(self, kind_L: np.ndarray) -> np.ndarray:
        """Which tokens stay."""
        keep_L = np.ones(len(kind_L), dtype=bool)
        if len(kind_L) <= self.length:
            return keep_L
        room = self.length - int((kind_L < 0).sum())
        if room < 1:
            raise RecipeError(
                f"evaluation.template alone takes {self.length - room} tokens, and a prompt may have {self.length}; "
                "shorten it, or raise evaluation.length."
            )
        own = [np.flatnonzero(kind_L == text) for text in range(int(kind_L.max()) + 1)]
        for done, place in enumerate(sorted(own, key=len)):  # what a short text leaves is for the longer one
            share = min(len(place), room // (len(own) - done))
            keep_L[place[share:]] = False
            room -= share
        self.truncated += 1
        return keep_L
