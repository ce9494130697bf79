"""Promise: kill -9 at any moment, resume, and everything equals the run that was never killed, bit for bit."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests import corpora

from maskwright.errors import RecipeError, Refused
from maskwright.tracking.fresh import LOCK
from maskwright.training.folder import RunFolder, resumed

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
    "trainer.ema=0.9",
)
TIMED = ("speed/",)  # columns that no two runs share


def in_child(work, kill_before_step: int | None = None, where: str = "step") -> int:
    """Run `work` in a forked process that kills itself with SIGKILL there; returns the wait status.

    where: as the step begins, in a `validation` after it, or while `data` is prepared, or a checkpoint or an export is
    written, whatever the step.
    """
    child = os.fork()
    if child == 0:
        from maskwright.training.module import Pretraining
        from maskwright.training.recipe import Recipe

        def kill(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGKILL)

        def kill_at_step(self, *args, **kwargs):
            if self.trainer.global_step == kill_before_step:
                kill()

        if where == "data":
            Recipe.prepare = kill
        elif where == "checkpoint":
            torch.save = half_written(torch.save, kill, after=2)
        elif where == "export":
            os.rename = kill
        elif kill_before_step is not None:
            setattr(
                Pretraining, "on_validation_start" if where == "validation" else "on_train_batch_start", kill_at_step
            )
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


def half_written(save, kill, after: int):
    """`torch.save` that is killed half-way, the `after`th time."""
    calls = []

    def write(checkpoint, file):
        calls.append(1)
        if len(calls) < after:
            return save(checkpoint, file)
        whole = io.BytesIO()
        save(checkpoint, whole)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        return kill()

    return write


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
    mine, theirs = (tensors(torch.load(last_checkpoint(folder), weights_only=True)) for folder in (one, other))
    assert mine.keys() == theirs.keys() and len(mine) > 20  # networks, optimizer, average, running means
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def last_checkpoint(folder: Path) -> Path:
    return sorted((folder / "checkpoints").iterdir())[-1]


def tensors(node, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, by their path in it."""
    if isinstance(node, torch.Tensor):
        return {name: node}
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    return {path: tensor for key, value in inner for path, tensor in tensors(value, f"{name}/{key}").items()}


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
    [(1, "step"), (3, "step"), (5, "step"), (3, "validation")],
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


def test_weights_that_follow_the_loss_come_back(tmp_path, pretrain):
    """Their state is a part of the checkpoint: the masks after a resume depend on all losses before the kill."""
    options = (*RECIPE, "data=conll", "data.document=sentence", f"data.files={corpora.treebank(tmp_path)}")
    options += ("tokenizer.vocabulary=90", "masking=whole_word", "masking/budget=skip", "masking/weight=pos_loss")
    options += ("masking.weight.column.column=tags", "masking.weight.decay=0.2")
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "whole")) == 0
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "killed"), 3) == signal.SIGKILL
    assert in_child(lambda: pretrain(f"resume={tmp_path / 'killed'}", small=False)) == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
    saved = tensors(torch.load(last_checkpoint(tmp_path / "killed"), weights_only=True))
    (averages,) = (tensor for name, tensor in saved.items() if name.endswith("average_C"))
    assert averages.unique().numel() > 3  # several tags, each with a loss of its own


def test_a_run_killed_twice_goes_on(whole, tmp_path, pretrain):
    assert in_child(lambda: pretrain(*RECIPE, folder=tmp_path), 3) == signal.SIGKILL
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False), 5) == signal.SIGKILL
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)


@pytest.mark.parametrize("where", ["data", "checkpoint", "export"])
def test_a_run_killed_while_it_writes_goes_on(where, whole, tmp_path, pretrain):
    assert in_child(lambda: pretrain(*RECIPE, folder=tmp_path), where=where) == signal.SIGKILL
    left = [path.name for path in tmp_path.rglob(".*") if path.name != LOCK]
    assert bool(left) == (where != "data")
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)
    assert not list(tmp_path.rglob(".*"))
    # killed before it was whole, the record knows what was chosen all the same
    assert json.loads((tmp_path / "run.json").read_text())["choices"]["masking"] == "span"


def test_what_auto_chose_is_kept(tmp_path, pretrain, monkeypatch):
    """Resumed where the chip has no bfloat16, a run that began with it goes on in it."""
    from maskwright.training import hardware

    options = (*RECIPE, "hardware.precision=auto", "hardware.micro_rows=auto")
    monkeypatch.setattr(hardware, "has_bf16", lambda accelerator: True)
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "whole")) == 0
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "killed"), 3) == signal.SIGKILL
    monkeypatch.setattr(hardware, "has_bf16", lambda accelerator: False)
    monkeypatch.setattr(hardware, "available_memory", lambda: 1.0)  # one row would fit now
    assert in_child(lambda: pretrain(f"resume={tmp_path / 'killed'}", small=False)) == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert (record["hardware"]["precision"], record["hardware"]["micro_rows"]) == ("bf16", 8)


def test_another_library_or_chip_is_said(whole, tmp_path, pretrain, capsys):
    assert in_child(lambda: pretrain(*RECIPE, folder=tmp_path), 3) == signal.SIGKILL
    record = json.loads((tmp_path / "run.json").read_text())
    record["versions"]["torch"], record["hardware"]["device"] = "1.0", "an abacus"
    record["git_commit"] = "abc"
    (tmp_path / "run.json").write_text(json.dumps(record))
    pretrain(f"resume={tmp_path}", small=False)
    said = capsys.readouterr().out
    assert f"note: torch was 1.0 and is {torch.__version__}; the run goes on, but perhaps no longer bit for bit" in said
    assert "note: the device was an abacus and is " in said and "note: its commit was abc and is " in said
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["git_commit"] == "abc" and [each["step"] for each in record["resumed"]] == [2]
    assert record["resumed"][0]["versions"]["torch"] == torch.__version__


def test_a_torn_checkpoint_is_passed_over(whole, tmp_path, pretrain):
    assert in_child(lambda: pretrain(*RECIPE, folder=tmp_path), 5) == signal.SIGKILL
    newest = sorted((tmp_path / "checkpoints").glob("step-*.ckpt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)


@pytest.mark.parametrize(
    "override", ["masking=random", "masking/budget=expected", "experiment=electra", "optimizer.lr=0.5", "+speed=3"]
)
def test_a_resume_that_would_change_the_run_is_refused(override, whole, compose):
    refused = re.escape(f"resume continues a run as it began, and {override} would change it; leave it out, or")
    with pytest.raises(Refused, match=refused):
        resumed(whole, compose(override, small=False)[0], [f"resume={whole}", override])


def test_what_a_resume_may_change_changes_alone(tmp_path, compose):
    """Of the logger and the evaluation only the settings that are named."""
    begun, choices = compose("logger=wandb", "logger.project=study", "logger.entity=team", "masking=span")
    RunFolder(tmp_path).begin(begun, choices)

    def again(*overrides):
        return resumed(tmp_path, compose(*overrides, small=False)[0], [f"resume={tmp_path}", *overrides])

    assert again("logger=wandb", "masking=span").logger == compose("logger=wandb")[0].logger
    changed = again("logger.mode=offline", "hardware.workers=3", "checkpoint.keep=7")
    assert (changed.logger.project, changed.logger.entity, changed.logger.mode) == ("study", "team", "offline")
    assert (changed.hardware.workers, changed.checkpoint.keep) == (3, 7)
    added = again("+evaluation@evaluation.suites.pronouns=bias", "evaluation.every_n_steps=5")
    assert list(added.evaluation.suites) == ["pronouns"] and added.evaluation.every_n_steps == 5
    assert added.logger == begun.logger and added.masking == begun.masking


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    run = RunFolder(tmp_path)
    with run.held(), pytest.raises(Refused, match="A run is going on in"), RunFolder(tmp_path).held(patience=0.1):
        pass
    with RunFolder(tmp_path).held(patience=0.1):
        pass
    assert not list(tmp_path.iterdir())


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
