"""Each kind of file gives the same documents, and fingerprints change with content and settings only."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil

import pytest
from datasets import Dataset

from maskwright.data import HubDataset, Sotu, TextFiles
from maskwright.errors import RecipeError
from maskwright.evaluation.source import Source

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
    corpus = TextFiles(path, document="line")
    lines = corpus.documents(cache)
    assert lines["text"][:] == [line for line in TEXTS[0].split("\n") if line]
    assert lines["document"][:] == ["0.txt:0", "0.txt:1", "0.txt:3"]  # an empty line counts, and is left out
    assert corpus.notes == ["1 empty line left out"]
    blocks = TextFiles(path, document="blank_line").documents(cache)
    assert blocks["text"][:] == TEXTS[0].split("\n\n")
    assert blocks["document"][:] == ["0.txt:0", "0.txt:1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_end_of_a_line_is_no_part_of_it(end, cache, tmp_path):
    content = end.join(["", "a\u2028b\x0bc", "d ", "", " ", "e", ""])
    path = write(tmp_path, "a.txt", content.encode())
    assert TextFiles(path, document="line").documents(cache)["text"][:] == ["a\u2028b\x0bc", "d ", "e"]
    assert TextFiles(path, document="blank_line").documents(cache)["text"][:] == ["a\u2028b\x0bc\nd ", "e"]
    assert TextFiles(path).documents(cache)["text"][:] == [content.replace(end, "\n")]


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


def rewritten(path, old, new):
    """Change a file and keep its size and its time stamp."""
    facts, content = path.stat(), path.read_bytes()
    assert len(old) == len(new) and old in content
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("name", ["0.txt", "table.jsonl", "table.csv"])
def test_content_decides_not_the_time_stamp(files, cache, name):
    corpus = TextFiles(f"{files}/{name}")
    first, before = corpus.fingerprint(cache), corpus.documents(cache)["text"][0]
    rewritten(files / name, b"First", b"Worst")
    assert corpus.fingerprint(cache) != first
    assert corpus.documents(cache)["text"][0] == before.replace("First", "Worst")


def test_content_decides_for_local_data_of_the_hub_too(files, cache, monkeypatch):
    monkeypatch.setenv("MASKWRIGHT_CACHE", str(cache))
    corpus = HubDataset("json", data_files=str(files / "table.jsonl"))
    source = Source(path=str(files / "folder"))
    (files / "folder").mkdir()
    shutil.copy(files / "table.jsonl", files / "folder" / "train.jsonl")
    first, old = corpus.fingerprint(cache), source.rows()[0]["text"]
    for name in ("table.jsonl", "folder/train.jsonl"):
        rewritten(files / name, b"First", b"Worst")
    assert corpus.fingerprint(cache) != first
    assert corpus.documents(cache)["text"][0] == source.rows()[0]["text"] == old.replace("First", "Worst")


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
        ({"files": binary}, f"data.files: {binary} is binary, not text; leave it out of data.files, or name"),
        (
            {"files": latin},
            f"data.files: {latin} is not UTF-8 text: byte 3 does not fit; name its encoding, as in data.encoding=",
        ),
        ({"files": empty}, f"data.files: {empty} is empty; give it text or leave it out."),
        ({"files": broken}, f"data.files: {broken} cannot be read (Not a gzipped file"),
        ({"files": table}, f"data.text_column is 'text', but the columns of {table} are body, n; name one."),
        (
            {"files": table, "text_column": "n"},
            f"data.text_column is 'n', which holds 0, not text, in line 1 of {table}; name a text column.",
        ),
        ({"files": None}, "data.files is not set; name files or a glob, as in data.files='books/*.txt'."),
        ({"files": good, "document": "page"}, "data.document is 'page'; choose file, line or blank_line."),
        ({"files": good, "heldout": 1.5}, "data.heldout is 1.5; the share of held-out documents lies between 0 and 1."),
    ]


@pytest.mark.parametrize("case", range(10))
def test_refusals(tmp_path, cache, case):
    arguments, message = refusals(tmp_path)[case]
    with pytest.raises(RecipeError) as error:
        TextFiles(**arguments).documents(cache)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_broken_table(tmp_path, cache):
    path = write(tmp_path, "t.parquet", b"no parquet at all")
    with pytest.raises(
        RecipeError, match=r"^data.files: .*t.parquet cannot be read as parquet \(.*\); mend it or leave it out.$"
    ):
        TextFiles(path).documents(cache)


def test_hub_offline(cache):
    with pytest.raises(RecipeError, match=r"^data.path=no/such: the dataset cannot be loaded.*; check path, name and"):
        HubDataset("no/such").documents(cache)
    with pytest.raises(RecipeError, match=r"^data.path is not set"):
        HubDataset()


def test_kinds_are_mixed_and_only_what_is_asked_for_is_read(tmp_path, cache):
    write(tmp_path, "a.txt", b"plain\ntext")
    write(tmp_path, "b.ndjson", b'{"text": "one", "n": 1}\n{"text": "two", "n": "high", "m": {"a": [1]}}\n')
    write(tmp_path, "c.jl", b'{"text": "three", "m": {"b": "x"}, "lang": null}\n')
    write(tmp_path, "d.csv", b"text,note\nNA,\nnull,x\n")
    Dataset.from_dict({"text": ["six"], "n": [1.5]}).to_parquet(tmp_path / "e.parquet")
    corpus = TextFiles(str(tmp_path), columns=["file"])
    documents = corpus.documents(cache)
    assert documents["text"][:] == ["plain\ntext", "one", "two", "three", "NA", "null", "six"]
    assert documents["file"][:3] == ["a.txt", "b.ndjson", "b.ndjson"]
    assert documents["document"][:3] == ["a.txt", "row 0", "row 1"]
    assert corpus.notes == []
    with pytest.raises(RecipeError, match=r"names 'lang', but the columns of .*b.ndjson are text, n, m, m.a; name one"):
        TextFiles(f"{tmp_path}/[bc]*", columns=["lang"]).documents(cache)


def test_carried_columns_are_of_one_type(tmp_path, cache):
    rows = [
        {"text": "a", "at": {"x": 1}},
        {"text": "b", "at": {"y": [2]}},
        {"text": "c", "n": 1},
        {"text": "d", "n": 0.5},
    ]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    documents = TextFiles(file, columns=["at", "n"]).documents(cache)
    assert documents["at"][:] == [{"x": 1, "y": None}, {"x": None, "y": [2]}, None, None]
    assert documents["n"][:] == [None, None, 1.0, 0.5]
    write(tmp_path, "b.jsonl", b'{"text": "e", "n": "high"}\n')
    with pytest.raises(
        RecipeError, match=r"the column 'n' holds 'high' in .*b.jsonl and double before; make its values"
    ):
        TextFiles(str(tmp_path / "*.jsonl"), columns=["n"]).documents(cache)


def test_types_that_show_late_are_one_column(tmp_path, cache):
    """More rows than are written at once, so that the first were written before the type was known."""
    rows = [{"text": f"t{n}", "n": None if n < 1500 else n, "s": n} for n in range(2500)] + [{"text": "end", "s": 0.5}]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    documents = TextFiles(file, columns=["n", "s"]).documents(cache)
    assert documents["n"][1499:1501] == [None, 1500] and documents["s"][-2:] == [2499.0, 0.5]
    assert documents["text"][:] == [row["text"] for row in rows]
    assert [path.name for path in (cache / "documents").rglob("part-*")] == []


def test_what_is_left_out_is_counted(tmp_path, cache):
    rows = [{"text": "a"}, {"text": None}, {"x": 1}, {"text": " \n"}, {"text": None}, {"text": "b\ud83d"}]
    write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    write(tmp_path, "b.txt", b"")
    write(tmp_path, "c.csv", b"text\n")
    write(tmp_path, "d.abc", b"X:1")
    write(tmp_path, "e.png", b"\x89PNG\0")
    corpus = TextFiles(str(tmp_path))
    for _ in range(2):  # the second time from the cache
        documents = corpus.documents(cache)
        assert documents["text"][:] == ["a", "b\ufffd", "X:1"]
        assert documents["document"][:2] == ["row 0", "row 5"]  # numbered as in the file
        assert corpus.notes == [
            "1 file of other kinds in the folder left out (.png)",
            "1 file of unknown ending (.abc) read as plain text; else set data.format",
            "2 rows left out, in which 'text' is null",
            "1 row left out, which has no column 'text'",
            "1 empty document left out",
            "1 empty file left out",
            "1 file without rows left out",
            "1 text with half a character (a lone surrogate), read as U+FFFD",
        ]


def test_the_text_of_hub_rows_by_field_and_template(tmp_path, cache):
    rows = [{"doc": {"text": "a", "n": 1}, "title": "T"}, {"doc": {"text": None, "n": 2}, "title": "U"}]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    corpus = HubDataset("json", data_files=file, text_column="doc.text", columns=["doc.n"])
    assert corpus.documents(cache)[:] == {"text": ["a"], "document": ["row 0"], "doc.n": [1]}
    assert corpus.notes == ["1 row left out, in which 'doc.text' is null"]
    both = HubDataset("json", data_files=file, text_column="{title}: {doc.text}").documents(cache)
    assert both["text"][:] == ["T: a", "U"]
    with pytest.raises(
        RecipeError, match=r"is 'doc.txet', but the columns of json are .*; name one, perhaps 'doc.text'"
    ):
        HubDataset("json", data_files=file, text_column="doc.txet").documents(cache)
