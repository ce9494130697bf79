"""Passages: a fixed measure over characters, whatever the tokenizer."""

from __future__ import annotations

from maskwright.evaluation.passages import passages, word_spans

TEXT = "Don't lose  the 旅行, traveller!\nIn 1984 it was lost. "


def test_words_and_where_they_stand():
    spans = word_spans(TEXT)
    words = ["Don't", "lose", "the", "旅", "行", ",", "traveller", "!", "In", "1984", "it", "was", "lost", "."]
    assert [TEXT[first:last] for first, last in spans] == words
    assert word_spans(" \n") == [] == word_spans("")


def test_passages_have_their_words_and_hide_their_share():
    documents = [TEXT * 40, "short", TEXT * 25]
    found = passages(documents, 20, 0.15, None)
    assert len(found) == (14 * 40) // 20 + (14 * 25) // 20
    for text, hidden in found:
        spans = word_spans(text)
        assert len(spans) == 20 and len(hidden) == 3 and set(hidden) <= set(spans)
        assert text == text.strip()
    places = [word_spans(text).index(one) for text, hidden in found for one in hidden]
    assert len(set(places)) == 20  # every place is hidden somewhere
    assert len({hidden for _, hidden in found}) > 10


def test_the_same_passages_every_time_and_a_sample_of_them():
    documents = [TEXT * 40]
    whole = passages(documents, 10, 0.3, None)
    some = passages(documents, 10, 0.3, 7)
    assert some == passages(documents, 10, 0.3, 7) and len(some) == 7
    assert all(passage in whole for passage in some)
    assert passages(["too short"], 10, 0.3, 7) == []
