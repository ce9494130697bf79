"""annotate.py builds what training then finds, and reports it as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from maskwright.errors import RecipeError
from maskwright.seeing.annotations.command import annotate
from maskwright.seeing.annotations.screen import size

PMI = ("masking=pmi", "masking.unit.column.lexicon.minimum=2", "masking.unit.column.lexicon.entries=200")


@pytest.fixture
def annotated(compose, tmp_path, monkeypatch):
    """`annotated("masking=pmi")` with a cache of its own: the document."""

    def told(*overrides, cache="cache", **more):
        cfg, choices = compose(*overrides, f"cache={tmp_path / cache}", config="annotate")
        return annotate(cfg, choices, **more)

    return told


def folders(cache):
    return sorted(str(path.relative_to(cache)) for path in Path(cache).glob("*/*") if path.is_dir())


def test_artefacts_are_reported_as_they_lie_there(annotated):
    told = annotated(*PMI, "annotate.rows=3")
    made = {each["kind"]: each for each in told["artefacts"]}
    assert {"lexicon", "ngram_counts", "word_counts"} <= made.keys()
    for each in made.values():
        folder = Path(each["folder"])
        assert each["origin"] == "built" and folder.parent == Path(told["cache"]) / "artefacts"
        assert each["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
        assert each["settings"] == json.loads((folder / "settings.json").read_text())["settings"]
        for name, rows in each["tables"].items():
            table = pq.read_table(folder / f"{name}.parquet")
            assert table.num_rows == rows and len(each["examples"][name]) == min(3, rows)
            for number, row in enumerate(each["examples"][name]):
                assert row == table.slice(number, 1).to_pylist()[0]
    assert made["lexicon"]["use"] == "masking.unit.column.lexicon.table"
    assert made["word_counts"]["use"] is None


def test_a_second_time_everything_is_there(annotated):
    first = annotated(*PMI)
    before = folders(first["cache"])
    again = annotated(*PMI)
    assert folders(first["cache"]) == before
    lexicon = [next(a for a in told["artefacts"] if a["kind"] == "lexicon") for told in (first, again)]
    assert (lexicon[0]["origin"], lexicon[1]["origin"]) == ("built", "cache")
    assert lexicon[0]["folder"] == lexicon[1]["folder"] and first["columns"] == again["columns"]


def test_training_finds_everything_ready(annotated, compose):
    from maskwright.training.recipe import assemble

    told = annotated(*PMI)
    before = folders(told["cache"])
    cfg, choices = compose(*PMI, f"cache={told['cache']}")
    prepared = assemble(cfg, choices).prepare(cfg)
    assert folders(told["cache"]) == before and prepared.fingerprints == told["fingerprints"]


def test_the_artefact_serves_elsewhere(annotated, compose):
    """`<use>=<folder>` in another cache gives the same column, and learns nothing."""
    from maskwright.training.recipe import assemble

    bpe = ("tokenizer=bpe", "tokenizer.vocabulary=400")  # trained alike in both caches, which WordPiece is not
    told = annotated(*PMI, *bpe)
    lexicon = next(each for each in told["artefacts"] if each["kind"] == "lexicon")
    given = f"{lexicon['use']}={lexicon['folder']}"
    other = annotated("masking=pmi", given, *bpe, cache="other")
    used = next(each for each in other["artefacts"] if each["kind"] == "lexicon")
    assert (used["origin"], used["folder"]) == ("given", lexicon["folder"])
    assert {each["kind"] for each in other["artefacts"]} == {"lexicon"}
    columns = []
    for cache, overrides in ((told["cache"], (*PMI, *bpe)), (other["cache"], ("masking=pmi", given, *bpe))):
        cfg, choices = compose(*overrides, f"cache={cache}")
        rows = assemble(cfg, choices).prepare(cfg).train
        columns.append(rows.take(np.arange(len(rows)))["collocation"].numpy())
    assert (columns[0] == columns[1]).all()
    assert other["columns"][1]["number"] == told["columns"][1]["number"]


def test_units_in_the_samples_are_in_the_list(annotated):
    told = annotated(*PMI, "annotate.rows=1000", "annotate.samples=20")
    lexicon = next(each for each in told["artefacts"] if each["kind"] == "lexicon")
    listed = {" ".join(row["words"]) for row in lexicon["examples"]["entries"]}
    column = next(each for each in told["columns"] if each["name"] == "collocation")
    words = next(each for each in told["columns"] if each["name"] == "word")
    assert column["samples"] and {sample.lower() for sample in column["samples"]} <= listed
    assert column["kind"] == "units" and 0 < column["share"] < 1 and column["number"] < words["number"]


def test_a_recipe_without_annotations_has_none(annotated):
    console = Console(record=True, width=100)
    told = annotated(console=console)
    assert told["artefacts"] == told["columns"] == []
    assert "reads no annotations" in console.export_text()
    assert annotated("objective=clm", console=Console(quiet=True))["columns"] == []


def test_the_screen_and_the_json_agree(annotated, capsys):
    console = Console(record=True, width=160)
    told = annotated(*PMI, console=console)
    text = console.export_text()
    for made in told["artefacts"]:
        assert made["folder"] in text.replace("\n", "") and size(made["bytes"]) in text
        for name, rows in made["tables"].items():
            assert re.search(rf"\b{name} +{rows:,}\b", text)
    for column in told["columns"]:
        assert f"{100 * column['share']:.1f}%" in text and f"{column['number']:,} units" in text
    lexicon = next(each for each in told["artefacts"] if each["kind"] == "lexicon")
    assert f"{lexicon['use']}={lexicon['folder']}" in text.replace("\n", "")
    capsys.readouterr()
    again = annotated(*PMI, "annotate.json=true")
    assert json.loads(capsys.readouterr().out) == again


def test_classes_and_scores_are_told(annotated, tmp_path):
    (tmp_path / "stop.txt").write_text("the\nof\nand\n")
    (tmp_path / "easy.txt").write_text("have\nthat\n")
    lists = [f"rate.column.strata.{name}={tmp_path / name}.txt" for name in ("stop", "easy")]
    strata = annotated("rate=by_stratum", *lists, "masking=whole_word", "annotate.samples=40")
    stratum = next(each for each in strata["columns"] if each["name"] == "stratum")
    assert stratum["kind"] == "classes" and set(stratum["classes"]) == {"stop", "easy"}
    assert {sample.rsplit(" ", 1)[0].lower() for sample in stratum["samples"] if sample.endswith("(easy)")} <= {
        "have", "that", "have that", "that have"
    }  # fmt: skip
    weighted = annotated("masking=whole_word", "masking/weight=term_weight")
    scores = next(each for each in weighted["columns"] if each["kind"] == "scores")["scores"]
    assert 0 <= scores["least"] < scores["mean"] < scores["most"]


def test_mistakes_are_named(annotated):
    for override, said in {
        "annotate.rows=-1": "annotate.rows is -1; give a whole number from 0 up.",
        "annotate.samples=x": "annotate.samples is 'x'; give a whole number from 0 up.",
        "rate.value=2": "rate.value is 2; a masking rate lies between 0 and 1.",
        "masking=entity": "need one place to come from",
    }.items():
        with pytest.raises(RecipeError, match=re.escape(said)) as caught:
            annotated(override)
        assert "\n" not in str(caught.value)
