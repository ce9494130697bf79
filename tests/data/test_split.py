"""Held-out documents, and nothing of them in train."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from maskwright.data.duplicates import paragraphs
from maskwright.data.split import heldout_documents, split
from maskwright.errors import RecipeError

IDS = [f"document {number}" for number in range(1000)]


def parts(tmp_path, texts, share=0.2, duplicates="exact"):
    table = Dataset.from_dict({"text": texts, "document": [f"d{number}" for number in range(len(texts))]})
    report = split(table, share, tmp_path, duplicates=duplicates)
    sides = [Dataset.from_file(str(tmp_path / f"{side}.arrow")) for side in ("train", "heldout")]
    return report, sides[0]["text"][:], sides[1]["text"][:]


def test_the_share_is_met():
    for share, count in ((0.05, 50), (0.0001, 1), (0.9999, 999)):
        assert heldout_documents(IDS, [1] * 1000, share).sum() == count


def test_the_choice_hangs_on_ids_not_on_order_and_grows_with_the_share():
    chosen = heldout_documents(IDS, [1] * 1000, 0.1)
    turned = heldout_documents(IDS[::-1], [1] * 1000, 0.1)
    assert (turned[::-1] == chosen).all()
    assert heldout_documents(IDS, [1] * 1000, 0.2)[chosen].all()
    assert abs(np.flatnonzero(chosen).mean() - 500) < 5 * 1000 / (12 * 100) ** 0.5


def test_a_document_with_most_of_the_text_stays_in_train():
    for big in range(3):
        sizes = [10, 10, 10]
        sizes[big] = 1000
        assert not heldout_documents(IDS[:3], sizes, 0.9)[big]


def test_paragraphs():
    assert paragraphs("a\nb\n \n\nc") == ["a\nb", "c"]
    assert paragraphs("a\nb") == ["a", "b"]


LONG = "In the year of 1862 we met -- again! -- upon the hill above the harbour of the old town."

OWN = [f"{a}{b}{c}" for a in "bdfgk" for b in ("an", "el", "or", "ut") for c in ("a", "ing", "se", "y")]  # words


def test_heldout_paragraphs_leave_train(tmp_path):
    """Another spacing, or an accent written as a character of its own, makes no other paragraph."""
    own = [f"Paragraph of its own {'abcdefghijklmnopqrst'[number]}.\n\n" for number in range(20)]
    copies = [
        f"{LONG} caf\u00e9",
        f"{LONG.replace(' ', '  ')} cafe\u0301",
        f"{LONG.replace(' upon', chr(10) + 'upon')} caf\u00e9",
    ]
    texts = [own[number] + copies[number % 3] + "\n\nThe end of " + own[number] for number in range(20)]
    report, train, heldout = parts(tmp_path, texts)
    assert len(heldout) == report["documents"]["heldout"] == 4
    assert len(train) == report["documents"]["train"] == 16
    assert (report["duplicates"], report["duplicate_documents"], report["duplicates_by"]) == (16, 0, "exact")
    assert not any("met" in text for text in train)
    assert sorted(text.strip() for text in train) == sorted(
        f"{part.strip()}\n\nThe end of {part.strip()}"
        for part, text in zip(own, texts, strict=True)
        if text not in heldout
    )
    assert report["duplicate_bytes"] == sum(len(t.encode()) for t in texts) - sum(
        len(t.encode()) for t in [*train, *heldout]
    )
    assert report["bytes"]["heldout"] == sum(len(text.encode()) for text in heldout)


@pytest.mark.parametrize(
    "other",
    [LONG.replace("1862", "1901"), LONG.replace("!", "?"), LONG.upper(), LONG.replace("hill", "hills")],
)
@pytest.mark.parametrize("duplicates", ["exact", "near", "none"])
def test_digits_signs_and_case_tell_paragraphs_apart_unless_near_ones_are_asked_for(tmp_path, other, duplicates):
    own = [" ".join(np.random.default_rng(number).permutation(OWN)) for number in range(40)]
    texts = [f"{own[number]}\n\n{LONG if number % 2 else other}" for number in range(40)]
    report, train, heldout = parts(tmp_path, texts, duplicates=duplicates)
    held = {text.split("\n\n")[1] for text in heldout}
    assert held == {LONG, other}
    expected = {"none": 0, "exact": len(train), "near": len(train)}[duplicates]
    assert report["duplicates"] == expected
    pair = [f"{own[0]}\n\n{other}", f"{own[1]}\n\n{LONG}"]
    report, train, heldout = parts(tmp_path, pair, 0.5, duplicates)
    assert report["duplicates"] == (duplicates == "near")


@pytest.mark.parametrize(
    "line",
    [
        "K:G",
        "Chapter I",
        "S:Trad, arr Phil Rowe",
        "Oh, the wind and the rain, hey ho,",
        "\u7b2c\u4e00\u7ae0 \u5f00\u59cb",
    ],
)
def test_short_lines_that_recur_are_no_duplicates(tmp_path, line):
    texts = [
        f"X:{number}\n{line}\nA line that stands in number {number} alone, {'abcdefghij'[number % 10] * 9}\n"
        for number in range(40)
    ]
    report, train, _ = parts(tmp_path, texts)
    assert report["duplicates"] == 0
    assert all(line in text for text in train)


@pytest.mark.parametrize(
    "paragraph",
    [
        "\u8fd9\u662f\u4e00\u6bb5\u5728\u6bcf\u4e2a\u6587\u4ef6\u91cc\u90fd\u51fa\u73b0\u7684\u6587\u5b57\uff0c\u4e0d\u5e94\u8be5\u7559\u5728\u8bad\u7ec3\u6570\u636e\u4e2d\u3002",
        "\u0e22\u0e48\u0e2d\u0e2b\u0e19\u0e49\u0e32\u0e19\u0e35\u0e49\u0e1b\u0e23\u0e32\u0e01\u0e0f\u0e2d\u0e22\u0e39\u0e48\u0e43\u0e19\u0e17\u0e38\u0e01\u0e44\u0e1f\u0e25\u0e4c"
        * 2,
        " ".join(
            [
                "\u0647\u0630\u0647 \u0627\u0644\u0641\u0642\u0631\u0629 \u062a\u0638\u0647\u0631 \u0641\u064a",
                "\u0643\u0644 \u0645\u0644\u0641 \u0648\u0644\u0627 \u064a\u062c\u0648\u0632",
                "\u0623\u0646 \u062a\u0628\u0642\u0649 \u0641\u064a \u0628\u064a\u0627\u0646\u0627\u062a",
                "\u0627\u0644\u062a\u062f\u0631\u064a\u0628.",
            ]
        ),
    ],
)
def test_paragraphs_of_every_script_are_compared(tmp_path, paragraph):
    texts = [f"{number}\n\n{paragraph}\n\n{number} {'ab'[number % 2]}" for number in range(20)]
    report, train, _ = parts(tmp_path, texts)
    assert report["duplicates"] == len(train) == 16


def test_whole_documents_are_compared_however_short(tmp_path):
    """Sums that recur, and equations of which none does."""
    sums = [f"{number % 50} + {number % 50} = {number % 50 * 2}\n" for number in range(1000)]
    report, train, heldout = parts(tmp_path, sums, 0.01)
    assert not {text.strip() for text in train} & {text.strip() for text in heldout}
    assert report["duplicates"] == report["duplicate_documents"] == 1000 - len(train) - len(heldout) > 0
    report, train, heldout = parts(tmp_path, [f"{number}+2={number + 2}" for number in range(400)], 0.05)
    assert report["duplicates"] == 0
    assert len(train) == 380


def test_near_duplicates_are_found_and_others_are_not(tmp_path):
    """Paragraphs of 60 words with 2 words changed, against others of the same words in another order."""
    rng = np.random.default_rng(0)
    base = [rng.choice(OWN, 60).tolist() for _ in range(60)]
    texts = []
    for own in base:
        near = list(own)
        near[20], near[40] = "otherwise", "again"
        texts += [" ".join(own), " ".join(near), " ".join(rng.permutation(own))]
    table = Dataset.from_dict({"text": texts, "document": [f"d{number}" for number in range(len(texts))]})
    report = split(table, 0.2, tmp_path, duplicates="near", processes=2)
    train, heldout = (
        set(Dataset.from_file(str(tmp_path / f"{side}.arrow"))["text"][:]) for side in ("train", "heldout")
    )
    pairs = [(texts[3 * n], texts[3 * n + 1]) for n in range(60)]
    alone = [pair for pair in pairs if (pair[0] in heldout) != (pair[1] in heldout)]
    removed = [pair for pair in alone if not train & set(pair)]
    assert len(alone) >= 10
    assert len(removed) >= len(alone) - 1
    assert report["duplicates"] == len(removed)


def test_text_without_duplicates_is_kept_byte_for_byte(tmp_path):
    texts = [f"  Title {'x' * number}\r\n\n\nline one{'y' * number}\n\n" for number in range(10)]
    report, train, heldout = parts(tmp_path, texts)
    assert report["duplicates"] == 0
    assert sorted([*train, *heldout]) == sorted(texts)
    assert report["notes"] == []


def test_one_document_is_cut_into_blocks(tmp_path):
    text = "\n".join(f"line {'z' * (number % 17)} {chr(97 + number % 26)}{number * 'q'}" for number in range(200))
    report, train, heldout = parts(tmp_path, [text], share=0.05)
    assert report["notes"][0].startswith("one document only: it was cut into 40 blocks, some")
    assert report["documents"] == {"train": 38, "heldout": 2}
    assert report["duplicate_bytes"] + len("".join([*train, *heldout]).encode()) == len(text.encode())
    assert all(text.startswith(("\n", "line")) for text in [*train, *heldout])


def test_empty_documents_are_left_out_and_counted(tmp_path):
    report, train, heldout = parts(tmp_path, ["a", "", " \n", "b", "c"])
    assert report["notes"] == ["2 empty documents left out"]
    assert sorted([*train, *heldout]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["", " "], "the data holds no text; give files or rows that are not empty."),
        (["short"], "the data is one document too short to be split; give more text."),
        (
            ["same", " same\n"],
            "every training document also stands in the held-out documents; give more varied text, or set "
            "data.duplicates=none to compare nothing.",
        ),
    ],
)
def test_refusals(tmp_path, texts, message):
    with pytest.raises(RecipeError) as error:
        parts(tmp_path, texts)
    assert str(error.value) == message
