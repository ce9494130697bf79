"""Held-out documents, and nothing of them in train."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from maskwright.data.duplicates import paragraphs
from maskwright.data.split import heldout_documents, split
from maskwright.errors import RecipeError

IDS = [f"document {number}" for number in range(1000)]


def parts(tmp_path, texts, share=0.2):
    table = Dataset.from_dict({"text": texts, "document": [f"d{number}" for number in range(len(texts))]})
    report = split(table, share, tmp_path)
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


def test_heldout_paragraphs_leave_train(tmp_path):
    """The same words in another case, with other digits, punctuation or spacing, are the same paragraph."""
    own = [f"Paragraph of its own {'abcdefghijklmnopqrst'[number]}.\n\n" for number in range(20)]
    copies = ["In 1862, we met  -- again!", "in 1901 we met again", "IN WE MET\nAGAIN."]
    texts = [own[number] + copies[number % 3] + "\n\nThe end of " + own[number] for number in range(20)]
    report, train, heldout = parts(tmp_path, texts)
    assert len(heldout) == report["documents"]["heldout"] == 4
    assert len(train) == report["documents"]["train"] == 16
    assert report["duplicates"] == 16
    assert not any("met" in text.lower() for text in train)
    assert sorted(text.strip() for text in train) == sorted(
        f"{part.strip()}\n\nThe end of {part.strip()}"
        for part, text in zip(own, texts, strict=True)
        if text not in heldout
    )
    assert report["duplicate_bytes"] == sum(len(t.encode()) for t in texts) - sum(
        len(t.encode()) for t in [*train, *heldout]
    )
    assert report["bytes"]["heldout"] == sum(len(text.encode()) for text in heldout)


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
        (["same", "Same!"], "every training paragraph also stands in the held-out documents; give more varied text."),
    ],
)
def test_refusals(tmp_path, texts, message):
    with pytest.raises(RecipeError) as error:
        parts(tmp_path, texts)
    assert str(error.value) == message
