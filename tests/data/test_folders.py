"""Folders of the cache: whole, made again, or refused."""

from __future__ import annotations

import shutil

import filelock
import numpy as np
import pytest

from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare, progress
from maskwright.data.folders import damage, folder_of, is_whole
from maskwright.data.progress import _line
from maskwright.data.sample import sampled, training_sample
from maskwright.data.tokenizers import SavedTokenizer


def build(new):
    (new / "inner").mkdir()
    (new / "inner" / "a.txt").write_text("0123456789")
    (new / "b.txt").write_text("b")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda place: (place / "inner" / "a.txt").write_text("012"), "inner/a.txt has 3 of 10 bytes"),
        (lambda place: (place / "b.txt").write_text(""), "b.txt has 0 of 1 bytes"),
        (lambda place: (place / "b.txt").unlink(), "b.txt is missing"),
        (lambda place: (place / "sizes.json").unlink(), "it has no sizes.json"),
        (lambda place: (place / "sizes.json").write_text("{"), "its sizes.json cannot be read"),
    ],
)
def test_what_is_damaged_is_made_again_and_said(tmp_path, capfd, harm, said):
    place = folder_of(tmp_path / "key", build)
    assert damage(place) is None
    harm(place)
    assert damage(place) == said
    assert not is_whole(place)
    assert (folder_of(place, build) / "inner" / "a.txt").read_text() == "0123456789"
    assert damage(place) is None
    assert capfd.readouterr().err == f"the data cache {place} is damaged ({said}); it is made again\n"
    assert not list(tmp_path.glob(".new-*"))


def test_what_is_whole_is_opened_without_a_lock(tmp_path, monkeypatch):
    place = folder_of(tmp_path / "key", build)
    monkeypatch.setattr(filelock, "FileLock", None)
    assert folder_of(place, build) == place


def test_what_killed_processes_left_is_removed_when_nobody_builds(tmp_path):
    left = tmp_path / ".new-abc"
    left.mkdir()
    (left / "half").write_text("x")
    with filelock.FileLock(tmp_path / "other.lock"):
        folder_of(tmp_path / "one", build)
        assert left.exists()
    folder_of(tmp_path / "two", build)
    assert not left.exists()


def made(folder, cache):
    tokenizer = TrainedTokenizer("wordpiece", 500)
    return prepare(TextFiles(f"{folder}/*.txt", heldout=0.2), tokenizer, Packing("segment", 32), cache=cache)


def content(prepared):
    return {name: value.numpy().tolist() for name, value in prepared.train.take(np.arange(len(prepared.train))).items()}


def test_every_file_of_a_warm_cache_may_be_damaged_or_gone(folder, tmp_path, capfd):
    first = made(folder, tmp_path)
    wanted = content(first)
    files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.suffix not in (".lock",)]
    files = [path for path in files if "tokenizers" not in path.parts]
    assert len(files) > 25
    for number, path in enumerate(files):
        if number % 2:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if number % 5 == 4 or path is files[-1]:
            again = made(folder, tmp_path)
            assert again.fingerprints == first.fingerprints
            assert content(again) == wanted
    assert "is damaged" in capfd.readouterr().err


@pytest.mark.parametrize("stage", ["texts", "tokens", "columns", "rows", "packed"])
def test_stages_of_the_cache_may_go(folder, tmp_path, stage):
    first = made(folder, tmp_path)
    shutil.rmtree(tmp_path / stage)
    assert made(folder, tmp_path).fingerprints == first.fingerprints


def test_a_cache_that_goes_between_two_stages(folder, tmp_path, capfd):
    class Emptying(SavedTokenizer):
        times = 0

        def load(self, texts, key, cache, markers):
            Emptying.times += 1
            if Emptying.times == 1:
                shutil.rmtree(cache / "texts")
            return super().load(texts, key, cache, markers)

    TrainedTokenizer("wordpiece", 300).train(path.read_text() for path in folder.iterdir()).save(str(tmp_path / "t.json"))
    corpus = TextFiles(f"{folder}/*.txt", heldout=0.2)
    cache = tmp_path / "cache"
    prepared = prepare(corpus, Emptying(str(tmp_path / "t.json")), Packing("segment", 32), cache=cache)
    assert len(prepared.train)
    assert f"the data cache {cache} went away while it was in use; it is made again" in capfd.readouterr().err


def test_a_line_every_so_often_without_a_terminal(monkeypatch, capfd):
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    with progress.progress("tokenize train documents", 200e6, "B") as advance:
        advance(70e6)
        import time

        time.sleep(0.1)
    lines = capfd.readouterr().err.splitlines()
    assert lines and all(line.startswith("tokenize train documents: 35 % of 200 MB, 0 s") for line in lines)
    assert _line("pack", 50, 200, "tokens", 12.0) == "pack: 25 % of 200 tokens, 12 s, about 36 s left"
    assert _line("read", 0, None, "", 31.0) == "read: 31 s"


def test_a_large_side_is_sampled_evenly_for_the_tokenizer(folder, tmp_path):
    prepared = made(folder, tmp_path)
    texts = tmp_path / "texts" / prepared.fingerprints["corpus"]
    everything = list(training_sample(texts))
    size = sum(map(len, everything))
    some = list(training_sample(texts, size // 4))
    assert some == list(training_sample(texts, size // 4))
    assert abs(sum(map(len, some)) / size - 0.25) < 0.02
    place = iter(everything)
    assert all(one in place for one in some)  # in their order
    assert sampled(texts) is None
    assert sampled(texts, size // 4).startswith("the tokenizer learns from an even sample of 0 MB of the 0 MB")
