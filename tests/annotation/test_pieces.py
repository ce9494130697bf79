"""Words as tokens: spelled as they stand in the text, and found again by their tokens."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from maskwright.annotation.pieces import PieceTable, spelled, tells_spaces, word_keys

KINDS = ["wordpiece", "bpe", "unigram"]


@pytest.fixture(scope="module", params=KINDS)
def source(request, source_of, addresses):
    return source_of(addresses[:8], kind=request.param, vocabulary=700)


def tokens_of_words(document):
    """By plain loops: (word, the character before it, its tokens)."""
    found = []
    first = np.flatnonzero(document.begins_T).tolist()
    for number, (begin, end) in enumerate(zip(first, [*first[1:], len(document)])):
        start, stop = int(document.start_T[begin]), int(document.end_T[end - 1])
        solid = start + len(document.text[start:stop]) - len(document.text[start:stop].lstrip())
        before = document.text[solid - 1] if solid else ""
        found.append((document.words[number], before, tuple(document.id_T[begin:end].tolist())))
    return found


@pytest.mark.parametrize(("spaced", "before"), [(True, " "), (False, '"(-')])
def test_words_are_spelled_as_they_stand_in_the_text(source, spaced, before):
    stand = {
        (word, ids)
        for document in source.train
        for word, mark, ids in tokens_of_words(document)
        if mark and mark in before
    }
    stand = {
        (word, ids) for word, ids in stand if any(map(str.isalnum, word)) and source.tokenizer.unk_token_id not in ids
    }
    words = sorted({word for word, _ in stand})
    assert len(words) > (500 if spaced else 10)
    ids_of = dict(zip(words, spelled(words, spaced, source.tokenizer)))
    assert {(word, ids_of[word]) for word, _ in stand} == stand


def test_only_tokenizers_that_write_spaces_tell_them_apart(source):
    piece = source.tokenizer.convert_ids_to_tokens(source.train.ids[:500].tolist())
    assert tells_spaces(source.tokenizer) == any(text.startswith(("Ġ", "▁")) for text in piece)


def test_what_the_tokenizer_does_not_know_is_not_spelled(source_of, addresses):
    tokenizer = source_of(addresses[:2], kind="wordpiece").tokenizer
    assert spelled(["中", "the"], True, tokenizer)[0] is None
    assert spelled([], True, tokenizer) == []
    (ids,) = spelled(["[MASK]"], True, tokenizer)
    assert ids is None or tokenizer.mask_token_id not in ids


def test_keys_are_equal_where_tokens_are(source):
    keys, tuples = {}, {}
    for document in source.train:
        for key, (_, _, ids) in zip(word_keys(document.id_T, document.begins_T).tolist(), tokens_of_words(document)):
            assert keys.setdefault(ids, key) == key
            assert tuples.setdefault(key, ids) == ids
    assert len(keys) > 500
    assert word_keys(np.zeros(0, np.uint16), np.zeros(0, bool)).shape == (0,)


def test_rows_equal_those_of_a_dictionary(source):
    counts = Counter(ids for document in source.train for _, _, ids in tokens_of_words(document))
    entries = [ids for ids, _ in counts.most_common(200)]
    table = PieceTable([*entries, entries[3]])  # of equal entries the first one counts
    number = {ids: row for row, ids in enumerate(entries)}
    for document in source.train:
        expected = [number.get(ids, -1) for _, _, ids in tokens_of_words(document) for _ in ids]
        found = table.rows(document)
        assert found.dtype == np.int32
        assert found.tolist() == expected
    assert (PieceTable([]).rows(document) == -1).all()
