"""Rows as they stand in the files: every layout, nothing guessed, every fault in one sentence."""

from __future__ import annotations

import bz2
import gzip
import json

import pytest

from maskwright.errors import RecipeError
from maskwright.evaluation.source import Source, Splits

ROWS = [{"text": 'He said "no", twice', "label": "NA"}, {"text": "1e5", "label": "0"}]


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_tables_are_text_as_it_stands(tmp_path):
    csv = write(tmp_path / "a.csv", 'text,label\n"He said ""no"", twice",NA\n1e5,0\n')
    tsv = write(tmp_path / "a.tsv", 'text\tlabel\nHe said "no", twice\tNA\n1e5\t0\n')
    bare = write(tmp_path / "bare.tsv", 'He said "no", twice\tNA\n1e5\t0\n')
    semicolon = write(tmp_path / "b.csv", 'text;label\n"He said ""no"", twice";NA\n1e5;0\n')
    assert Source(csv).rows("text", "label") == ROWS
    assert Source(tsv).rows() == ROWS
    assert Source(bare, columns=["text", "label"]).rows() == ROWS
    assert Source(semicolon, separator=";").rows() == ROWS


def test_json_parquet_compression_and_globs(tmp_path):
    import pyarrow
    import pyarrow.parquet

    lines = "\n".join(json.dumps(row) for row in ROWS) + "\n\n"
    write(tmp_path / "a.jsonl", lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.jsonl.bz2").write_bytes(bz2.compress(lines.encode()))
    write(tmp_path / "a.json", json.dumps({"data": ROWS}))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.bz2", "a.json", "a.parquet"):
        assert Source(str(tmp_path / name)).rows() == ROWS
    assert Source(str(tmp_path / "*.jsonl*")).rows() == ROWS * 3
    assert Source([str(tmp_path / "a.jsonl"), str(tmp_path / "a.json")]).rows() == ROWS * 2


def test_squad_is_flattened(tmp_path):
    answers = [{"text": "no", "answer_start": 3}]
    nested = {
        "data": [{"paragraphs": [{"context": "so, no", "qas": [{"id": "1", "question": "?", "answers": answers}]}]}]
    }
    rows = Source(write(tmp_path / "a.json", json.dumps(nested))).rows()
    assert rows == [{"id": "1", "question": "?", "answers": answers, "context": "so, no"}]


def test_conll(tmp_path):
    conllu = write(
        tmp_path / "a.conllu",
        "# text = don't go\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\tVB\t_\t3\taux\t_\t_\n"
        "2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_\n2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n"
        "\n# text = go\n1\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_",
    )  # fmt: skip
    rows = Source(conllu).rows("form", "upos")
    assert [row["form"] for row in rows] == [["do", "n't", "go"], ["go"]]
    assert rows[0]["upos"] == ["AUX", "PART", "VERB"]
    plain = write(tmp_path / "b.conll", "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n# NN I-NP O\n\nno DT O O\n")
    assert Source(plain).rows() == [{"form": ["EU", "#"], "tag": ["B-ORG", "O"]}, {"form": ["no"], "tag": ["O"]}]
    named = Source(plain, columns=["word", "pos", "chunk", "ner"]).rows()
    assert named[0]["pos"] == ["NNP", "NN"]
    plus = write(tmp_path / "c.conllup", "# global.columns = ID FORM UPOS\n1\tgo\tVERB\n")
    assert Source(plus, format="conll").rows() == [{"id": ["1"], "form": ["go"], "upos": ["VERB"]}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"text": 1}\n{"text"', "cannot be read as jsonl (line 2:"),
        ("a.csv", "a,b\n1\n", "line 2 of .* has 1 columns and not 2 .a, b."),
        ("a.csv", "", "holds no rows; give data"),
        ("a.csv", "a,b\n", "holds no rows; give data"),
        ("a.xyz", "a", "says no format; set evaluation.source.format"),
        ("a.csv", b"\xff\xfe\x00", "is not UTF-8 text"),
        ("a.jsonl.gz", b"no gzip", "cannot be read as jsonl"),
        ("a.parquet", b"no parquet", "cannot be read as parquet"),
        ("a.conllu", "1\tgo\n", "line 1 of .* has 2 columns and not 10"),
        ("a.jsonl", '{"text": 1}\n[1]', "cannot be read as jsonl (line 2 is no object"),
        ("a.json", '[{"text": 1}, 5]', "row 2 of .*a.json is 5, no object with columns; mend it"),
        ("a.json", "5", "cannot be read as json .it holds no list of rows"),
        ("a.json", '{"data": [{"paragraphs": [{"qas": []}]}, {"paragraphs": 1}]}', "entry 2 lacks SQuAD's"),
    ],
)
def test_faults_are_named(name, content, sentence, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=sentence.replace("(line", r"\(line")):
        Source(str(path)).rows()


def test_a_row_without_a_column_is_numbered_in_its_file(tmp_path):
    rows = [{"good": "a", "bad": "b"}] * 4
    write(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    file = write(tmp_path / "b.jsonl", "\n".join(json.dumps(row) for row in [*rows, {"good": "a"}, *rows]))
    assert len(Source(file).rows("good")) == 9
    with pytest.raises(RecipeError, match=r"row 5 of .*b\.jsonl has no column 'bad' but good; mend it"):
        Source(str(tmp_path / "*.jsonl")).rows("good", "bad")


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_a_line_ends_at_a_line_feed_alone(mark, tmp_path):
    text = f"one{mark}two"
    line = json.dumps({"text": text, "label": "x"}, ensure_ascii=False)
    for name, content in (("a.jsonl", f"{line}\n{line}\n"), ("a.tsv", f"text\tlabel\n{text}\tx\n{text}\tx\n")):
        if name == "a.tsv" or mark in line:  # JSON writes control characters as \u000b
            assert Source(write(tmp_path / name, content)).rows("text") == [{"text": text, "label": "x"}] * 2


def test_missing_and_contradictory_settings(tmp_path, monkeypatch):
    file = write(tmp_path / "a.csv", "a,b\n1,2\n")
    with pytest.raises(RecipeError, match="no data is named; set either evaluation.source.files"):
        Source()
    with pytest.raises(RecipeError, match="both a file and a hub dataset are named"):
        Source(file, path="x")
    with pytest.raises(RecipeError, match="no file matches"):
        Source(str(tmp_path / "none*.csv")).rows()
    with pytest.raises(RecipeError, match="has no column 'text' but a, b"):
        Source(file).rows("text")
    with pytest.raises(RecipeError, match="evaluation.data.train is not set"):
        Splits()

    def fail(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", fail)
    with pytest.raises(RecipeError, match=r"source.path=no/such-set: the dataset cannot be loaded.*no network"):
        Source(path="no/such-set").rows()


def test_a_hub_dataset_by_its_splits(tmp_path):
    """`datasets` loads local folders under the same call."""
    write(tmp_path / "train.csv", "text,label\na,0\n")
    write(tmp_path / "test.csv", "text,label\nb,1\n")
    splits = Splits(train="train", test="test", path=str(tmp_path))
    assert splits.rows("train") == [{"text": "a", "label": 0}]
    assert splits.rows("test")[0]["text"] == "b" and splits.rows("dev") is None
