"""Segmenters: only units change, never the tokens; words of the documents are taken at their word."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from maskwright.annotation.segmenters import Column, Jieba, Spaces
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.data.words import Rule
from maskwright.errors import RecipeError

CHINESE = (
    "我来到北京清华大学，研究生命的起源。",
    "他说 hello world，年薪 1,250 元！",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造。",
)


def words_of(segmenter, text, **fields):
    begins = np.append(np.flatnonzero(segmenter.begins(text, fields)), len(text))
    return [text[start:end].strip() for start, end in pairwise(begins)]


@pytest.fixture
def jieba():
    pytest.importorskip("rjieba")
    return Jieba(None, True)


def test_chinese_words_and_other_text(jieba):
    assert words_of(jieba, CHINESE[0]) == ["我", "来到", "北京", "清华大学", "，", "研究", "生命", "的", "起源", "。"]
    assert words_of(jieba, CHINESE[1]) == ["他", "说", "hello", "world", "，", "年薪", "1", ",", "250", "元", "！"]
    assert words_of(jieba, "don't François stop") == ["don't", "François", "stop"]  # the rule's, not jieba's


def test_it_cuts_as_jieba_does(jieba):
    """On words with a Han character, the independent reading of jieba's own output."""
    import rjieba as library

    for text in CHINESE:
        expected = [word for word in library.cut(text) if any("\u4e00" <= c <= "\u9fff" for c in word)]
        assert [word for word in words_of(jieba, text) if any("\u4e00" <= c <= "\u9fff" for c in word)] == expected


def test_further_words(tmp_path):
    pytest.importorskip("rjieba")
    (tmp_path / "more.txt").write_text("生命的起源 100000\n", encoding="utf-8")
    more = Jieba(str(tmp_path / "more.txt"), True)
    assert "生命的起源" in words_of(more, CHINESE[0])
    assert more.settings() != Jieba(None, True).settings() != Jieba(None, False).settings()


def test_without_jieba_the_cure_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"^words=jieba needs rjieba.*run `pip install 'maskwright\[chinese\]'`"):
        Jieba(None, True)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chinese")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(40):
            name = "".join("甲乙丙丁戊己庚辛壬癸"[int(digit)] for digit in str(number))
            text = f"{CHINESE[number % 3]}{name}。{CHINESE[(number + 1) % 3]}"
            file.write(json.dumps({"text": text}) + "\n")

    def made(segmenter):
        return prepare(
            TextFiles(str(folder / "rows.jsonl"), heldout=0.1),
            TrainedTokenizer("wordpiece", 80),
            Packing("document", 64),
            words=segmenter,
            cache=folder / "cache",
        )

    return made


def test_tokens_stay_and_words_are_whole(chinese, jieba):
    """Chinese whole-word masking (arXiv 1906.08101): ids equal those without a segmenter, words never partly masked."""
    from maskwright.masking import Masking, ViewRecipe, Views, Vocabulary
    from maskwright.masking.budgets import Counted
    from maskwright.masking.corruptions import Replace
    from maskwright.masking.rates import Constant
    from maskwright.masking.units import Word

    plain, cut = chinese(Rule()), chinese(jieba)
    every = np.arange(len(plain.train))
    one, two = plain.train.take(every), cut.train.take(every)
    assert (one["ids"] == two["ids"]).all() and one["word"].sum() > two["word"].sum()
    budget = Counted("token", "down", "skip", 0, None)
    recipe = ViewRecipe("main", Masking(Word(), budget), Constant(0.3), Replace(0.8, 0.1, 0.1, "token"))
    views = Views([recipe], Vocabulary.of(cut.tokenizer, ()), 0, 64, cut.train.longest)
    partly, seen = 0, 0
    for visit in range(20):
        two["visit"] = two["sample"] * 0 + visit
        view = views(two, 0.0)["main"]
        chosen = view.outcome_BL > 0
        assert (chosen.sum(1) <= (0.3 * view.maskable_BL.sum(1) + 1e-9).floor()).all()  # the budget is never exceeded
        inside = ~two["word"][:, 1:] & view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1]
        partly += int((chosen[:, 1:] != chosen[:, :-1])[inside].sum())
        seen += int(chosen.sum())
    assert partly == 0 and seen > 1000


TEXT = "New  York isn't far.\n"


@pytest.mark.parametrize(
    "value",
    [
        ["New", "York", "is", "n't", "far", "."],
        "New York is n't far .",
        [{"start": 0, "end": 3}, {"start": 5, "end": 9}, {"start": 10, "end": 12}, {"start": 12, "end": 15},
         {"start": 16, "end": 19}, {"start": 19, "end": 20}],
        {"start": [0, 5, 10, 12, 16, 19], "end": [3, 9, 12, 15, 19, 20]},
    ],
)  # fmt: skip
def test_words_of_the_documents(value):
    assert words_of(Column("words"), TEXT, words=value) == ["New", "York", "is", "n't", "far", "."]


@pytest.mark.parametrize("value", [["New", "York"], ["New", "Jersey"], ["York", "New"], [{"start": 0, "end": 3}], None])
def test_words_of_another_text_are_refused(value):
    with pytest.raises(RecipeError, match=r"^words.column=words of document 7 does not go on with the text at"):
        Column("words").begins(TEXT, {"words": value, "document": 7})


def test_the_column_must_be_there(chinese):
    with pytest.raises(RecipeError, match=r"^word reads the column 'cut' of the documents, and it carries none"):
        chinese(Column("cut"))
    with pytest.raises(RecipeError, match=r"^words.column is not set"):
        Column(None)


def test_spaces():
    assert words_of(Spaces(), " a.b  c\n\u3000d ") == ["a.b", "c", "d"]
    assert words_of(Spaces(), "") == []
