"""Corpora with tags: the text comes back as it was, and every column counts its characters."""

from __future__ import annotations

import gzip

import pytest

from maskwright.data.tagged import ConllFiles
from maskwright.errors import RecipeError

TREEBANK = """\
# newdoc id = one
# sent_id = 1
# text = "Don't go," she said.
1\t"\t"\tPUNCT\t``\t_\t4\tpunct\t_\tSpaceAfter=No
2-3\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tDo\tdo\tAUX\tVB\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tgo\tgo\tVERB\tVB\t_\t7\tccomp\t_\tSpaceAfter=No
5\t,\t,\tPUNCT\t,\t_\t4\tpunct\t_\tSpaceAfter=No
6\t"\t"\tPUNCT\t''\t_\t4\tpunct\t_\t_
6.1\tthen\tthen\tADV\tRB\t_\t_\t_\t_\t_
7\tshe\tshe\tPRON\tPRP\t_\t8\tnsubj\t_\t_
8\tsaid\tsay\tVERB\tVBD\t_\t0\troot\t_\tSpaceAfter=No
9\t.\t.\tPUNCT\t.\t_\t8\tpunct\t_\tSpacesAfter=\\s\\s

# newpar
# text = Ein Gang zum Markt 10 000
1\tEin\tein\tDET\tART\t_\t2\tdet\t_\t_
2\tGang\tGang\tNOUN\tNN\t_\t0\troot\t_\t_
3-4\tzum\t_\t_\t_\t_\t_\t_\t_\t_
3\tzu\tzu\tADP\tAPPR\t_\t5\tcase\t_\t_
4\tdem\tder\tDET\tART\t_\t5\tdet\t_\t_
5\tMarkt\tMarkt\tNOUN\tNN\t_\t2\tnmod\t_\tSpacesAfter=\\u00A0
6\t10 000\t10000\tNUM\tCD\t_\t2\tnummod\t_\t_

# newdoc id = two
# text = 中文
1\t中文\t中文\tNOUN\tNN\t_\t0\troot\t_\tSpaceAfter=No
"""
FIRST = '"Don\'t go," she said.'
SECOND = "Ein Gang zum Markt\u00a010 000"


def documents(tmp_path, content, name="file.conllu", **settings):
    (tmp_path / name).write_text(content, encoding="utf-8")
    return ConllFiles(str(tmp_path / name), **settings).documents(tmp_path / "cache")


def pieces(row, column):
    return [row["text"][place["start"] : place["end"]] for place in row[column]]


def test_treebank(tmp_path):
    rows = documents(tmp_path, TREEBANK)
    assert rows["text"][:] == [FIRST, SECOND, "中文"]
    assert rows["document"][:] == ["file.conllu:0", "file.conllu:1", "file.conllu:2"]
    assert pieces(rows[0], "words") == ['"', "Do", "n't", "go", ",", '"', "she", "said", "."]
    assert [tag["type"] for tag in rows[0]["tags"]] == [
        "PUNCT", "AUX", "PART", "VERB", "PUNCT", "PUNCT", "PRON", "VERB", "PUNCT"]  # fmt: skip
    # A written word that is not the sum of its parts has the first one's tag.
    assert pieces(rows[1], "words") == ["Ein", "Gang", "zum", "Markt", "10 000"]
    assert [tag["type"] for tag in rows[1]["tags"]] == ["DET", "NOUN", "ADP", "NOUN", "NUM"]


def test_what_is_a_document(tmp_path):
    assert documents(tmp_path, TREEBANK, document="document")["text"][:] == [f"{FIRST}\n\n{SECOND}", "中文"]
    whole = documents(tmp_path, TREEBANK, document="file", columns=["words"])
    assert whole["text"][:] == [f"{FIRST}\n\n{SECOND} 中文"] and whole["document"][:] == ["file.conllu"]
    assert pieces(whole[0], "words")[-2:] == ["10 000", "中文"]
    assert set(whole.column_names) == {"text", "document", "words"}


def test_other_columns_of_a_treebank(tmp_path):
    tags = documents(tmp_path, TREEBANK, tag="xpos")[1]["tags"]
    assert [tag["type"] for tag in tags] == ["ART", "NN", "APPR", "NN", "CD"]
    assert documents(tmp_path, TREEBANK, word="lemma", tag=7)[2]["tags"][0]["type"] == "root"


IOB = """\
-DOCSTART- O

@paul\tO
lives\tO
in\tO
New\tB-place
York\tI-place
Paris\tB-place
Anna\tI-person
Lee\tI-person
Anna\tB-person
.\tO
\t
Rome\tS-place
Old\tB-place
Lyme\tE-place
Bath\tI-place

-DOCSTART- O

End\tO
"""


def test_spans_of_iob_tags(tmp_path):
    rows = documents(tmp_path, IOB, "ner.tsv", document="document")
    assert rows["text"][:] == ["@paul lives in New York Paris Anna Lee Anna . Rome Old Lyme Bath", "End"]
    spans = [(text, tag["type"]) for text, tag in zip(pieces(rows[0], "tags"), rows[0]["tags"])]
    assert spans == [
        ("New York", "place"), ("Paris", "place"), ("Anna Lee", "person"), ("Anna", "person"), ("Rome", "place"),
        ("Old Lyme", "place"), ("Bath", "place"),
    ]  # fmt: skip
    assert rows[1]["tags"] == [] and len(documents(tmp_path, IOB, "ner.tsv")) == 3


def test_spans_stop_at_sentences(tmp_path):
    rows = documents(tmp_path, "New B-x\n\nYork I-x\n", "ner.txt", document="file")
    assert pieces(rows[0], "tags") == ["New", "York"]


def test_text_without_spaces(tmp_path):
    rows = documents(tmp_path, "北 B-LOC\n京 I-LOC\n好 O\n", "ner.txt", spaced=False)
    assert rows[0]["text"] == "北京好" and pieces(rows[0], "tags") == ["北京"]


def test_columns_by_number_and_compression(tmp_path):
    with gzip.open(tmp_path / "four.txt.gz", "wt", encoding="utf-8") as file:
        file.write("U.N. NNP I-NP I-ORG\nofficial NN I-NP O\n")
    for tag, expected in ((1, ["NNP", "NN"]), (2, ["NP"]), (-1, ["ORG"])):
        rows = ConllFiles(str(tmp_path / "four.txt.gz"), tag=tag).documents(tmp_path / "cache")
        assert [one["type"] for one in rows[0]["tags"]] == expected


def test_the_fingerprint_follows_content_and_settings(tmp_path):
    (tmp_path / "a.conllu").write_text(TREEBANK, encoding="utf-8")
    base = ConllFiles(str(tmp_path / "a.conllu")).fingerprint(tmp_path)
    others = [{"word": "lemma"}, {"tag": "xpos"}, {"document": "file"}, {"spaced": False}]
    assert len({base, *(ConllFiles(str(tmp_path / "a.conllu"), **one).fingerprint(tmp_path) for one in others)}) == 5
    assert ConllFiles(str(tmp_path / "a.conllu"), columns=["file"]).fingerprint(tmp_path) == base
    (tmp_path / "a.conllu").write_text(TREEBANK.replace("Markt", "Platz"), encoding="utf-8")
    assert ConllFiles(str(tmp_path / "a.conllu")).fingerprint(tmp_path) != base


def test_refusals(tmp_path):
    with pytest.raises(RecipeError, match=r"^data.tag is 'pos'; give the number of a column, counted from 0, or one"):
        ConllFiles("a", tag="pos")
    with pytest.raises(RecipeError, match=r"^data.document is 'line'; choose one of sentence, document, file"):
        ConllFiles("a", document="line")
    with pytest.raises(RecipeError, match=r"^data.columns names 'pos'; data=conll carries words, tags, file"):
        ConllFiles("a", columns=["pos"])
    with pytest.raises(RecipeError, match=r"file.conllu, line 1 has 3 columns, and CoNLL-U has 10"):
        documents(tmp_path, "1\ta\tb\n")
    with pytest.raises(RecipeError, match=r"ner.tsv, line 2 has nothing in column 5; set data.word and data.tag"):
        documents(tmp_path, "a\tb\tc\td\te\tf\nb\tO\n", "ner.tsv", tag=5)
    with pytest.raises(RecipeError, match=r"^data.files is not set"):
        ConllFiles()
