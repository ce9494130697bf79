"""Retrieval: the metrics by hand and by sklearn, and every layout of a collection."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from maskwright.errors import RecipeError
from maskwright.evaluation import trec
from maskwright.evaluation.retrieval import Retrieval
from maskwright.evaluation.tools import Tools

DOCUMENTS = {"d1": "the lost traveller", "d2": "the art of the state", "d3": "careless children", "d4": "in 1984",
             "d5": "a souvenir was lost"}  # fmt: skip
QUERIES = {"q1": "lost souvenirs", "q2": "state art", "q3": "nobody judged this"}
JUDGED = [("q1", "d5", 3), ("q1", "d1", 1), ("q1", "d2", -1), ("q2", "d2", 2), ("q2", "d9", 1)]


@pytest.fixture
def beir(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(
            json.dumps({"_id": k, "title": v.split()[0], "text": v.split(" ", 1)[1]}) for k, v in DOCUMENTS.items()
        )
    )
    (tmp_path / "queries.jsonl").write_text("\n".join(json.dumps({"_id": k, "text": v}) for k, v in QUERIES.items()))
    lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{g}" for q, d, g in JUDGED)]
    (tmp_path / "qrels.tsv").write_text("\n".join(lines))
    return [str(tmp_path / name) for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")]


@pytest.fixture
def sgml(tmp_path):
    documents = [f"<doc>\n<docno> {k} </docno>\n<title>{v.split()[0]}</title>\n<author>x</author>\n"
                 f"<text>{v.split(' ', 1)[1]}</text></doc>" for k, v in DOCUMENTS.items()]  # fmt: skip
    queries = [f"<top>\n<num> Number: {40 + n}\n<title>\n{v}\n</top>" for n, v in enumerate(QUERIES.values())]
    number = {"q1": "1", "q2": "2"}
    (tmp_path / "docs.xml").write_text("<xml>" + "\n".join(documents) + "</xml>")
    (tmp_path / "queries.xml").write_text("<xml>" + "\n".join(queries) + "</xml>")
    (tmp_path / "qrels.txt").write_text("\n".join(f"{number[q]} 0 {d} {g}" for q, d, g in JUDGED))
    return [str(tmp_path / name) for name in ("docs.xml", "queries.xml", "qrels.txt")]


def vectors(bert, texts):
    with torch.no_grad():
        return np.array([bert.network.body(torch.tensor(bert.tokenizer(t)["input_ids"])[None]).last_hidden_state[0]
                         .mean(0).double().numpy() for t in texts])  # fmt: skip


@pytest.mark.parametrize("score", ["cosine", "dot"])
def test_metrics_equal_sklearn_and_hand_counts(score, beir, subject):
    bert = subject("bert")
    figures = Retrieval(*beir, k=3, recall=[1, 2], score=score).run(bert, Tools()).figures
    documents, queries = vectors(bert, DOCUMENTS.values()), vectors(bert, list(QUERIES.values())[:2])
    if score == "cosine":
        documents, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (documents, queries))
    found = queries @ documents.T
    grades = np.array([[1, 0, 0, 0, 3], [0, 2, 0, 0, 0]])
    assert figures["ndcg@3"] == pytest.approx(
        np.mean([ndcg_score(g[None], f[None], k=3) for g, f in zip(grades, found)])
    )
    order = np.argsort(-found, axis=1)
    first = [1 / (1 + next(n for n, d in enumerate(row) if grade[d] > 0)) for row, grade in zip(order, grades)]
    assert figures["mrr"] == pytest.approx(np.mean(first))
    for k in (1, 2):
        recall = [(grade[row[:k]] > 0).sum() / (grade > 0).sum() for row, grade in zip(order, grades)]
        assert figures[f"recall@{k}"] == pytest.approx(np.mean(recall))


def test_layouts_agree(beir, sgml, subject):
    bert = subject("bert")
    one = Retrieval(*beir).run(bert, Tools())
    other = Retrieval(*sgml, numbered=True).run(bert, Tools())
    assert one.figures == pytest.approx(other.figures)
    assert one.facts["queries"] == 2 and one.facts["skipped"] == {"query without a relevant document": 1}
    assert trec.documents(sgml[0], ["title", "text"]) == DOCUMENTS
    assert list(trec.queries(sgml[1], ["title"], False)) == ["40", "41", "42"]
    assert trec.queries(beir[1], ["title", "text"], False) == QUERIES


def test_tsv_and_fields(tmp_path):
    (tmp_path / "queries.tsv").write_text("1\tlost souvenirs\n2\tstate art\n")
    assert trec.queries(str(tmp_path / "queries.tsv"), ["text"], False) == {"1": "lost souvenirs", "2": "state art"}


def test_compressed_collections(beir, tmp_path):
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(Path(beir[0]).read_bytes()))
    (tmp_path / "queries.tsv.bz2").write_bytes(bz2.compress(b"q1\tlost souvenirs\n"))
    assert trec.documents(str(tmp_path / "corpus.jsonl.gz"), ["title", "text"]) == DOCUMENTS
    assert trec.queries(str(tmp_path / "queries.tsv.bz2"), ["text"], False) == {"q1": "lost souvenirs"}


def test_a_line_ends_at_a_line_feed_alone(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"_id": "1", "text": "one\u2028two"}\n{"_id": "2", "text": "x\x85y"}\n')
    (tmp_path / "a.tsv").write_text('1\tone\u2028two\r\n\n2\t"x\x85y\n')
    assert trec.documents(str(tmp_path / "a.jsonl"), ["text"]) == {"1": "one two", "2": "x y"}
    assert trec.documents(str(tmp_path / "a.tsv"), ["text"]) == {"1": "one two", "2": '"x y'}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b'{"_id": 1, "text": "a"}\n\n{"_id"', "a.jsonl cannot be read as jsonl .line 3: "),
        ("a.jsonl", b'{"_id": 1, "text": "a"}\n{"text": "b"}', "row 2 has neither _id nor id"),
        ("a.tsv", b"1\ta\n\nb\n", "a.tsv cannot be read as tsv .line 3 has no tab"),
        ("a.jsonl.gz", gzip.compress(b'{"_id": 1, "text": "a"}' * 99, mtime=0)[:-20], "a.jsonl.gz cannot be read"),
    ],
)
def test_broken_files_are_named_with_their_line(name, content, sentence, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=sentence):
        trec.documents(str(tmp_path / name), ["text"])


def test_a_document_finds_itself(beir, tmp_path, subject):
    """Queries that are documents: whitened or not, the same text is its own nearest."""
    (tmp_path / "self.jsonl").write_text("\n".join(json.dumps({"_id": k, "text": v}) for k, v in DOCUMENTS.items()))
    (tmp_path / "self.txt").write_text("\n".join(f"{k} 0 {k} 1" for k in DOCUMENTS))
    for whiten in (False, True):
        suite = Retrieval(str(tmp_path / "self.jsonl"), str(tmp_path / "self.jsonl"), str(tmp_path / "self.txt"),
                          whiten=whiten)  # fmt: skip
        figures = suite.run(subject("bert"), Tools()).figures
        assert figures["ndcg@10"] == figures["mrr"] == figures["recall@10"] == 1.0


def test_mistakes_are_named(beir, tmp_path, subject):
    bert = subject("bert")
    with pytest.raises(RecipeError, match="evaluation.queries is not set"):
        Retrieval(beir[0], None, beir[2])
    with pytest.raises(RecipeError, match="evaluation.score is 'l2'; choose cosine or dot"):
        Retrieval(*beir, score="l2")
    with pytest.raises(RecipeError, match="evaluation.recall is 0"):
        Retrieval(*beir, recall=[0])
    with pytest.raises(RecipeError, match="evaluation.documents=none is no file"):
        Retrieval("none", *beir[1:]).check(bert)
    with pytest.raises(RecipeError, match="no query has a relevant document"):
        Retrieval(*beir, numbered=True).run(bert, Tools())
    with pytest.raises(RecipeError, match="has none of the fields body"):
        Retrieval(*beir, fields=["body"]).run(bert, Tools())
    (tmp_path / "bad.txt").write_text("q1 d1 1\nq1 d1\n")
    with pytest.raises(RecipeError, match="line 2 of .* is neither"):
        trec.judgements(str(tmp_path / "bad.txt"))
