"""Mask plans: what a masked model must not see while one token is scored.

A plan turns R rows, each with one token to score at `place_R`, into the positions that are hidden in it: bool [R, L].
word_RL: number of the word of each token, -1 at special tokens and padding. answer_RL: bool, tokens of the answer.
The token to score is always hidden; a special token only under `global_l2r`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskwright.errors import RecipeError

Plan = Callable[[Tensor, Tensor, Tensor], Tensor]


def original(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The token alone (Salazar et al. 2020, arXiv 1910.14659)."""
    return _at(word_RL) == place_R[:, None]


def word_l2r(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The token and what follows it in its word (Kauf and Ivanova 2023, arXiv 2305.10588).

    A chain rule within each word: over all fillings of a word's slot the probabilities sum to 1.
    """
    return whole_word(word_RL, answer_RL, place_R) & (_at(word_RL) >= place_R[:, None])


def whole_word(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The token's whole word: every piece of a word is scored from the same input."""
    return word_RL == word_RL.gather(1, place_R[:, None])


def global_l2r(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The token and everything after it, the final special token included."""
    return _at(word_RL) >= place_R[:, None]


def answer_l2r(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """In the answer: the token and the rest of the answer. Elsewhere as `word_l2r` (lm-pub-quiz, arXiv 2408.15729)."""
    in_answer_R1 = answer_RL.gather(1, place_R[:, None])
    rest_RL = answer_RL & global_l2r(word_RL, answer_RL, place_R)
    return torch.where(in_answer_R1, rest_RL, word_l2r(word_RL, answer_RL, place_R))


def joint(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The whole answer at once; a token outside it alone."""
    return torch.where(answer_RL.gather(1, place_R[:, None]), answer_RL, original(word_RL, answer_RL, place_R))


def answer_words(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The whole answer but what stands before the token in its own word: a chain rule within each word of the answer,
    given the text around the answer. A token outside it as `word_l2r`."""
    in_answer_R1 = answer_RL.gather(1, place_R[:, None])
    before_RL = whole_word(word_RL, answer_RL, place_R) & (_at(word_RL) < place_R[:, None])
    return torch.where(in_answer_R1, answer_RL & ~before_RL, word_l2r(word_RL, answer_RL, place_R))


def next_two(word_RL: Tensor, answer_RL: Tensor, place_R: Tensor) -> Tensor:
    """The token and the two that follow it, of whatever word (BERT as an in-context learner, arXiv 2406.04823).

    Hides what a neighbour on the right would tell of the token, also across words; special tokens stay.
    """
    ahead_RL = _at(word_RL) - place_R[:, None]
    return (ahead_RL >= 0) & (ahead_RL <= 2) & (word_RL >= 0)


PLANS: dict[str, Plan] = {
    "original": original,
    "word_l2r": word_l2r,
    "whole_word": whole_word,
    "global_l2r": global_l2r,
    "answer_l2r+word_l2r": answer_l2r,
    "joint": joint,
    "answer_words": answer_words,
    "next_two": next_two,
}
NEED_ANSWER = ("answer_l2r+word_l2r", "joint", "answer_words")


def check_plan(name: str) -> None:
    """Raises RecipeError for a plan that does not exist."""
    if name not in PLANS:
        raise RecipeError(f"plan is {name!r}; choose one of {', '.join(PLANS)}.")


def _at(word_RL: Tensor) -> Tensor:
    return torch.arange(word_RL.shape[1], device=word_RL.device)
