"""Words are the same for every tokenizer, and bytes add up."""

from __future__ import annotations

import re

import numpy as np
import pytest

from maskwright.data.tokenizers import TrainedTokenizer
from maskwright.data.encode import encoded
from maskwright.data.tokens import token_bytes
from maskwright.data.words import word_numbers, word_starts

KINDS = ("wordpiece", "bpe", "unigram")


@pytest.fixture(scope="module")
def backends(folder):
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
    return {kind: TrainedTokenizer(kind, vocabulary=700, lowercase=kind != "bpe").train(texts) for kind in KINDS}


def test_rule_by_hand():
    text = "Don't stop: 'tis 1,250 na\u00efve"
    pieces = ["Don", "'", "t", " stop", ":", " '", "tis", " 1", ",", "2", "50", " na\u00ef", "ve"]
    end = np.cumsum([len(piece) for piece in pieces])
    starts = word_starts(text, end - [len(piece) for piece in pieces], end)
    assert starts.tolist() == [bool(int(flag)) for flag in "1001111111010"]


def test_white_space_tokens_belong_to_the_next_word():
    text = "a  bc \n"
    start, end = np.array([0, 1, 2, 3, 5, 6]), np.array([1, 2, 3, 5, 6, 7])
    assert word_numbers(text, start, end).tolist() == [1, 2, 2, 2, 3, 3]


def test_empty_offsets_and_byte_pieces_stay_with_their_character():
    text = "\u4e2d\u00e9"  # an inserted prefix at (0, 0), then three byte pieces of one character, two of the next
    start, end = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 2, 2])
    assert word_starts(text, start, end).tolist() == [True, False, False, False, True, False]


def test_han_characters_are_words():
    text = "\u4e2d\u6587 ab\u5206"
    start = np.arange(len(text))
    assert word_starts(text, start, start + 1).tolist() == [True, True, True, False, False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_letters_agree_with_a_regular_expression(backends, folder, kind):
    """The words that tokens end in are exactly those that a regular expression finds, for every tokenizer."""
    word = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
    for path in sorted(folder.iterdir())[:8]:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"[\u4e00-\u9fff\u0300]", "", text)  # Han words and lone marks are not runs of \w
        encoding = backends[kind].encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets)
        numbers = word_numbers(text, offsets[:, 0], offsets[:, 1])
        everywhere = word_numbers(text, np.arange(len(text)), np.arange(1, len(text) + 1))
        found = {int(everywhere[match.start()]) for match in word.finditer(text)}
        whole = [everywhere[match.start()] == everywhere[match.end() - 1] for match in word.finditer(text)]
        assert all(whole)
        assert len(found) == len(whole)
        assert found <= set(numbers.tolist())


def test_letter_words_have_as_many_starts_under_every_tokenizer(backends, folder):
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())[:8])
    text = re.sub(r"[^\w\s'\u2019]+|_", " ", text)  # tokenizers may merge punctuation, each mark of which is a word
    counts = set()
    for backend in backends.values():
        _, start_T, end_T = next(encoded([text], backend))
        counts.add(int(np.sum(word_starts(text, start_T, end_T))))
    assert len(counts) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_sum_to_the_text(backends, folder, hard, kind):
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())] + [hard, " \n" + hard]
    for text, (id_T, _, end_T) in zip(texts, encoded(texts, backends[kind]), strict=True):
        counts = token_bytes([text], end_T, np.array([len(end_T)]))
        assert int(counts.sum()) == len(text.encode())
        assert len(counts) == len(id_T)


def test_white_space_counts_to_the_token_after_it():
    assert token_bytes([" a \u00e9\n"], np.array([2, 4]), np.array([2])).tolist() == [2, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_in_portions_equal_the_whole(backends, folder, kind, monkeypatch):
    """Portions begin where white space begins, so that tokens, bytes and words do not change."""
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())[:3])
    whole = next(encoded([text], backends[kind]))
    monkeypatch.setattr("maskwright.data.encode._PORTION", 500)
    for column, same in zip(whole, next(encoded([text], backends[kind])), strict=True):
        np.testing.assert_array_equal(column, same)
