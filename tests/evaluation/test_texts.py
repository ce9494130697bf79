"""Tokens in their texts: words that do not depend on the tokenizer, spans, portions, cuts."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.errors import RecipeError
from maskwright.evaluation import texts
from maskwright.evaluation.texts import Encoder, Request

TEXT = "Don't lose the traveller's 旅行, lost in 1984!"
WORDS = ["Don't", "lose", "the", "traveller's", "旅", "行", ",", "lost", "in", "1984", "!"]


@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe"])
def test_words_are_those_of_the_characters(tokenizer, subject):
    encoded = Encoder(subject("bert", tokenizer).tokenizer)([Request(0, TEXT)])
    real = encoded.word_T >= 0
    assert len(np.unique(encoded.word_T[real])) == len(WORDS)
    starts = [TEXT.index(word) for word in WORDS]
    for number, word in enumerate(np.unique(encoded.word_T[real])):
        at = encoded.word_T == word
        assert encoded.start_T[at].min() in (starts[number], starts[number] - 1)  # perhaps with the space before it
        assert encoded.end_T[at].max() == starts[number] + len(WORDS[number])


def test_the_tokenizers_own_words(subject):
    encoded = Encoder(subject("bert").tokenizer, words="tokenizer")([Request(0, "don't lose")])
    assert len(np.unique(encoded.word_T[encoded.word_T >= 0])) == 4  # don ' t lose
    with pytest.raises(RecipeError, match="words is 'pieces'; choose characters or tokenizer"):
        Encoder(subject("bert").tokenizer, words="pieces")


def test_portions_do_not_show(subject, sentences, monkeypatch):
    encoder = Encoder(subject("bert", "bpe").tokenizer)
    requests = [Request(n, text, (0, 4) if n % 2 else None) for n, text in enumerate(sentences)]
    whole = encoder(requests)
    monkeypatch.setattr(texts, "_PORTION", 2)
    parts = encoder(requests)
    for name in ("first_N", "ids_T", "start_T", "end_T", "scored_T", "answer_T"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    for first, last in zip(whole.first_N, whole.first_N[1:], strict=False):
        same = [word[first:last, None] == word[first:last] for word in (whole.word_T, parts.word_T)]
        assert np.array_equal(*same)
    assert len(encoder([]).ids_T) == 0


def test_spans_take_every_token_that_shares_a_character(subject):
    encoder = Encoder(subject("bert").tokenizer)
    text = "the travellers lost"
    ids = encoder([Request(0, text, (6, 8))])
    assert subject("bert").tokenizer.convert_ids_to_tokens(ids.ids_T[ids.scored_T]) == ["travel"]
    both = encoder([Request(0, text, ((0, 1), (13, 16)))])
    assert both.scored_T.sum() == 3  # the, ##lers, lost
    assert not encoder([Request(0, text, (3, 4))]).scored_T.any()


def test_a_cut_keeps_the_last_special_token(subject, sentences):
    encoder = Encoder(subject("bert").tokenizer)
    requests = [Request(n, text) for n, text in enumerate(sentences)]
    whole = encoder(requests)
    cut, count = whole.cut(6)
    assert count == (whole.length_N > 6).sum() > 0
    assert np.array_equal(cut.length_N, np.minimum(whole.length_N, 6))
    for n in range(len(sentences)):
        mine = cut.ids_T[cut.first_N[n] : cut.first_N[n + 1]]
        theirs = whole.ids_T[whole.first_N[n] : whole.first_N[n + 1]]
        kept = theirs if len(theirs) <= 6 else [*theirs[:5], theirs[-1]]
        assert mine.tolist() == list(kept)


def test_a_slow_tokenizer_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(RecipeError, match="has no fast form"):
        Encoder(Slow())
