"""Trained and saved tokenizers: special tokens, templates, offsets, and one training per cache."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from maskwright.data import Packing, TextFiles, prepare
from maskwright.data.corpus import Sotu
from maskwright.data.prepare import texts_of
from maskwright.data.tokenizers import SavedTokenizer, TrainedTokenizer, fingerprint
from maskwright.data.tokenizers.folding import asked_for, folded
from maskwright.errors import RecipeError
from maskwright.masking import Vocabulary
from maskwright.tokenids import is_token_V, table_rows

KINDS = ["wordpiece", "bpe", "unigram"]
ENGLISH = ["the cold grey harbour, a harbour of cold and rain; walking, singing people of the union"]
SCRIPTS = {
    "thai": "ที่นี่มีคน",
    "hindi": "क्षि किताब",
    "arabic with vowels": "مُحَمَّد",
    "japanese": "がぎぐパ",
    "half-width japanese": "ﾊﾟ",
    "persian with a joiner": "می\u200cخواهم",
    "emoji with joiners": "👩\u200d💻 ❤\ufe0f 🏴\U000e0067\U000e0062",
    "korean": "한국어",
    "vietnamese": "việt",
    "signs": "x² ½ ﬁ ﷺ",
    "russian": "йод ещё",
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def texts(folder):
    return [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]


def loaded(cache, kind, vocabulary, texts, **options):
    return TrainedTokenizer(kind, vocabulary, **options).load(lambda: texts, f"{vocabulary} {texts} {options}", cache)


def none():
    raise AssertionError("trained again")


@pytest.mark.parametrize("kind", KINDS)
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
        TrainedTokenizer(strip_accents=True),
    ]
    assert len({recipe.key(corpus) for recipe in recipes for corpus in ("a", "b")}) == 12


def test_the_quick_start_ships_its_tokenizer(tmp_path, cache):
    _, key = texts_of(Sotu(), cache)
    tokenizer = TrainedTokenizer().load(none, key, tmp_path)
    assert len(tokenizer) == 4096 and TrainedTokenizer().notes(tokenizer) == []
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_too_large_for_the_text_is_lowered_with_a_note(kind, tmp_path):
    recipe = TrainedTokenizer(kind, vocabulary=9000)
    tokenizer = recipe.load(lambda: ["a few words only, a few words"] * 9, "key", tmp_path, ("[DATE]",))
    size = len(tokenizer) - 1
    assert 10 < size < 400
    assert recipe.notes(tokenizer) == [f"tokenizer.vocabulary is 9,000, and the text yields {size} pieces, all taken"]


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_no_script_is_damaged(kind, text, tmp_path):
    """What was tokenized comes back whole, white space apart, also with case and accents folded."""
    tokenizer = loaded(tmp_path, kind, 300, [*SCRIPTS.values(), *ENGLISH] * 3, lowercase=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert "".join(tokenizer.decode(ids).split()) == "".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_folding_is_what_was_asked_for(kind, tmp_path):
    texts = [*SCRIPTS.values(), *ENGLISH, "İstanbul Éclair ΆΛΦΑ Й が istanbul éclair άλφα й"] * 3
    plain, lower, bare = (
        loaded(tmp_path, kind, 330, texts, lowercase=lowercase, strip_accents=strip)
        for lowercase, strip in ((False, False), (True, False), (True, True))
    )
    assert [folded(one) for one in (plain, lower, bare)] == [[], ["case"], ["case", "accents"]]
    assert lower.tokenize("İstanbul ÉCLAIR") == lower.tokenize("istanbul éclair")
    assert bare.tokenize("Éclair ΆΛΦΑ") == bare.tokenize("eclair αλφα")
    assert bare.tokenize("й が") != bare.tokenize("и か")  # these marks make other letters
    assert plain.tokenize("Éclair") != plain.tokenize("éclair")
    assert asked_for(plain, texts) != asked_for(lower, texts) != asked_for(bare, texts)
    assert asked_for(plain, ["a few\nwords"]) == asked_for(lower, ["a few words"])


def test_lower_casing_turkish_is_said(tmp_path):
    recipe = TrainedTokenizer(vocabulary=300)
    assert "the Turkish ı" in recipe.notes(loaded(tmp_path, "wordpiece", 300, ["ışık kapı", *ENGLISH] * 50))[-1]


def test_invisible_characters_part_words_or_vanish(tmp_path):
    for kind in ("wordpiece", "unigram"):
        tokenizer = loaded(tmp_path, kind, 200, ENGLISH * 9)
        assert tokenizer.tokenize("cold\x00rain\u200bof") == tokenizer.tokenize("cold rain of")
        assert tokenizer.tokenize("a \ufeffhar\u00adbour") == tokenizer.tokenize("a harbour")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [99, 101, 250, 20_000])
def test_words_of_any_length_are_read(kind, length, tmp_path):
    letters = np.random.default_rng(0).choice(list("ACGT"), length)
    word = "".join(letters)
    tokenizer = loaded(tmp_path, kind, 320, [word, *ENGLISH])
    ids = tokenizer(f"the {word} of", add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert re.sub(r"\s|##", "", tokenizer.decode(ids)) == f"the{word}of".lower()


def test_the_parts_of_a_long_word_keep_their_marks(tmp_path):
    word = "e\u0331" * 300  # no composed form
    tokenizer = loaded(tmp_path, "wordpiece", 300, [word, *ENGLISH])
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids and not tokenizer.convert_ids_to_tokens(ids)[0].startswith("\u0331")


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_takes_the_space_before_it(kind, texts, tmp_path):
    """`the cold [MASK] harbour` has the tokens of a training row in which one word is masked."""
    tokenizer = loaded(tmp_path, kind, 330, ENGLISH * 50, lowercase=False)
    tokenizer.save_pretrained(tmp_path / "export")
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path / "export")):
        for before, after in (("the cold", " harbour"), ("a harbour of", ", a cold"), ("", " people")):
            own = [one(part, add_special_tokens=False)["input_ids"] for part in (before, before + " rain" + after)]
            ids = one(f"{before} [MASK]{after}", add_special_tokens=False)["input_ids"]
            rest = one(before + " rain", add_special_tokens=False)["input_ids"]
            assert ids == [*own[0], one.mask_token_id, *own[1][len(rest) :]]


def test_saved_tokenizers_whose_mask_leaves_the_space_are_mended(tmp_path):
    old = loaded(tmp_path, "bpe", 330, ENGLISH * 50)
    before = fingerprint(old)
    old.backend_tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=False, special=True)])
    assert "Ġ" in old.tokenize("cold [MASK] rain")
    old.save_pretrained(tmp_path / "old")
    new = SavedTokenizer(str(tmp_path / "old")).load(none, "", tmp_path)
    assert "Ġ" not in new.tokenize("cold [MASK] rain")
    assert fingerprint(new) == before  # no text has other tokens


def word_level(path, ids, **roles):
    """A saved tokenizer whose words have these ids."""
    backend = Tokenizer(models.WordLevel(ids, unk_token=roles.get("unk_token")))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, **roles).save_pretrained(path)
    return SavedTokenizer(str(path))


ROLES = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
WORDS = {token: number for number, token in enumerate(ROLES.values())}


@pytest.mark.parametrize(
    ("role", "twin"), [("pad", "sep"), ("pad", "unk"), ("pad", "cls"), ("mask", "unk"), ("mask", "sep")]
)
def test_a_padding_or_mask_token_with_a_second_role_is_refused(tmp_path, role, twin):
    roles = ROLES | {f"{role}_token": ROLES[f"{twin}_token"]}
    with pytest.raises(RecipeError, match=rf"as its {role} and its {twin} token; give the {role} token an entry"):
        word_level(tmp_path / "t", WORDS, **roles).load(none, "", tmp_path)


def test_one_token_may_begin_and_end_a_text(tmp_path):
    tokenizer = word_level(tmp_path / "t", WORDS, **ROLES | {"cls_token": "</s>"}).load(none, "", tmp_path)
    assert tokenizer.cls_token_id == tokenizer.sep_token_id


def test_a_file_alone_knows_other_names_of_special_tokens(tmp_path):
    word_level(tmp_path / "t", WORDS | {"a": 5}, **ROLES)
    (tmp_path / "t" / "tokenizer_config.json").unlink()
    tokenizer = SavedTokenizer(str(tmp_path / "t" / "tokenizer.json")).load(none, "", tmp_path)
    assert (tokenizer.pad_token, tokenizer.unk_token, tokenizer.mask_token) == ("<pad>", "<unk>", "<mask>")


def test_an_unknown_token_that_is_not_declared_is_special_all_the_same(tmp_path):
    roles = {name: token for name, token in ROLES.items() if name != "unk_token"}
    backend = Tokenizer(models.WordLevel(WORDS | {"a": 5}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=backend, **roles).save_pretrained(tmp_path / "t")
    tokenizer = SavedTokenizer(str(tmp_path / "t")).load(none, "", tmp_path)
    assert tokenizer.unk_token_id == 1 and Vocabulary.of(tokenizer).ordinary_O.tolist() == [5]


@pytest.mark.parametrize("highest", [40, 100_000])
def test_ids_with_holes(tmp_path, highest):
    """Tables have a row for the highest id, and no id without a token is ever drawn."""
    tokenizer = word_level(tmp_path / "t", WORDS | {"a": 7, "b": highest}, **ROLES).load(none, "", tmp_path)
    vocabulary = Vocabulary.of(tokenizer)
    assert table_rows(tokenizer) == vocabulary.size == highest + 1
    assert vocabulary.ordinary_O.tolist() == [7, highest]
    assert np.flatnonzero(is_token_V(tokenizer)).tolist() == [0, 1, 2, 3, 4, 7, highest]
    assert is_token_V(tokenizer, 9).sum() == 6
    (tmp_path / "text.txt").write_text(
        "\n\n".join(map(" ".join, np.random.default_rng(0).choice(["a", "b"], (40, 12))))
    )
    packed = prepare(
        TextFiles(str(tmp_path / "text.txt"), document="blank_line"),
        SavedTokenizer(str(tmp_path / "t")), Packing("concatenate", 8), ruler_length=8, cache=tmp_path,
    )  # fmt: skip
    assert set(packed.train.take(np.arange(len(packed.train)))["ids"].unique().tolist()) <= {0, 2, 3, 7, highest}


def test_a_damaged_tokenizer_in_the_cache_is_made_again(tmp_path):
    first = loaded(tmp_path, "bpe", 300, ENGLISH)
    (path,) = (tmp_path / "tokenizers").glob("*.json")
    path.write_text(path.read_text()[:100])
    assert fingerprint(loaded(tmp_path, "bpe", 300, ENGLISH)) == fingerprint(first)
