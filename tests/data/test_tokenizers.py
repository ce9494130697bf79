"""Trained and saved tokenizers: special tokens, templates, offsets, and one training per cache."""

from __future__ import annotations

import shutil

import pytest
from transformers import AutoTokenizer

from maskwright.data.corpus import Sotu
from maskwright.data.prepare import texts_of
from maskwright.data.tokenizers import SavedTokenizer, TrainedTokenizer, fingerprint
from maskwright.errors import RecipeError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def texts(folder):
    return [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]


def none():
    raise AssertionError("trained again")


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_trained(texts, tmp_path, kind):
    recipe = TrainedTokenizer(kind, vocabulary=500)
    tokenizer = recipe.load(lambda: texts, "key", tmp_path)
    assert len(tokenizer) == tokenizer.vocab_size == 500
    assert tokenizer.convert_tokens_to_ids(SPECIAL) == list(range(5))
    ids = tokenizer("the people", "of the union")["input_ids"]
    first, second = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("the people", "of the union"))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert ids == [cls, *first, sep, *second, sep]
    assert tokenizer.decode(first).strip() == "the people"
    again = recipe.load(none, "key", tmp_path)
    assert fingerprint(again) == fingerprint(tokenizer)


def test_saved_and_loaded_again_is_the_same(texts, tmp_path):
    tokenizer = TrainedTokenizer(vocabulary=500).load(lambda: texts, "key", tmp_path)
    tokenizer.save_pretrained(tmp_path / "run" / "export")
    ids = tokenizer("The [MASK] of the union")["input_ids"]
    assert AutoTokenizer.from_pretrained(tmp_path / "run" / "export")("The [MASK] of the union")["input_ids"] == ids
    for path in ("run", "run/export", "run/export/tokenizer.json"):
        loaded = SavedTokenizer(str(tmp_path / path)).load(none, "", tmp_path)
        assert loaded("The [MASK] of the union")["input_ids"] == ids
        assert fingerprint(loaded) == fingerprint(tokenizer)


def test_padding_and_truncation_do_not_change_the_fingerprint(texts, tmp_path):
    tokenizer = TrainedTokenizer(vocabulary=500).load(lambda: texts, "key", tmp_path)
    before = fingerprint(tokenizer)
    tokenizer(["a", "b c d e f g"], padding=True, truncation=True, max_length=4)
    assert fingerprint(tokenizer) == before


def test_settings_make_other_keys():
    recipes = [
        TrainedTokenizer(),
        TrainedTokenizer("bpe"),
        TrainedTokenizer(vocabulary=5000),
        TrainedTokenizer(lowercase=False),
        TrainedTokenizer(min_frequency=3),
    ]
    assert len({recipe.key(corpus) for recipe in recipes for corpus in ("a", "b")}) == 10


def test_the_quick_start_ships_its_tokenizer(tmp_path, cache):
    _, key = texts_of(Sotu(), cache)
    tokenizer = TrainedTokenizer().load(none, key, tmp_path)
    assert len(tokenizer) == 4096
    assert not list(tmp_path.iterdir())
    assert tokenizer.tokenize("Congress of the United States") == ["congress", "of", "the", "united", "states"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "words"}, "tokenizer.kind is 'words'; choose one of wordpiece, bpe, unigram."),
        ({"vocabulary": 10}, "tokenizer.vocabulary is 10; wordpiece needs a whole number from 64 on."),
        ({"kind": "bpe", "vocabulary": 256}, "tokenizer.vocabulary is 256; bpe needs a whole number from 300 on."),
        ({"min_frequency": 0}, "tokenizer.min_frequency is 0; give a whole number from 1 on."),
    ],
)
def test_refused_settings(arguments, message):
    with pytest.raises(RecipeError) as error:
        TrainedTokenizer(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_vocabulary_too_large_for_the_text_is_refused(kind):
    with pytest.raises(RecipeError, match=r"^tokenizer\.(vocabulary is 9000|kind=unigram cannot learn 9000)"):
        TrainedTokenizer(kind, vocabulary=9000).train(["a few words only, a few words"])


def test_a_vocabulary_too_small_for_the_characters_is_refused():
    text = " ".join(chr(0x4E00 + number) for number in range(500)) * 3
    with pytest.raises(RecipeError, match=r"^tokenizer.vocabulary is 100, but the characters of the text alone need 5"):
        TrainedTokenizer(vocabulary=100).train([text])


def test_refused_paths(tmp_path, texts):
    with pytest.raises(RecipeError, match=r"^tokenizer.path is not set"):
        SavedTokenizer()
    with pytest.raises(RecipeError, match=r"^tokenizer.path=no/such is neither a local tokenizer nor one that the hub"):
        SavedTokenizer("no/such").load(none, "", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"is not a tokenizer.json file; name one.$"):
        SavedTokenizer(str(tmp_path / "tokenizer.json")).load(none, "", tmp_path)


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"<s>": 0, "a": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>").save_pretrained(tmp_path / "gpt")
    with pytest.raises(RecipeError, match=r"has no pad, cls, sep, mask token; choose one made for masked models, or"):
        SavedTokenizer(str(tmp_path / "gpt")).load(none, "", tmp_path)
    shutil.rmtree(tmp_path / "gpt")
