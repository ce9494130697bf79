"""The whole way from files to rows, and what the cache keeps apart."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from maskwright.data import Packing, Sotu, TextFiles, TrainedTokenizer, prepare
from maskwright.errors import RecipeError


def made(folder, cache, kind="wordpiece", packing="segment", length=32, **options):
    corpus = TextFiles(f"{folder}/*.txt", heldout=0.2)
    return prepare(corpus, TrainedTokenizer(kind, 700), Packing(packing, length), cache=cache, **options)


def all_rows(rows):
    return {name: value.numpy() for name, value in rows.take(np.arange(len(rows))).items()}


def sides(prepared, cache):
    from datasets import Dataset

    texts = cache / "texts" / prepared.fingerprints["corpus"]
    return {side: Dataset.from_file(str(texts / f"{side}.arrow"))["text"][:] for side in ("train", "heldout")}


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_bytes_and_tokens_add_up(folder, cache, kind):
    prepared = made(folder, cache, kind)
    texts = sides(prepared, cache)
    for name, side in (("train", "train"), ("heldout", "heldout"), ("ruler", "heldout")):
        rows = getattr(prepared, name)
        batch = all_rows(rows)
        assert batch["bytes"].sum() == rows.bytes_total == sum(len(text.encode()) for text in texts[side])
        special = np.isin(batch["ids"], prepared.tokenizer.all_special_ids) & (batch["bytes"] == 0)
        real = (batch["document"] > 0) & ~np.isin(batch["ids"], [0, 2, 3])
        assert real.sum() == prepared.report["tokens"][side]
        assert batch["word"][special].all()
        assert len(rows) == prepared.report["rows"][name]
    assert prepared.report["bytes"] == {side: sum(len(t.encode()) for t in part) for side, part in texts.items()}


def test_rows_hold_what_the_tokenizer_gives(folder, cache):
    """Concatenated rows, read in a line, are the tokenizer's own ids of each document with [SEP] between."""
    prepared = made(folder, cache, packing="concatenate")
    batch = all_rows(prepared.train)
    stream = batch["ids"][:, 1:-1].ravel()
    expected: list[int] = []
    for text in sides(prepared, cache)["train"]:
        expected += [*prepared.tokenizer(text, add_special_tokens=False)["input_ids"], 3]
    assert stream[: len(expected) - 1].tolist() == expected[:-1]


def test_heldout_paragraphs_are_absent_from_train(folder, cache):
    prepared = made(folder, cache)
    texts = sides(prepared, cache)
    heldout = {part.strip() for text in texts["heldout"] for part in text.split("\n\n") if len(part.strip()) >= 64}
    train = {part.strip() for text in texts["train"] for part in text.split("\n\n")}
    assert heldout
    assert not heldout & train
    assert prepared.report["duplicates"] >= 24  # the hard lines stand in every file
    assert f"{prepared.report['duplicates']} paragraphs removed that stand in held-out text too" in prepared.summary
    assert prepared.summary.startswith("text: 24 + 6 documents, ")


def test_the_ruler_does_not_hang_on_the_packing(folder, cache):
    one = made(folder, cache, packing="segment", length=32)
    two = made(folder, cache, packing="concatenate", length=64)
    assert one.ruler.folder == two.ruler.folder
    assert one.ruler.length == 128
    assert one.fingerprints["ruler"] == two.fingerprints["ruler"]
    assert one.fingerprints["train"] != two.fingerprints["train"]
    assert (all_rows(one.ruler)["document"] <= 1).all()
    assert made(folder, cache, ruler_length=64).ruler.length == 64


def test_cache_is_reused(folder, cache):
    first = made(folder, cache)
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    start = time.perf_counter()
    second = made(folder, cache)
    assert time.perf_counter() - start < 2
    assert second.fingerprints == first.fingerprints
    assert second.report == first.report
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == written


def test_the_default_corpus_is_reused_too(cache):
    arguments = (Sotu(), TrainedTokenizer(), Packing())
    prepared = prepare(*arguments, cache=cache)
    assert prepared.report["documents"] == {"train": 236, "heldout": 13}
    start = time.perf_counter()
    assert prepare(*arguments, cache=cache).fingerprints == prepared.fingerprints
    assert time.perf_counter() - start < 2


def test_fingerprints_change_with_settings_and_data(tmp_path, folder, cache):
    base = made(folder, cache).fingerprints
    assert made(folder, cache, "bpe").fingerprints["corpus"] == base["corpus"]
    assert made(folder, cache, "bpe").fingerprints["tokenizer"] != base["tokenizer"]
    assert made(folder, cache, length=48).fingerprints["train"] != base["train"]
    plain = made(folder, cache, columns=())
    assert plain.fingerprints == base
    assert set(all_rows(plain.train)) == {"sample", "ids", "document", "bytes"}
    corpus = TextFiles(f"{folder}/*.txt", heldout=0.3)
    other = prepare(corpus, TrainedTokenizer("wordpiece", 700), Packing("segment", 32), cache=cache)
    assert not set(other.fingerprints.values()) & set(base.values())
    for path in folder.iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8").replace("people", "person"), "utf-8")
    changed = made(tmp_path, cache).fingerprints
    assert not set(changed.values()) & set(base.values())


def test_special_tokens_written_in_the_text_are_text(tmp_path, cache):
    for number in range(4):
        text = f"Some words {'about' * number} a [MASK] and [PAD] [SEP] [CLS].\n\n" * 30
        (tmp_path / f"{number}.txt").write_text(text + chr(97 + number) * 9)
    corpus = TextFiles(f"{tmp_path}/*.txt", heldout=0.3)
    prepared = prepare(corpus, TrainedTokenizer(vocabulary=64), Packing("document", 64), cache=cache)
    batch = all_rows(prepared.train)
    assert not (batch["ids"] == prepared.tokenizer.mask_token_id).any()
    assert ((batch["ids"] == 0) == (batch["document"] == 0)).all()
    assert prepared.tokenizer("[MASK]", add_special_tokens=False)["input_ids"] == [4]  # exports still know it


def test_a_failed_build_leaves_nothing(tmp_path, folder):
    class Failing:
        def load(self, texts, key, cache, markers):
            raise RecipeError("no tokenizer.")

    with pytest.raises(RecipeError):
        prepare(TextFiles(f"{folder}/*.txt"), Failing(), Packing(), cache=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".new") or path.suffix == ".new"]
    assert len([path for path in (tmp_path / "texts").iterdir() if path.is_dir()]) == 1


def test_a_cache_that_cannot_be_written(tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        RecipeError, match=r"^the data cache .* cannot be written \(.*\); free some space or point MASK"
    ):
        prepare(TextFiles(f"{folder}/*.txt"), TrainedTokenizer(), Packing(), cache=tmp_path / "file")


def test_unknown_annotation(folder, cache):
    with pytest.raises(RecipeError, match=r"^there is no column .wrod.; `word` is known by name"):
        made(folder, cache, columns=("wrod",))


def test_saved_facts(tmp_path, folder, cache):
    prepared = made(folder, cache)
    prepared.save(tmp_path / "data.json")
    content = json.loads((tmp_path / "data.json").read_text())
    assert content == {"fingerprints": prepared.fingerprints, "report": prepared.report}
