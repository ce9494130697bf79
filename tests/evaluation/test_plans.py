"""Mask plans against their definitions, written out position by position."""

from __future__ import annotations

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.plans import PLANS, check_plan

#        CLS  a  a  b  c  c  c SEP
WORD = [-1, 0, 0, 1, 2, 2, 2, -1]
ANSWER = [0, 0, 0, 1, 1, 1, 0, 0]

DEFINED = {
    "original": lambda t, u: u == t,
    "word_l2r": lambda t, u: WORD[u] == WORD[t] and u >= t,
    "whole_word": lambda t, u: WORD[u] == WORD[t],
    "global_l2r": lambda t, u: u >= t,
    "answer_l2r+word_l2r": lambda t, u: u >= t and (ANSWER[u] if ANSWER[t] else WORD[u] == WORD[t]),
    "joint": lambda t, u: ANSWER[u] if ANSWER[t] else u == t,
    "answer_words": lambda t, u: (
        ANSWER[u] and not (WORD[u] == WORD[t] and u < t) if ANSWER[t] else WORD[u] == WORD[t] and u >= t
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_a_plan_hides(name):
    place_R = torch.arange(1, 7)
    rows = (torch.tensor([WORD] * 6), torch.tensor([ANSWER] * 6).bool())
    hidden_RL = PLANS[name](*rows, place_R)
    expected = [[bool(DEFINED[name](t, u)) for u in range(8)] for t in range(1, 7)]
    assert hidden_RL.tolist() == expected
    assert all(row[t] for t, row in zip(range(1, 7), expected, strict=True))  # the token to score is hidden


def test_an_unknown_plan_is_refused():
    with pytest.raises(RecipeError, match="plan is 'pll'; choose one of original, word_l2r"):
        check_plan("pll")
