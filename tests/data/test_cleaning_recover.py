"""Protected words are gone, the number of words stays, and held-out text is untouched."""

from __future__ import annotations

import json

import pytest

from maskwright.annotation.protected import AllowList, Frequent, Spanned
from maskwright.annotation.sources import ColumnSpans, Given
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.data.cleaning import Recover
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError

PUBLIC = ["the", "house", "of", "people", "went", "to", "and", "mister", "saw", "again", "old", "town", "trade", "city"]


class Cycle:
    """Writes the allowed words one after the other, and tells what it was asked."""

    def __init__(self):
        self.asked = []

    def settings(self):
        return {"filler": "cycle"}

    def __call__(self, texts, holes, names, safe, banned):
        self.asked.append((list(names), [set(forms) for forms in banned]))
        written = []
        for own, forms in zip(holes, banned, strict=True):
            words = [word for word in [*PUBLIC, "new", "york"] if safe(word) and word not in forms]
            written.append([words[number % len(words)] for number in range(len(own))])
        return written

    def rest(self):
        self.rested = True


def words_of(text):
    return [text[slice(*word)] for word in word_spans(text)]


@pytest.fixture
def allowed(tmp_path):
    file = tmp_path / "public.txt"
    file.write_text("\n".join(PUBLIC))
    return AllowList(str(file))


TEXTS = ["Mister Quincy-Adams went to Boston, and again to Boston!", "the old town", "Zürich; 17 of the 18 O'Neills."]


@pytest.mark.parametrize("filler", [None, Cycle()])
def test_no_protected_form_survives_and_words_stay(allowed, filler):
    cleaning = Recover(allowed, filler)
    once = cleaning.together(TEXTS, [{"document": str(n)} for n in range(3)])
    for before, after in zip(TEXTS, once, strict=True):
        left = [word for word in words_of(after.replace("[PRIVATE]", "")) if any(map(str.isalnum, word))]
        assert all(word.casefold() in PUBLIC for word in left)
        assert len(words_of(after.replace("[PRIVATE]", "x"))) == len(words_of(before))
        assert cleaning(after, {}) == after
    assert once[1] == TEXTS[1]
    if filler is None:
        assert once[0] == "Mister [PRIVATE]-[PRIVATE] went to [PRIVATE], and again to [PRIVATE]!"
        assert cleaning.markers == ("[PRIVATE]",)
    else:
        assert cleaning.markers == ()
        names, banned = filler.asked[0]
        assert names == ["0", "1", "2"]
        assert banned == [{"quincy", "adams", "boston"}, set(), {"zürich", "17", "18", "o'neills"}]


def test_phrases_that_fillings_make_up_are_replaced_again(tmp_path):
    """A filler that would write another listed phrase must not, nor come back to the first."""
    file = tmp_path / "places.txt"
    file.write_text("Old Town\nNew York\nthe house\n")
    cleaning = Recover(Spanned(Given("entities", None, str(file), None, None, "fold", "word")), Cycle())
    text = cleaning("We saw New York.", {"document": "a"})
    for phrase in ("new york", "old town", "the house"):
        assert phrase not in text.lower()
    assert len(words_of(text)) == 5
    assert "york" not in text.lower()


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    rows = []
    for number in range(30):
        name = "".join(chr(97 + (number * 7 + shift) % 26) for shift in range(5)).title()
        place = name.lower()[::-1]
        text = f"Mister {name} went to the old {place} and the house of {name} saw trade. " * (1 + number % 3)
        start = [at for at in range(len(text)) if text.startswith(name, at)]
        rows.append({"text": text, "names": [{"start": at, "end": at + 5, "type": "PER"} for at in start]})
    path = tmp_path_factory.mktemp("letters") / "letters.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def sides(cache, prepared):
    from datasets import Dataset

    found = {}
    for report in (cache / "texts").glob("*/report.json"):
        for side in ("train", "heldout"):
            table = Dataset.from_file(str(report.parent / f"{side}.arrow"))
            found.setdefault(side, []).append(table)
    return found


@pytest.mark.parametrize("heldout", [False, True])
def test_a_corpus_is_rewritten(letters, tmp_path, heldout):
    corpus = TextFiles(str(letters), heldout=0.2, columns=["names"])
    filler = Cycle()
    cleaning = Recover(Spanned(ColumnSpans("names")), filler, heldout=heldout)
    tokenizer = TrainedTokenizer(vocabulary=64, min_frequency=1)
    prepared = prepare(corpus, tokenizer, Packing("document", 32), cache=tmp_path, cleaning=cleaning)
    assert filler.rested
    (train,), (held,) = (sides(tmp_path, prepared)[side] for side in ("train", "heldout"))
    assert train.column_names == held.column_names == ["text", "document"]  # the spans are spent
    given = {f"row {n}": json.loads(line) for n, line in enumerate(letters.read_text().splitlines())}
    for table, rewritten in ((train, True), (held, heldout)):
        for row in table:
            name = given[row["document"]]["text"].split()[1]
            assert (name not in row["text"]) == rewritten
            assert len(words_of(row["text"])) == len(words_of(given[row["document"]]["text"]))
    again = Recover(Spanned(ColumnSpans("names")), None, heldout=heldout)
    other = prepare(corpus, tokenizer, Packing("document", 32), cache=tmp_path, cleaning=again)
    assert other.fingerprints["corpus"] != prepared.fingerprints["corpus"]
    assert (other.report["bytes"]["heldout"] == prepared.report["bytes"]["heldout"]) != heldout


def test_repeated_paragraphs_go_before_they_cannot_be_told(letters, tmp_path):
    """A training paragraph that equals a held-out one is removed although rewriting makes them differ."""
    lines = letters.read_text().splitlines()
    path = tmp_path / "twice.jsonl"
    path.write_text("\n".join([*lines, *lines]))
    corpus = TextFiles(str(path), heldout=0.2, columns=["names"])
    cleaning = Recover(Frequent(12), Cycle())
    prepared = prepare(
        TextFiles(str(path), heldout=0.2), TrainedTokenizer(vocabulary=64, min_frequency=1), Packing("document", 32),
        cache=tmp_path, cleaning=cleaning,
    )  # fmt: skip
    assert prepared.report["duplicates"] >= 6
    (train,), (held,) = (sides(tmp_path, prepared)[side] for side in ("train", "heldout"))
    numbers = [{int(name.split()[1]) % 30 for name in table["document"]} for table in (train, held)]
    assert not numbers[0] & numbers[1]
    with pytest.raises(RecipeError, match=r"^cleaning would move the characters that the column 'names' counts; use"):
        prepare(corpus, TrainedTokenizer(vocabulary=64), Packing("document", 32), cache=tmp_path, cleaning=cleaning)


def test_refusals(allowed):
    with pytest.raises(RecipeError, match=r"^cleaning.mask is 'a b'; give one word, such as \[PRIVATE\]."):
        Recover(allowed, mask="a b")
