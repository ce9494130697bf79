"""Looked-up tokens are the tokenizer's own, whatever stands between the words."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from tokenizers import AddedToken, normalizers, pre_tokenizers, processors

from maskwright.data import encode
from maskwright.data.encode import Encoder, encoded, is_local
from maskwright.data.tokenizers import TrainedTokenizer
from maskwright.data.tokens import token_bytes

KINDS = ("wordpiece", "bpe", "unigram")
ODD = ["\u0301x", "\u0301", "\u00ad", "a\u00ad", "a\u200bb", "b\u200b", "\x01", "\u0130", "x" * 130, "e\u0301", "[MASK]", "it's", "\u4e2d\u6587", "\ufeff"]
SPACES = [" "] * 12 + ["  ", "\n", "\n\n", "\t", "\r\n", " \t ", "\u00a0", "\u2028", "\u3000", "", " \n ", "\n "]
JOINING = ["\x0b", "\x0c", "\x1c", "\x85"]


@pytest.fixture(scope="module")
def backends(folder):
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())[:6]]
    return {kind: TrainedTokenizer(kind, 700).train(texts) for kind in KINDS}


def texts_of(folder, odd, spaces, count=60):
    rng = random.Random(0)
    words = sorted(folder.iterdir())[7].read_text(encoding="utf-8").split()[:400] + odd
    made = ["".join(rng.choice(words) + rng.choice(spaces) for _ in range(rng.choice([0, 1, 3, 80]))) for _ in range(count)]
    return [*made, *(rng.choice(spaces) + text for text in made[:20]), "", " ", "\n", "  \n", " a", "a ", "\n\na"]


def own(text, backend):
    (found,) = encoded([text], backend)
    return found


def check(backend, texts, together):
    encoder = Encoder(backend)
    for first in range(0, len(texts), together):
        part = texts[first : first + together]
        found = encoder(part)
        ends = np.cumsum(found.count_D)
        size_T = token_bytes(part, found.end_T, found.count_D)
        for text, begin, end in zip(part, ends - found.count_D, ends):
            for value, same in zip((found.id_T, found.start_T, found.end_T), own(text, backend), strict=True):
                np.testing.assert_array_equal(value[begin:end], same)
            if begin < end:
                assert size_T[begin:end].sum() == len(text.encode())
    return encoder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("odd", "spaces"), [([], SPACES), (ODD, SPACES), ([], [*SPACES, *JOINING])])
def test_tokens_are_the_tokenizers_own(backends, folder, kind, odd, spaces):
    texts = texts_of(folder, odd, spaces)
    for together in (1, 13, len(texts)):
        encoder = check(backends[kind], texts, together)
        assert encoder.quick
    assert encoder._number or odd


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_forgotten_is_encoded_again(backends, folder, kind, monkeypatch):
    monkeypatch.setattr(encode, "_KNOWN", 40)
    monkeypatch.setattr(encode, "_LONGEST", 6)
    encoder = check(backends[kind], texts_of(folder, [], SPACES), 5)
    assert 0 < len(encoder._number) <= 40
    assert max(map(len, encoder._number)) <= 6


def test_tokenizers_that_look_across_white_space_are_left_to_the_library(backends):
    def changed(**parts):
        other = type(backends["bpe"]).from_str(backends["bpe"].to_str())
        for name, part in parts.items():
            setattr(other, name, part)
        return json.loads(other.to_str())

    assert is_local(changed())
    assert not is_local(changed(pre_tokenizer=None))
    assert not is_local(changed(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)))
    assert not is_local(changed(pre_tokenizer=pre_tokenizers.Metaspace()))
    assert not is_local(changed(normalizer=normalizers.Prepend("_")))
    assert not is_local(changed(normalizer=normalizers.Replace("a b", "c")))
    several = type(backends["bpe"]).from_str(backends["bpe"].to_str())
    several.add_tokens([AddedToken("new york", special=False)])
    assert not is_local(json.loads(several.to_str()))


def test_robertas_offsets_and_added_tokens(backends, folder):
    backend = type(backends["bpe"]).from_str(backends["bpe"].to_str())
    backend.post_processor = processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.add_tokens([AddedToken("[URL]", normalized=False, special=False, lstrip=True)])
    assert check(backend, texts_of(folder, ["[URL]", "a[URL]b"], SPACES), 9).quick
