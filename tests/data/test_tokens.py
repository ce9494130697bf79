"""Documents as tokens on disk: portions and processes change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Features, Value

from maskwright.data import tokens
from maskwright.data.encode import encoded
from maskwright.data.texts import Texts, Writing
from maskwright.data.tokenizers import TrainedTokenizer
from maskwright.data.tokens import tokenise

HARD = "A caf\u00e9, a \U0001f600 and \u4e2d\u6587.  Two spaces;\n\nthen more.   "


@pytest.fixture(scope="module")
def backend():
    return TrainedTokenizer("wordpiece", 100).train([HARD * 20])


def written(place, texts):
    with Writing(place, Features({"text": Value("string"), "document": Value("string")})) as writing:
        writing.columns({"text": texts, "document": [str(number) for number in range(len(texts))]})
    return place


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("together", [37, 300, 1 << 21])
def test_portions_and_processes_change_nothing(tmp_path, backend, processes, together, monkeypatch):
    monkeypatch.setattr(tokens, "_TOGETHER", together)
    monkeypatch.setattr(tokens, "_SMALL", 0)
    texts = [HARD, "", HARD * 40, " \n ", "word", f"{HARD * 3}\n\n   ", "a" * 500, "\u00ad"]
    read, empty = tokenise(tmp_path, written(tmp_path / "t.arrow", texts), backend, "train", 200, 1, processes)
    columns = {name: np.load(tmp_path / f"{name}.npy") for name in ("ids", "start", "end", "bytes", "number", "length")}
    assert columns["number"].tolist() == [0, 2, 4, 5, 6]
    assert empty == 3
    ends = np.cumsum(columns["length"])
    for number, first, last in zip(columns["number"], ends - columns["length"], ends):
        ((id_T, start_T, end_T),) = encoded([texts[number]], backend)
        assert columns["ids"][first:last].tolist() == id_T.tolist()
        assert columns["start"][first:last].tolist() == start_T.tolist()
        assert columns["end"][first:last].tolist() == end_T.tolist()
        assert columns["bytes"][first:last].sum() == len(texts[number].encode())
        size_T = [len(texts[number][:end].encode()) for end in end_T]
        size_T[-1] = len(texts[number].encode())
        assert columns["bytes"][first:last].tolist() == np.diff(size_T, prepend=0).tolist()
    assert read.tokens == ends[-1] == len(columns["ids"])
    assert read.characters == sum(len("".join(text.replace("\u00ad", "").split())) for text in texts) + 1


def test_texts_are_read_in_any_portion(tmp_path):
    texts = [f"text {number} \u00e9" * (number % 5) for number in range(50)]
    place = tmp_path / "t.arrow"
    with Writing(place, Features({"text": Value("string"), "document": Value("string")})) as writing:
        for first in range(0, 50, 7):
            part = texts[first : first + 7]
            writing.columns({"text": part, "document": [str(first)] * len(part)})
    there = Texts(place)
    assert len(there) == writing.documents == 50
    assert there.column("text", 5, 33) == texts[5:33]
    assert there[23] == {"text": texts[23], "document": "21"}
    assert bytes(there.utf8(49)).decode() == texts[49]
    assert there.bytes_D().tolist() == [len(text.encode()) for text in texts]
    assert writing.bytes == there.bytes_D().sum()
    there.release()
    assert there.column("text", 0, 50) == texts
