"""Training that ends before its last step, and the checkpoint that is kept as the best one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from tests.training.test_resume import in_child

from maskwright.errors import RecipeError
from maskwright.training import ending
from maskwright.training.ending import budget
from maskwright.training.module import Pretraining
from maskwright.training.rehearsal import update_seconds

TINY = (
    "model=bert_tiny",
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=1",
    "model.config.intermediate_size=32",
    "model.config.hidden_dropout_prob=0.1",
    "trainer.max_steps=12",
    "trainer.validate_every=2",
    "checkpoint.every=3",
    "checkpoint.keep=1",
)


@pytest.fixture
def scripted(monkeypatch):
    """The validations after steps 2, 4 ... 12 measure what this list says."""
    measure, script = Pretraining.on_validation_epoch_end, [5.0, 4.0, 4.5, 4.2, 4.1, 3.0]

    def measured(self):
        measure(self)
        if self.trainer.state.fn == "fit":
            self.validation["ruler/loss"] = script[self.global_step // 2 - 1]
            self.trainer.callback_metrics["ruler/loss"] = torch.tensor(self.validation["ruler/loss"])

    monkeypatch.setattr(Pretraining, "on_validation_epoch_end", measured)
    return script


def asked(time):
    return budget(SimpleNamespace(max_time=time, max_epochs=None))


def steps(folder: Path) -> list[int]:
    with open(folder / "metrics.csv", newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("*.ckpt"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "export" / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_training_ends_where_the_figure_no_longer_gets_better(pretrain, tmp_path, scripted, capsys):
    stop = ("early_stopping.figure=ruler/loss", "early_stopping.patience=2")
    metrics = pretrain(*TINY, *stop, folder=tmp_path / "a")
    assert metrics["steps"] == 8  # best at 4, then 6 and 8 were worse
    assert steps(tmp_path / "a")[-1] == 8
    assert checkpoints(tmp_path / "a") == ["step-00000008.ckpt"]
    assert "ended after step 8 of 12: ruler/loss has not got better in 2 validations" in " ".join(
        capsys.readouterr().out.split()
    )
    again = pretrain(f"resume={tmp_path / 'a'}")
    assert again["steps"] == 8 and steps(tmp_path / "a")[-1] == 8


def test_a_run_killed_on_the_way_ends_where_the_undisturbed_one_does(pretrain, tmp_path, scripted):
    stop = ("early_stopping.figure=ruler/loss", "early_stopping.patience=2", "checkpoint.best=ruler/loss")
    pretrain(*TINY, *stop, folder=tmp_path / "whole")
    assert in_child(lambda: pretrain(*TINY, *stop, folder=tmp_path / "killed"), kill_before_step=7)
    pretrain(f"resume={tmp_path / 'killed'}")
    assert steps(tmp_path / "killed") == steps(tmp_path / "whole")
    assert checkpoints(tmp_path / "killed") == checkpoints(tmp_path / "whole")
    assert same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_the_best_checkpoint_is_kept_measured_and_exported(pretrain, tmp_path, scripted, ema):
    scripted[-1] = 4.3
    more = (f"trainer.ema={ema}", "export.at_powers_of=2")
    metrics = pretrain(*TINY, *more, "checkpoint.best=ruler/loss", folder=tmp_path / "a")
    assert (metrics["best/step"], metrics["ruler/loss"], metrics["steps"]) == (4, 4.0, 12)
    assert checkpoints(tmp_path / "a") == ["step-00000004.ckpt", "step-00000012.ckpt"]
    then, now = load_file(tmp_path / "a/exports/step-00000004/model.safetensors"), weights(tmp_path / "a")
    assert all(torch.equal(then[name], now[name]) for name in now)
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["ruler/loss"] == 4.0
    pretrain(*TINY, *more, folder=tmp_path / "last")
    assert not same(tmp_path / "a", tmp_path / "last")


def test_a_figure_of_a_suite_decides_too(pretrain, tmp_path):
    (tmp_path / "cloze.jsonl").write_text(json.dumps({"text": "the people of the [MASK] states", "target": "united"}))
    suite = (
        "+evaluation@evaluation.suites.cloze=fill",
        f"evaluation.suites.cloze.source.files={tmp_path}/cloze.jsonl",
        "evaluation.every_n_steps=2",
    )
    stop = ("early_stopping.figure=cloze/accuracy", "early_stopping.patience=1", "early_stopping.min_delta=2")
    metrics = pretrain(*TINY, *suite, *stop, folder=tmp_path / "a")
    assert metrics["steps"] == 4  # an accuracy cannot rise by 2
    results = json.loads((tmp_path / "a" / "evaluation" / "cloze" / "results.json").read_text())
    assert results["step"] == 4
    with pytest.raises(RecipeError, match=r"does not meet every validation; let it divide trainer\.validate_every=2"):
        pretrain(*TINY, *suite, *stop, "evaluation.every_n_steps=3", folder=tmp_path / "b")


def test_a_time_decides_the_steps_and_ends_training(pretrain, tmp_path, monkeypatch):
    metrics = pretrain(*TINY, "trainer.max_time=2s", folder=tmp_path / "a")
    planned = json.loads((tmp_path / "a" / "run.json").read_text())["steps"]
    assert 1 <= metrics["steps"] <= planned
    monkeypatch.setattr(ending.TimeBudget, "time_elapsed", lambda self, stage="train": float(self.steps_seen()))
    monkeypatch.setattr(ending.TimeBudget, "steps_seen", lambda self: self.seen, raising=False)
    monkeypatch.setattr(ending.TimeBudget, "seen", 0, raising=False)
    watch = ending.TimeBudget.on_train_batch_end

    def counted(self, trainer, *args, **kwargs):
        self.seen = trainer.global_step  # a second a step
        watch(self, trainer, *args, **kwargs)

    monkeypatch.setattr(ending.TimeBudget, "on_train_batch_end", counted)
    monkeypatch.setattr("maskwright.training.run.rehearse", lambda objective, batch, *a: (8, 0.5))
    monkeypatch.setattr("maskwright.training.run.update_seconds", lambda *a: 0.0)
    metrics = pretrain(*TINY, "trainer.max_time=5s", "trainer.validate_every=100", folder=tmp_path / "b")
    planned = json.loads((tmp_path / "b" / "run.json").read_text())["steps"]
    assert planned == 8  # 0.9 * 5 s, and a validation every 100 steps weighs little
    assert metrics["steps"] == 5 and checkpoints(tmp_path / "b") == ["step-00000005.ckpt"]
    assert "ruler/loss" in metrics
    again = pretrain(f"resume={tmp_path / 'b'}")
    assert again["steps"] == 5


def test_the_update_counts_in_the_plan_and_leaves_no_trace(pretrain, tmp_path, monkeypatch):
    made = []

    def slow(objective, optimizer):
        before = {name: weight.clone() for name, weight in objective.state_dict().items()}
        made.append(update_seconds(objective, optimizer))
        after = objective.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(weight.grad is None for weight in objective.parameters())
        return 1.5

    monkeypatch.setattr("maskwright.training.run.rehearse", lambda objective, batch, *a: (8, 0.5))
    monkeypatch.setattr("maskwright.training.run.update_seconds", slow)
    pretrain(*TINY, "trainer.max_time=10s", "trainer.validate_every=100", folder=tmp_path)
    assert made[0] > 0
    assert json.loads((tmp_path / "run.json").read_text())["steps"] == 4  # 0.9 * 10 s in steps of 0.5 + 1.5 s


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("45m", 2700), ("1d12h", 129600), ("08:30:00", 30600)])
def test_a_time_has_its_unit(text, seconds):
    assert asked(text) == seconds and asked(None) is None


@pytest.mark.parametrize("text", ["5", 5, "soon", "-1h", "0s", "", True, [1]])
def test_anything_else_is_no_time(text):
    with pytest.raises(RecipeError, match=r"trainer\.max_time is .*; give a time with its unit"):
        asked(text)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("early_stopping.figure=ruler/los", r"early_stopping\.figure is ruler/los, which no validation measures"),
        (
            "checkpoint.best=ruler/f1",
            r"choose one of heldout/mlm, heldout/accuracy/mlm, ruler/loss, ruler/accuracy, ruler/b",
        ),
        ("trainer.max_epochs=1", "both decide the steps"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(pretrain, tmp_path, override, said):
    more = ["trainer.max_time=1h"] if "epochs" in override else []
    with pytest.raises(RecipeError, match=said):
        pretrain(*TINY, *more, override, folder=tmp_path / "a")


def test_a_causal_model_has_no_ruler_to_stop_by(pretrain, tmp_path):
    with pytest.raises(RecipeError, match=r"early_stopping\.figure is ruler/loss, which this run does not have \("):
        pretrain("objective=clm", "early_stopping.figure=ruler/loss", folder=tmp_path / "a")


def test_a_run_that_ended_early_can_be_lengthened(pretrain, tmp_path, scripted):
    """Its patience begins anew, and the steps count from where it ended."""
    stop = ("early_stopping.figure=ruler/loss", "early_stopping.patience=2")
    assert pretrain(*TINY, *stop, folder=tmp_path / "a")["steps"] == 8
    metrics = pretrain(f"resume={tmp_path / 'a'}", "trainer.max_steps=+4")
    assert metrics["steps"] == 12  # 4.1 and 3.0 at 10 and 12: one without a better one, then the best
    assert json.loads((tmp_path / "a" / "run.json").read_text())["steps"] == 12


def test_a_run_that_ended_by_its_time_can_be_lengthened(pretrain, tmp_path):
    first = pretrain(*TINY, "trainer.max_time=1s", folder=tmp_path / "a")["steps"]
    assert pretrain(f"resume={tmp_path / 'a'}", "trainer.max_steps=+3")["steps"] == first + 3
