"""How much of a text a tokenizer reads: counted on both sides, said, and refused where most of it is lost."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from maskwright.data import Packing, SavedTokenizer, TextFiles, TrainedTokenizer, prepare
from maskwright.data.tokenizers.reading import Read, check_read, read
from maskwright.errors import RecipeError

SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
UNKNOWN = {"unk_token": "[UNK]"}
RUSSIAN = "Я знаю много людей, у которых нет прав."
MIXED = "we know many people, and Том is one of them; they have no rights to know of"


def saved(path, model, **roles):
    backend = Tokenizer(model)
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL, **roles).save_pretrained(path)
    return SavedTokenizer(str(path))


def letters(*more):
    return [*SPECIAL.values(), *more, *"abcdefghijklmnopqrstuvwxyz,.;▁"]


def numbered(tokens):
    return {token: number for number, token in enumerate(tokens)}


def prepared(tmp_path, tokenizer, text):
    """60 documents, each with the words of `text` in another order."""
    lines = [" ".join(np.random.default_rng(seed).permutation(text.split())) for seed in range(60)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus = TextFiles(str(tmp_path / "text.txt"), document="line", heldout=0.2)
    return prepare(corpus, tokenizer, Packing("concatenate", 16), ruler_length=16, cache=tmp_path / "cache")


def english(tmp_path):
    pieces = numbered(["[UNK]", *letters(), *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")])
    return saved(tmp_path / "t", models.WordPiece(pieces, unk_token="[UNK]"), **UNKNOWN)


def test_counts():
    """Two documents, joined; an unknown word, a dropped one, and a character of two pieces."""
    text = "ab xx жzz ab"
    id_T, start_T, end_T = np.array([5, 1, 6, 7, 5]), np.array([0, 3, 6, 6, 10]), np.array([2, 5, 7, 7, 12])
    found = read(text, id_T, start_T, end_T, unknown=1)
    assert found == Read(tokens=5, unknown=1, characters=9, unread=4)
    assert found.unknown_share == 0.2 and found.unread_share == 4 / 9
    assert read(text, id_T, start_T, end_T, unknown=None) == Read(5, 0, 9, 2)
    assert Read().unknown_share == Read().unread_share == 0.0
    assert read("", *np.zeros((3, 0), int), 1) == Read()


def test_white_space_needs_no_token():
    assert read("  a \n b ", np.array([1, 2]), np.array([2, 6]), np.array([3, 7]), 0).unread == 0


def test_said_from_a_thousandth_on():
    assert check_read(Read(10_000, 9, 10_000, 9), "train") == []
    (said,) = check_read(Read(1000, 20, 1000, 31), "heldout")
    assert said.startswith("heldout documents: 2 % of the tokens are the unknown token and 3.1 % of the characters")
    for most in (Read(100, 51, 1000, 400), Read(100, 0, 1000, 501)):
        with pytest.raises(RecipeError, match=r"^the tokenizer cannot read the train documents: .* train one on this"):
            check_read(most, "train")
    (said,) = check_read(Read(100, 100, 1000, 1000), "heldout")  # of a handful of documents: one of other letters
    assert said.startswith("heldout documents: 100 % of the tokens")


def test_a_language_that_the_tokenizer_does_not_know_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"^the tokenizer cannot read the train documents: 8\d % of the tokens are"):
        prepared(tmp_path, english(tmp_path), RUSSIAN)


def test_unknown_words_are_counted_and_never_masked(tmp_path):
    found = prepared(tmp_path, english(tmp_path), MIXED)
    ids = found.train.take(np.arange(len(found.train)))["ids"]
    unknown = found.tokenizer.unk_token_id
    share = (ids == unknown).double().mean().item()
    assert found.report["unknown_share"]["train"] == pytest.approx(share, rel=0.2) and share > 0.01
    assert found.report["unread_share"]["heldout"] == 3 / len("".join(MIXED.split()))
    assert found.figures["data/train_unknown_share"] == found.report["unknown_share"]["train"]
    assert any("never masked" in note for note in found.report["notes"])
    assert unknown in found.tokenizer.all_special_ids


def test_a_tokenizer_that_drops_what_it_does_not_know_is_refused(tmp_path):
    tokenizer = saved(tmp_path / "t", models.BPE(numbered(letters()), []))
    with pytest.raises(RecipeError, match=r"of the characters stand under no token; train one on this text"):
        prepared(tmp_path, tokenizer, RUSSIAN)
    found = prepared(tmp_path, tokenizer, MIXED)
    assert found.report["unknown_share"] == {"train": 0.0, "heldout": 0.0}
    assert found.report["unread_share"]["train"] == 3 / len("".join(MIXED.split()))


def test_a_tokenizer_that_stops_at_what_it_does_not_know_is_refused(tmp_path):
    tokenizer = saved(tmp_path / "t", models.Unigram([(token, -1.0) for token in letters()]))
    with pytest.raises(RecipeError, match=r"^the tokenizer has neither a piece nor an unknown token for some of this"):
        prepared(tmp_path, tokenizer, RUSSIAN)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_long_words_are_no_unknown_ones(tmp_path, kind):
    """Lines of DNA."""
    lines = ["".join(np.random.default_rng(seed).choice(list("ACGT"), 200)) for seed in range(60)]
    (tmp_path / "dna.txt").write_text("\n".join(lines))
    corpus = TextFiles(str(tmp_path / "dna.txt"), document="line", heldout=0.2)
    found = prepare(corpus, TrainedTokenizer(kind, 320), Packing("document", 64), ruler_length=64, cache=tmp_path)
    assert found.report["unread_share"] == {"train": 0.0, "heldout": 0.0}
    assert found.report["unknown_share"] == {"train": 0.0, "heldout": 0.0}
    assert "the tokenizer folds case" in found.report["notes"] and found.report["folded"] == ["case"]
