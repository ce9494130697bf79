"""Checkpoints: whole or absent, loaded safely, and a resume from any of them is exact."""

import errno
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.training import checkpoints
from maskwright.training.checkpoints import AtomicCheckpointIO, StepCheckpoint, listed, name, newest

STEPS = 8


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_one_batch_is_one_step_and_one_checkpoint(unbroken):
    folder, shell, _ = unbroken
    assert shell.trained == list(range(STEPS))
    assert [path.name for path in listed(folder)] == [name(step) for step in range(STEPS, 0, -1)]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_resume_after_any_step_is_exact(fit, unbroken, step, tmp_path):
    folder, whole, weights = unbroken
    shell, trainer, _, resumed = fit(tmp_path, folder / name(step))
    assert equal(resumed, weights)
    assert trainer.global_step == STEPS and shell.trained == whole.trained[step:]
    # A checkpoint of a step that is validated was taken after the validation, so none is lost or run twice.
    assert shell.validated == [entry for entry in whole.validated if entry[0] > step]


def test_killed_in_validation_runs_it_again(fit, unbroken, tmp_path, monkeypatch):
    _, whole, weights = unbroken

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(StepCheckpoint, "on_validation_end", killed)
        with pytest.raises(Killed):
            fit(tmp_path)
    assert newest(tmp_path).name == name(2)
    shell, _, _, resumed = fit(tmp_path, newest(tmp_path))
    assert equal(resumed, weights) and shell.validated == whole.validated


@pytest.mark.parametrize(("every", "keep", "left"), [(3, 2, [8, 6]), (3, 0, [8, 6, 3]), (4, 1, [8]), (100, 2, [8])])
def test_saves_at_the_end_and_keeps_the_newest(fit, tmp_path, every, keep, left):
    fit(tmp_path, every=every, keep=keep)
    assert [path.name for path in listed(tmp_path)] == [name(step) for step in left]


def test_newest_is_whole(tmp_path):
    io = AtomicCheckpointIO()
    assert newest(tmp_path / "absent") is None
    for step in (9, 10, 100000000):
        io.save_checkpoint({"step": step, "weight": torch.arange(1000)}, tmp_path / name(step))
    (tmp_path / "best.ckpt").write_bytes(b"")
    assert newest(tmp_path) == tmp_path / name(100000000)
    last = tmp_path / name(100000000)
    last.write_bytes(last.read_bytes()[:-200])
    assert newest(tmp_path) == tmp_path / name(10)
    flipped = bytearray((tmp_path / name(10)).read_bytes())
    flipped[flipped.index(bytes(range(8, 9)) + bytes(7) + bytes([9]))] ^= 1  # inside the tensor's numbers
    (tmp_path / name(10)).write_bytes(flipped)
    assert newest(tmp_path) == tmp_path / name(9)
    with pytest.raises(RecipeError) as caught:
        io.load_checkpoint(tmp_path / name(10))
    assert str(caught.value) == f"The checkpoint {tmp_path / name(10)} is damaged; use the older {name(9)} beside it."
    assert io.load_checkpoint(tmp_path / name(9))["step"] == 9


def test_missing_and_foreign_files_are_refused(tmp_path):
    io = AtomicCheckpointIO()
    with pytest.raises(
        RecipeError, match=r"There is no checkpoint .*; no older one is whole, so start the run again\."
    ):
        io.load_checkpoint(tmp_path / name(3))
    with zipfile.ZipFile(tmp_path / name(3), "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Path))
        archive.writestr("archive/version", "3")
    with pytest.raises(RecipeError, match="is not a checkpoint that can be loaded safely"):
        io.load_checkpoint(tmp_path / name(3), weights_only=False)


@pytest.mark.parametrize("where", ["write", "sync"])
def test_a_full_disk_leaves_older_checkpoints_alone(tmp_path, monkeypatch, where):
    io, path = AtomicCheckpointIO(), tmp_path / name(1)
    io.save_checkpoint({"a": 1}, path)
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_):
        raise full

    if where == "sync":
        monkeypatch.setattr(checkpoints.os, "fsync", refuse)
    else:
        real = open

        def narrow(file, mode="r"):
            handle = real(file, mode)
            if "w" in mode:
                handle.close()
                handle = real("/dev/full", mode, buffering=0)
            return handle

        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full")
        monkeypatch.setattr(checkpoints, "open", narrow, raising=False)
    for target in (name(2), name(1)):
        with pytest.raises(RecipeError) as caught:
            io.save_checkpoint({"a": torch.zeros(100_000)}, tmp_path / target)
        assert str(caught.value) == (
            f"The checkpoint {tmp_path / target} could not be written: the disk is full; free some space and resume, "
            "older checkpoints are whole."
        )
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == [name(1)] and io.load_checkpoint(path) == {"a": 1}


def test_impossible_settings_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="checkpoint.every is 0; it is a number of steps of at least 1."):
        StepCheckpoint(tmp_path, every=0)
    with pytest.raises(RecipeError, match="checkpoint.keep is -1; it is a number of files, 0 to keep all."):
        StepCheckpoint(tmp_path, every=1, keep=-1)
