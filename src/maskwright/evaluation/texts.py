"""Texts as token ids with what scoring must know of each token: its word, its place in the text, its part.

Shapes: N texts, L tokens of one text (special ones included), T tokens of all texts one after the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskwright.data.tokenizers.reading import encodings
from maskwright.data.words import word_numbers
from maskwright.errors import RecipeError

_PORTION = 2048  # texts that the tokenizer takes at once: its encodings take 100 times the memory of these arrays

Span = tuple[int, int]


class Request(NamedTuple):
    """A text to score. span: the characters [from, to) whose tokens are scored, or several such parts (None: all).
    answer: the characters of the answer, for plans that hide it in a way of its own (None: the span)."""

    id: Hashable
    text: str
    span: Span | Sequence[Span] | None = None
    answer: Span | Sequence[Span] | None = None


@dataclass(frozen=True)
class Encoded:
    """Texts one after the other; text n has the tokens first_N[n] .. first_N[n + 1]."""

    first_N: np.ndarray  # int64 [N + 1]
    ids_T: np.ndarray  # int64
    word_T: np.ndarray  # int64, -1 at special tokens; numbers differ between words of one text
    start_T: np.ndarray  # int64, the token's characters in its text
    end_T: np.ndarray
    scored_T: np.ndarray  # bool
    answer_T: np.ndarray  # bool

    @property
    def length_N(self) -> np.ndarray:
        return np.diff(self.first_N)

    @property
    def scored_N(self) -> np.ndarray:
        """Tokens to score in each text."""
        total_T = np.concatenate(([0], np.cumsum(self.scored_T)))
        return np.diff(total_T[self.first_N])

    def cut(self, most: int) -> tuple[Encoded, int]:
        """The same with every text cut to `most` tokens, its last special token kept; and how many texts that were."""
        length_T = np.repeat(self.length_N, self.length_N)
        place_T = np.arange(len(self.ids_T)) - np.repeat(self.first_N[:-1], self.length_N)
        ends_T = (place_T == length_T - 1) & (self.word_T < 0)
        closed_T = np.repeat(np.bincount(_text_of(self.first_N)[ends_T], minlength=len(self.length_N)), self.length_N)
        keep_T = (length_T <= most) | ends_T | (place_T < most - closed_T)
        first_N = np.concatenate(([0], np.cumsum(np.minimum(self.length_N, most))))
        columns = {name: value[keep_T] for name, value in vars(self).items() if name != "first_N"}
        return Encoded(first_N, **columns), int((self.length_N > most).sum())

    def rows(self, index_B: np.ndarray, length: int, pad: int) -> Rows:
        """Some texts as rectangular tensors of `length` columns, padded at the end."""
        place_L = np.arange(length)
        valid_BL = place_L < self.length_N[index_B][:, None]
        at_BL = np.where(valid_BL, self.first_N[index_B][:, None] + place_L, 0)

        def column(values_T: np.ndarray, padding: Any) -> Tensor:
            return torch.from_numpy(np.where(valid_BL, values_T[at_BL], padding))

        return Rows(
            ids_BL=column(self.ids_T, pad),
            word_BL=column(self.word_T, -1),
            scored_BL=column(self.scored_T, False),
            answer_BL=column(self.answer_T, False),
            valid_BL=torch.from_numpy(valid_BL),
            padded=not valid_BL.all(),
        )


@dataclass(frozen=True)
class Rows:
    """Texts of one batch: see `Encoded` for the columns."""

    ids_BL: Tensor
    word_BL: Tensor
    scored_BL: Tensor
    answer_BL: Tensor
    valid_BL: Tensor
    padded: bool  # whether any position is padding

    def to(self, device: torch.device) -> Rows:
        tensors = {name: value.to(device) for name, value in vars(self).items() if name != "padded"}
        return Rows(**tensors, padded=self.padded)


class Encoder:
    """A tokenizer's fast form, with words by our own rule over characters or by the tokenizer's own pre-tokens.

    words: `characters` (maskwright.data.words, the same words for every tokenizer) or `tokenizer` (its word_ids, in
    which punctuation and apostrophes stand apart: what other scorers use). begin: an id to put before texts to which
    the tokenizer adds no special token of its own at the start (None: nothing is added).
    """

    def __init__(self, tokenizer: Any, words: str = "characters", begin: int | None = None) -> None:
        from tokenizers import Tokenizer

        if words not in ("characters", "tokenizer"):
            raise RecipeError(f"words is {words!r}; choose characters or tokenizer.")
        if not getattr(tokenizer, "is_fast", False):
            raise RecipeError(
                "This model's tokenizer has no fast form, so its tokens cannot be placed in the text; "
                "convert it to a tokenizer.json first."
            )
        self.words, self.begin = words, begin
        self.backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self.backend.no_padding()
        self.backend.no_truncation()
        self.backend.encode_special_tokens = True  # a "[MASK]" written in a text is text

    def __call__(self, requests: Sequence[Request]) -> Encoded:
        """All texts; what is longer than a network takes is for the caller to leave out."""
        portions = [requests[first : first + _PORTION] for first in range(0, max(len(requests), 1), _PORTION)]
        parts = [self._portion(portion) for portion in portions]
        length_N, ids_T, word_T, start_T, end_T = (np.concatenate(columns) for columns in zip(*parts))
        first_N = np.concatenate(([0], np.cumsum(length_N)))
        real_T = word_T >= 0
        scored_T = real_T & _within([r.span for r in requests], first_N, start_T, end_T, default=True)
        answers = [r.span if r.answer is None else r.answer for r in requests]
        answer_T = real_T & _within(answers, first_N, start_T, end_T, default=False)
        return Encoded(first_N, ids_T, word_T, start_T, end_T, scored_T, answer_T)

    def _portion(self, requests: Sequence[Request]) -> tuple[np.ndarray, ...]:
        """Lengths [N]; ids, words, starts and ends [T]."""
        found = encodings(self.backend, [request.text for request in requests], special=True)
        add = [self.begin is not None and not (len(encoding) and encoding.special_tokens_mask[0]) for encoding in found]
        length_N = np.array([len(encoding) + more for encoding, more in zip(found, add)], dtype=np.int64)

        def flat(values: list[list[int]], dtype: Any = np.int64) -> np.ndarray:
            return np.fromiter(chain.from_iterable(values), dtype, count=int(length_N.sum()))

        before: list[list[int]] = [[self.begin] if more and self.begin is not None else [] for more in add]
        ids_T = flat([[*b, *e.ids] for b, e in zip(before, found)])
        special_T = flat([[1] * len(b) + e.special_tokens_mask for b, e in zip(before, found)]).astype(bool)
        start_T = flat([[0] * len(b) + [start for start, _ in e.offsets] for b, e in zip(before, found)])
        end_T = flat([[0] * len(b) + [end for _, end in e.offsets] for b, e in zip(before, found)])
        if self.words == "tokenizer":
            own = [[-1] * len(b) + [-1 if w is None else w for w in e.word_ids] for b, e in zip(before, found)]
            word_T = flat(own)
            # a token that the tokenizer counts to no word is a word by itself
            word_T = np.where(word_T >= 0, word_T, len(word_T) + np.arange(len(word_T)))
        else:
            word_T = self._words([request.text for request in requests], length_N, special_T, start_T, end_T)
        return length_N, ids_T, np.where(special_T, -1, word_T), start_T, end_T

    @staticmethod
    def _words(
        texts: list[str], length_N: np.ndarray, special_T: np.ndarray, start_T: np.ndarray, end_T: np.ndarray
    ) -> np.ndarray:
        """Word numbers of all tokens, found in the texts joined by line breaks, over which no word reaches."""
        size_N = np.array([len(text) + 1 for text in texts], dtype=np.int64)
        shift_T = np.repeat(np.cumsum(size_N) - size_N, length_N)[~special_T]
        word_T = np.zeros(len(special_T), dtype=np.int64)
        if len(shift_T):
            end = np.maximum.accumulate(end_T[~special_T] + shift_T)
            word_T[~special_T] = word_numbers("\n".join(texts), start_T[~special_T] + shift_T, end)
        return word_T


def _text_of(first_N: np.ndarray) -> np.ndarray:
    """The number of the text of each token: int64 [T]."""
    return np.repeat(np.arange(len(first_N) - 1), np.diff(first_N))


def spans(part: Span | Sequence[Span] | None) -> list[Span]:
    """One part of a text, several, or none as a list."""
    if part is None:
        return []
    if len(part) == 2 and isinstance(part[0], int | np.integer):
        return [(int(part[0]), int(part[1]))]  # type: ignore[arg-type]
    return [(int(first), int(last)) for first, last in part]  # type: ignore[misc]


def _within(parts: list[Any], first_N: np.ndarray, start_T: np.ndarray, end_T: np.ndarray, default: bool) -> np.ndarray:
    """Bool [T]: whether a token shares a character with one of its text's parts; `default` for texts without."""
    inside_T = np.full(len(start_T), default)
    for number, part in enumerate(parts):
        if part is None:
            continue
        block = slice(first_N[number], first_N[number + 1])
        inside_T[block] = False
        for first, last in spans(part):
            inside_T[block] |= (start_T[block] < last) & (end_T[block] > first)
    return inside_T
