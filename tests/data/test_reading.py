"""Files are found as they are named, and read as they are written, or refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from maskwright.data.reading import MISSING, Column, How, NotText, Table, content, found, kind_of, lines, whole
from maskwright.errors import RecipeError
from maskwright.evaluation.source import Source


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(path, how=None, wanted=None):
    how = how or How()
    return [row for _, row in Table(path, kind_of(path, how), how, wanted)]


# files


def names(patterns, folder):
    patterns = [patterns] if isinstance(patterns, str) else patterns
    paths = found([f"{folder}/{pattern}" for pattern in patterns], How(), lambda path: path.suffix != ".bin").paths
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "place"
    for name in ("a.txt", "b.txt", "c.md", "sub/d.txt", "sub/.hidden.txt", "sub/e.bin", ".git/f.txt", "my[data]/g.txt",
                 "my{a,b}/h1.txt", "my{a,b}/h2.txt", "i[1].txt", "i1.txt"):  # fmt: skip
        write(place, name, name)
    (place / "empty").mkdir()
    os.symlink(place / "sub", place / "sub" / "again")
    os.symlink(place / "a.txt", place / "sub" / "z.txt")
    return place


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("?.txt", ["a.txt", "b.txt"]),
        ("{a,b}.txt", ["a.txt", "b.txt"]),
        ("{c.md,{b,a}.txt}", ["c.md", "b.txt", "a.txt"]),
        ("sub", ["sub/d.txt", "sub/z.txt"]),
        ("su*", ["sub/d.txt", "sub/z.txt"]),
        ("my[data]/*.txt", ["my[data]/g.txt"]),
        ("my[data]", ["my[data]/g.txt"]),
        ("my{a,b}/h{2,1}.txt", ["my{a,b}/h2.txt", "my{a,b}/h1.txt"]),
        ("i[1].txt", ["i[1].txt"]),
        (["a.txt", "?.txt", "sub/z.txt"], ["a.txt", "b.txt"]),
        ("sub/**/d.txt", ["sub/d.txt"]),
    ],
)
def test_patterns(folder, pattern, expected):
    assert names(pattern, folder) == expected


def test_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert [path.name for path in found(["~/{a,b}.txt"], How(), bool).paths] == ["a.txt", "b.txt"]


@pytest.mark.parametrize("pattern", ["none.txt", "*.none", "{a,none}.txt", "empty"])
def test_nothing_there(folder, pattern):
    with pytest.raises(RecipeError, match=r"^data.files: (no file matches|'.*empty' holds no file).*[.]$"):
        names(pattern, folder)


def test_a_hash_of_the_whole_content(tmp_path):
    path = write(tmp_path, "a.txt", b"a" * (3 << 20))
    first = content(path, How())
    write(tmp_path, "a.txt", b"a" * ((3 << 20) - 1) + b"b")
    assert content(path, How()) != first


# text


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "utf-8-sig"), ("latin-1", "latin-1"), ("cp1252", "cp1252"), ("utf-16", "utf-16"),
     ("utf-16-le", "utf-16-le"), ("UTF8", "utf-8")],
)  # fmt: skip
def test_encodings(tmp_path, encoding, written):
    mark = "\ufeff" if written.endswith("le") else ""
    path = write(tmp_path, "a.txt", f"{mark}caf\u00e9\nb".encode(written))
    assert list(lines(path, How(encoding=encoding))) == ["caf\u00e9", "b"]
    table = write(tmp_path, "a.csv", f"{mark}text,n\ncaf\u00e9,1\n".encode(written))
    assert rows(table, How(encoding=encoding)) == [{"text": "caf\u00e9", "n": "1"}]
    assert Source(str(table), encoding=encoding).rows("text") == [{"text": "caf\u00e9", "n": "1"}]


def test_another_encoding_is_refused_with_the_place_and_the_cure(tmp_path):
    long = write(tmp_path, "a.txt", b"x" * 200_001 + "caf\u00e9".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"is not UTF-8 text: byte 200,004 does not fit; .* data.encoding=cp1252, or"):
        whole(long, How())
    wide = write(tmp_path, "b.csv", "text\na\n".encode("utf-16"))
    with pytest.raises(
        RecipeError, match=r"byte 0 does not fit; it begins as utf-16 does, so set data.encoding=utf-16"
    ):
        rows(wide)
    for name in ("utf-9", "hex", "rot13", "no such"):
        with pytest.raises(RecipeError, match=f"^data.encoding is '{name}', which is no encoding of text.*; name one"):
            How(encoding=name)


def compressors():
    zstd = pytest.importorskip("zstandard")
    return {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_compressed_whole_in_parts_cut_and_misnamed(tmp_path, ending):
    compress = compressors()[ending]
    line = json.dumps({"text": "a"}).encode() + b"\n"
    assert rows(write(tmp_path, f"a.ndjson.{ending}", compress(line) + compress(line))) == [{"text": "a"}] * 2
    cut = write(tmp_path, f"cut.txt.{ending}", compress(b"some text " * 999)[:-5])
    with pytest.raises(RecipeError, match=r"cut.txt.* cannot be read \(.+\); mend it or leave it out"):
        whole(cut, How())
    with pytest.raises(RecipeError, match=rf"a.txt holds .*, which its name does not say; let it end in .{ending}"):
        whole(write(tmp_path, "a.txt", compress(b"text")), How())


def test_zip_and_what_is_no_text(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner.txt", "text")
    assert whole(write(tmp_path, "a.txt.zip", packed.getvalue()), How()) == "text"
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("other.txt", "text")
    with pytest.raises(RecipeError, match="holds 2 files and not one; unpack it"):
        whole(write(tmp_path, "a.txt.zip", packed.getvalue()), How())
    with pytest.raises(RecipeError, match="holds PDF, not text; give its text"):
        whole(write(tmp_path, "a.txt", b"%PDF-1.7 ..."), How())
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "b.txt")
    with pytest.raises(RecipeError, match="holds parquet, which its name does not say; let it end in .parquet"):
        whole(tmp_path / "b.txt", How())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.txt", "text"), ("README", "text"), ("a.MD", "text"), ("part.001", "text"), ("a.ndjson.gz", "jsonl"),
     ("a.jl", "jsonl"), ("a.PARQUET", "parquet"), ("a.b.csv", "csv"), ("a.xyz", ""), ("a.conllu", "conll"),
     ("Letter to Mr. Smith", "text")],
)  # fmt: skip
def test_kinds_by_ending(tmp_path, name, kind):
    assert kind_of(tmp_path / name, How()) == kind


# tables


def test_cells_are_text(tmp_path):
    csv = write(tmp_path, "a.csv", 'text,lang\r\nnull,NA\r\n"two\nlines, ""q""",007\r\n\r\n1e5,\r\n')
    assert rows(csv) == [{"text": "null", "lang": "NA"}, {"text": 'two\nlines, "q"', "lang": "007"},
                         {"text": "1e5", "lang": ""}]  # fmt: skip
    tsv = write(tmp_path, "a.tsv", 'text\tlang\n"I said\ten\n"no" then,\tnan\n')
    assert rows(tsv) == [{"text": '"I said', "lang": "en"}, {"text": '"no" then,', "lang": "nan"}]
    old = write(tmp_path, "b.csv", "text,lang\rone,en\r")
    assert rows(old) == [{"text": "one", "lang": "en"}]
    assert rows(write(tmp_path, "c.csv", f"text,n\n{'x' * 300_000},1\n"))[0]["text"] == "x" * 300_000


@pytest.mark.parametrize("text", ['[{"text": "a"},\n {"text": "b"}]', '{"data": [{"text": "a"}, {"text": "b"}]}',
                                  '{"text": "a"}\n{"text": "b"}\n', ' {"text":\n"a"} {"text": "b"}'])  # fmt: skip
def test_layouts_of_json(tmp_path, text, monkeypatch):
    path = write(tmp_path, "a.json", text)
    assert rows(path) == [{"text": "a"}, {"text": "b"}]
    monkeypatch.setattr("maskwright.data.reading.tables._CHUNK", 3)  # values that reach over what is read at once
    assert rows(path) == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("kind", ["large_string", "dictionary", "binary"])
def test_texts_of_parquet(tmp_path, kind):
    values = pa.array(["a", None, "a"])
    values = values.dictionary_encode() if kind == "dictionary" else values.cast(getattr(pa, kind)())
    pq.write_table(pa.table({"text": values, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    found = rows(tmp_path / "a.parquet", wanted=[("data.text_column is", "text")])
    assert [Column("text").text(row) for row in found] == ["a", None, "a"]
    assert "n" not in found[0]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "text,lang\none,en\ntwo\n", r"line 3 of .*a.csv has 1 columns and not 2 \(text, lang\); mend it"),
        ("a.csv", 'text,lang\n"one,en\n', r"as csv \(line 2: a quotation mark is not closed; "),
        ("a.csv", 'text,lang\n"one" he said,en\n', r"as csv \(line 2: .* the mark is doubled\)"),
        ("a.csv", "text,text\none,en\n", "two columns are named 'text'"),
        ("a.csv", "text\na\0b\n", "is binary, not text"),
        (
            "a.csv",
            "Text,lang\none,en\n",
            "is 'text', but the columns of .*a.csv are Text, lang; name one, perhaps 'Text'",
        ),
        ("a.jsonl", '{"text": "a"}\n{"text": "b",}\n', r"as jsonl \(line 2: "),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', r"as jsonl \(line 2 is no object\)"),
        ("a.jsonl", '{"txt": "a"}\n', "but the columns of .*a.jsonl are txt; name one, perhaps 'txt'"),
        ("a.jsonl", '{"text": ' + "[" * 100_000, "is nested too deeply"),
        ("a.json", '[{"text": "a"},\n {"text": "b"}', r"as json \(line 2: the list is not closed\)"),
        ("a.json", '[{"text": "a"},\n]', r"as json \(line 2: "),
        ("a.json", '[{"text": "a"} {"text": "b"}]', r"line 1: a comma is missing between two rows"),
        ("a.json", '[{"text": "a"}, "b"]', "row 2 of .*a.json is 'b', no object with columns"),
    ],
)
def test_faults_name_file_and_line(tmp_path, name, text, sentence):
    with pytest.raises(RecipeError, match=sentence) as error:
        rows(write(tmp_path, name, text), wanted=[("data.text_column is", "text")])
    assert "\n" not in str(error.value) and str(error.value).endswith(".") and len(str(error.value)) < 400


def test_a_name_with_a_line_break_is_shown_in_one_line(tmp_path):
    with pytest.raises(RecipeError) as error:
        rows(write(tmp_path, "a\n'b.jsonl", "{"))
    assert "\n" not in str(error.value) and "a\\n" in str(error.value)


# columns


@pytest.mark.parametrize(
    ("spec", "row", "text"),
    [
        ("doc.text", {"doc": {"text": "a"}}, "a"),
        ("doc.text", {"doc.text": "literal", "doc": {"text": "a"}}, "literal"),
        ("a.b.c", {"a.b": {"c": "x"}}, "x"),
        ("a.b.c", {"a": {"b.c": "x"}}, "x"),
        ("doc.text", {"doc": None}, None),
        ("doc.text", {"doc": {"text": None}}, None),
        ("doc.text", {"doc": {"other": 1}}, MISSING),
        ("doc.text", {"doc": "text"}, MISSING),
        ("my text", {"my text": "a"}, "a"),
        (r"{title}\n\n{body}", {"title": "T", "body": "B"}, "T\n\nB"),
        (r"{title}\n\n{body}", {"title": None, "body": "B"}, "B"),
        (r"{title}\n\n{body}", {"title": "T", "body": ""}, "T"),
        (r"{title}\n\n{body}", {"title": "T"}, "T"),
        (r"{title}\n\n{body}", {"title": None}, None),
        (r"{title}\n\n{body}", {"other": 1}, MISSING),
        ("<{a}, {b}; {c}>", {"a": "1", "c": 3}, "<1; 3>"),
        ("{doc.year}: {{{t}}}", {"doc": {"year": 1984}, "t": "x"}, "1984: {x}"),
    ],
)
def test_the_text_of_a_row(spec, row, text):
    assert Column(spec).text(row) == text


@pytest.mark.parametrize("value", [5, ["a"], {"a": "b"}, b"\xff", True])
def test_anything_else_is_no_text(value):
    with pytest.raises(NotText, match="'text' holds .*, not text"):
        Column("text").text({"text": value})


def test_a_row_of_an_evaluation_has_fields_and_templates_by_their_name(tmp_path):
    path = write(tmp_path, "a.ndjson", json.dumps({"doc": {"text": "a", "label": 1}, "title": "T"}))
    (row,) = Source(str(path)).rows("doc.text", "doc.label", "{title}: {doc.text}")
    assert (row["doc.text"], row["doc.label"], row["{title}: {doc.text}"]) == ("a", 1, "T: a")
    write(tmp_path, "b.csv", "x\n1\n")
    assert len(Source(str(tmp_path)).rows()) == len(Source(f"{tmp_path}/{{a.ndjson,b.csv}}").rows()) == 2
