"""Mask plans against their definitions, written out position by position."""

from __future__ import annotations

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.plans import PLANS, check_plan
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.tools import Tools

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
    "next_two": lambda t, u: t <= u <= t + 2 and WORD[u] >= 0,
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


def test_next_two_position_by_position():
    """CLS a a b c SEP, and a shorter text beside it: two tokens ahead, whatever their word, and no special one."""
    word_RL = torch.tensor([[-1, 0, 0, 1, 2, -1]] * 4 + [[-1, 0, 1, -1, -1, -1]] * 2)
    hidden_RL = PLANS["next_two"](word_RL, torch.zeros_like(word_RL).bool(), torch.tensor([1, 2, 3, 4, 1, 2]))
    assert hidden_RL.int().tolist() == [
        [0, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
    ]


def test_next_two_scores_the_last_token_as_original_and_whatever_the_batch(subject, sentences):
    bert = subject("bert")
    found = {plan: Scorer(bert, plan=plan)((text, text) for text in sentences) for plan in ("original", "next_two")}
    alone = Scorer(bert, Tools(positions=1), "next_two")((text, text) for text in sentences)
    for text in sentences:
        original, ahead = found["original"][text].logp_T, found["next_two"][text].logp_T
        assert ahead[-1] == pytest.approx(original[-1], abs=1e-5)
        assert len(ahead) == 1 or abs(ahead[:-1] - original[:-1]).max() > 1e-3
        assert alone[text].logp_T == pytest.approx(ahead, abs=1e-5)


def test_next_two_gives_a_unigram_model_its_likelihood(subject, sentences):
    """A head that does not look at its input: the sum is the log-likelihood of independent tokens."""
    bert = subject("bert")
    decoder = bert.network.hf.cls.predictions.decoder
    with torch.no_grad():
        decoder.weight.zero_()
        decoder.bias.normal_(generator=torch.Generator().manual_seed(1))
    logp_V = decoder.bias.detach().double().log_softmax(0)
    for text, score in Scorer(bert, plan="next_two")((text, text) for text in sentences).items():
        ids = bert.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert score.sum == pytest.approx(logp_V[ids].sum().item(), abs=1e-3)
