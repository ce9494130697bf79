"""Word lists, parts of speech and bands of frequency as classes of words."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from maskwright.annotation.strata import FrequencyBand, PartOfSpeech, Strata
from maskwright.annotation.taggers import UNIVERSAL
from maskwright.errors import RecipeError


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "stop.txt").write_text("the\nDon't\nof\n")
    (tmp_path / "easy.txt").write_text("the\ncongress\nwar\n")
    return {"stop": str(tmp_path / "stop.txt"), "easy": str(tmp_path / "easy.txt")}


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_the_first_list_decides_whatever_the_case(kind, lists, document_of):
    document = document_of("The war of Congress, don’t (THE) representatives' wars!", kind)
    column = Strata("stratum", lists)
    assert column.names == ["", "stop", "easy"]
    class_T = column.mark(document)
    first_W = np.flatnonzero(document.begins_T)
    words = dict(zip([word.casefold() for word in document.words], class_T[first_W].tolist()))
    assert words == {
        "the": 1, "war": 2, "of": 1, "congress": 2, ",": 0, "don’t": 1, "(": 0, ")": 0, "representatives": 0, "'": 0,
        "wars": 0, "!": 0,
    }  # fmt: skip
    assert (class_T == class_T[first_W][document.word_T]).all()  # pieces share their word's class


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_phrases_are_found_and_bare_marks_are_not(kind, tmp_path, document_of):
    (tmp_path / "home.txt").write_text("mother-in-law\n—\n...\n(Ice cream)\nlaw of the land\n")
    (tmp_path / "food.txt").write_text("cream\nice cream cone\nlaw\nCrohn's disease\n")
    column = Strata("stratum", {"home": str(tmp_path / "home.txt"), "food": str(tmp_path / "food.txt")})
    document = document_of(
        "My Mother-in-law\nlikes ice  cream, cream - and ICE cream cone; law... Crohn’s disease", kind
    )
    class_T = column.mark(document)
    words = [f"{word}:{class_T[place]}" for word, place in zip(document.words, np.flatnonzero(document.begins_T))]
    assert " ".join(words).replace("’", "'") == (
        "My:0 Mother:1 -:1 in:1 -:1 law:1 likes:0 ice:1 cream:1 ,:0 cream:2 -:0 and:0 ICE:2 cream:2 cone:2 ;:0 law:2 "
        ".:0 .:0 .:0 Crohn's:2 disease:2"
    )
    assert (class_T == class_T[np.flatnonzero(document.begins_T)][document.word_T]).all()


def test_list_refusals(lists):
    with pytest.raises(RecipeError, match=r"^strata.stop is not set; name a UTF-8 text file with one entry a line"):
        Strata("stratum", {"stop": None})
    with pytest.raises(RecipeError, match="is empty; name word lists"):
        Strata("stratum", {})
    swapped = Strata("stratum", {"easy": lists["easy"], "stop": lists["stop"]})
    assert swapped.settings() != Strata("stratum", lists).settings()


def test_parts_of_speech_from_a_column(document_of):
    text = "Representatives met"
    tags = [{"start": 0, "end": 15, "type": "NOUN"}, {"start": 16, "end": 19, "type": "VERB"}]
    column = PartOfSpeech("pos", "tags", None)
    assert column.names == ["", *UNIVERSAL] and len(UNIVERSAL) == 17
    document = document_of(text, tags=tags)
    class_T = column.mark(document)
    noun, verb = column.names.index("NOUN"), column.names.index("VERB")
    assert class_T.tolist() == [noun if end <= 15 else verb for end in document.end_T.tolist()]
    for wrong in ((None, None), ("tags", "jieba")):
        with pytest.raises(RecipeError, match=r"^the column pos needs parts of speech: set column"):
            PartOfSpeech("pos", *wrong)


def test_a_column_of_other_tags_is_refused(tmp_path, addresses):
    from maskwright.data import Packing, TrainedTokenizer, prepare
    from maskwright.data.tagged import ConllFiles

    words = " ".join(addresses).split()[:4000]
    lines = [f"{word} {'VB' if number % 2 else 'NN'}\n" + "\n" * (number % 9 == 8) for number, word in enumerate(words)]
    (tmp_path / "tags.txt").write_text("".join(lines), encoding="utf-8")
    corpus = ConllFiles(str(tmp_path / "tags.txt"))
    with pytest.raises(RecipeError, match=r"^the column 'tags' holds NN, VB and none of the universal tags ADJ,"):
        prepare(
            corpus,
            TrainedTokenizer("bpe", 300),
            Packing("document", 16),
            columns=[PartOfSpeech("pos", "tags", None)],
            cache=tmp_path / "cache",
        )


def test_bands_follow_the_ranks(source, document_of):
    column = FrequencyBand("band", [3, 50])
    column.fit(source)
    assert column.names == ["", "1-3", "4-50", "rarer"]
    counts = Counter(word.lower() for document in source.train for word in document.words if word)
    order = sorted(counts, key=lambda word: (-counts[word], word))
    for place, word in [(0, order[0]), (2, order[2]), (3, order[3]), (49, order[49]), (50, order[50])]:
        document = document_of(word.upper())
        assert set(column.mark(document).tolist()) == {1 + (place >= 3) + (place >= 50)}, word
    assert set(column.mark(document_of("zzyzx")).tolist()) == {3}
    with pytest.raises(RecipeError, match=r"^ranks of the column band are \[5, 5\]; give rising whole numbers"):
        FrequencyBand("band", [5, 5])
