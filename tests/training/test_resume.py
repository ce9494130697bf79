"""Promise: kill -9 at any moment, resume, and everything equals the run that was never killed, bit for bit."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskwright.errors import RecipeError

# bert has dropout, so that its noise is part of what must come back
RECIPE = (
    "model=bert_tiny",
    "model.config.hidden_dropout_prob=0.1",
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=1",
    "model.config.intermediate_size=32",
    "rate=linear",
    "masking=span",
    "corruption=bert",
    "hardware.micro_rows=3",
    "optimizer=muon",
    "trainer.max_epochs=null",
)
TIMED = ("speed/",)  # columns that no two runs share


def in_child(work, kill_before_step: int | None = None, in_validation: bool = False) -> int:
    """Run `work` in a forked process that may kill itself with SIGKILL; returns the wait status."""
    child = os.fork()
    if child == 0:
        from maskwright.training.module import Pretraining

        def kill(self, *args, **kwargs):
            if self.trainer.global_step == kill_before_step:
                os.kill(os.getpid(), signal.SIGKILL)

        if kill_before_step is not None:
            setattr(Pretraining, "on_validation_start" if in_validation else "on_train_batch_start", kill)
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without the columns that measure time."""
    with open(folder / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith(TIMED)} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "export" / "model.safetensors")


def assert_equal_runs(one: Path, other: Path) -> None:
    assert rows(one) == rows(other)
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, compose):
    """The run that was never killed."""
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("whole") / "run"
    assert in_child(lambda: pretrain(*compose(*RECIPE), folder)) == 0
    assert len(rows(folder)) >= 6
    return folder


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize(
    "killed",
    [(1, False), (3, False), (5, False), (3, True)],
    ids=["before-first-checkpoint", "mid", "late", "in-validation"],
)
def test_a_killed_run_goes_on_bit_for_bit(workers, killed, whole, tmp_path, pretrain):
    if workers and killed[0] != 3:
        pytest.skip("one moment is enough for loaders with workers")
    options = (*RECIPE, f"hardware.workers={workers}")
    assert in_child(lambda: pretrain(*options, folder=tmp_path), *killed) == signal.SIGKILL
    assert not (tmp_path / "metrics.json").exists()
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)


def test_a_run_killed_twice_goes_on(whole, tmp_path, pretrain):
    assert in_child(lambda: pretrain(*RECIPE, folder=tmp_path), 3) == signal.SIGKILL
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False), 5) == signal.SIGKILL
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)


def test_a_torn_checkpoint_is_passed_over(whole, tmp_path, pretrain):
    assert in_child(lambda: pretrain(*RECIPE, folder=tmp_path), 5) == signal.SIGKILL
    newest = sorted((tmp_path / "checkpoints").glob("step-*.ckpt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)


def test_a_resume_that_would_change_the_run_is_refused(whole, pretrain):
    with pytest.raises(RecipeError, match="resume continues a run as it began, and masking=random would change it"):
        pretrain(f"resume={whole}", "masking=random", small=False)


def test_changed_data_is_refused(tmp_path, pretrain, small_text):
    text = tmp_path / "text.txt"
    text.write_text(small_text.read_text())
    assert in_child(lambda: pretrain(*RECIPE, f"data.files={text}", folder=tmp_path / "run"), 3) == signal.SIGKILL
    text.write_text(small_text.read_text() + "\n\nOne more paragraph, which the run has never seen before this day.")
    with pytest.raises(RecipeError, match="The run cannot go on: its corpus"):
        pretrain(f"resume={tmp_path / 'run'}", small=False)


def test_a_folder_without_a_run_is_refused(tmp_path, pretrain):
    with pytest.raises(RecipeError, match="holds no run"):
        pretrain(f"resume={tmp_path}", small=False)


def test_a_second_run_in_one_folder_is_refused(whole, pretrain):
    with pytest.raises(RecipeError, match="already holds a run"):
        pretrain(*RECIPE, folder=whole)
