"""Passages of held-out text with hidden words, fixed by characters alone: the same for every tokenizer.

A passage is a run of consecutive words of one document (maskwright.data.words says what a word is). Which of its words
are hidden is a pure function of its number, so two models with different tokenizers are asked for the same words of the
same text. Shapes: C characters, W words, P passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from maskwright.data.order import permutation
from maskwright.data.words import word_numbers
from maskwright.evaluation.texts import Span
from maskwright.masking.noise import stream_id, uniform

SEED = 0


class Passage(NamedTuple):
    """A text and the characters of its hidden words."""

    text: str
    hidden: tuple[Span, ...]


def passages(documents: Sequence[str], words: int, rate: float, most: int | None) -> list[Passage]:
    """At most `most` passages of `words` words each, in which round(rate x words), at least 1, are hidden."""
    cut = [(text, spans[first : first + words]) for text in documents for spans in [word_spans(text)]
           for first in range(0, len(spans) - words + 1, words)]  # fmt: skip
    chosen = np.sort(permutation(len(cut), SEED, 0)[:most])
    count = max(1, round(rate * words))
    found = []
    for number in chosen:
        text, spans = cut[int(number)]
        start = spans[0][0]
        noise_W = uniform((SEED, stream_id("ruler.passages"), int(number)), words)[0]
        hidden = sorted(noise_W.argsort()[:count].tolist())
        at = tuple((spans[place][0] - start, spans[place][1] - start) for place in hidden)
        found.append(Passage(text[start : spans[-1][1]], at))
    return found


def word_spans(text: str) -> list[Span]:
    """The characters [from, to) of every word."""
    place_C = np.arange(len(text))
    solid_C = np.array([not character.isspace() for character in text], dtype=bool)
    if not solid_C.any():
        return []
    word_C = word_numbers(text, place_C, place_C + 1)[solid_C]
    place_C = place_C[solid_C]
    first_W = np.flatnonzero(np.diff(word_C, prepend=-1))
    last_W = np.append(first_W[1:], len(word_C)) - 1
    return list(zip(place_C[first_W].tolist(), (place_C[last_W] + 1).tolist()))
