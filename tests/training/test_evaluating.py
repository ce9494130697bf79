"""Suites during training leave no trace in it, and a resumed run logs what the run never stopped would have."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskwright.errors import RecipeError

# dropout, so that the random state matters; the weight average, so that it must be put back
RECIPE = (
    "model=bert_tiny",
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=1",
    "model.config.intermediate_size=32",
    "model.config.hidden_dropout_prob=0.1",
    "trainer.ema=0.9",
    "trainer.max_steps=5",
    "checkpoint.every=2",
)


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> list[str]:
    """A cloze file, and a fine-tuning, which draws a great deal of noise."""
    folder = tmp_path_factory.mktemp("suites")
    (folder / "cloze.jsonl").write_text(json.dumps({"text": "the people of the [MASK] states", "target": "united"}))
    lines = [f"the {word} of the people\t{word}" for word in ("war", "peace") * 6]
    (folder / "train.tsv").write_text("text\tlabel\n" + "\n".join(lines))
    return [
        "+evaluation@evaluation.suites.cloze=fill",
        f"evaluation.suites.cloze.source.files={folder}/cloze.jsonl",
        "+evaluation@evaluation.suites.topic=finetune",
        f"evaluation.suites.topic.data.train={folder}/train.tsv",
        "evaluation.suites.topic.dev_share=0.5",
        "evaluation.suites.topic.epochs=1",
        "evaluation.suites.topic.seeds=[1]",
        "evaluation.every_n_steps=2",
    ]


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without the columns that measure time."""
    with open(folder / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("speed/")} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "export" / "model.safetensors")


def equal(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, compose, suites) -> Path:
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("evaluated") / "run"
    pretrain(*compose(*RECIPE, *suites), folder)
    return folder


def test_training_is_bit_identical_with_and_without_evaluation(evaluated, pretrain, tmp_path):
    pretrain(*RECIPE, folder=tmp_path)
    with_it = [{k: v for k, v in row.items() if not k.startswith(("cloze/", "topic/"))} for row in rows(evaluated)]
    assert with_it == rows(tmp_path)
    assert equal(evaluated, tmp_path)


def test_figures_come_every_n_steps_and_after_the_last(evaluated):
    steps = {int(row["step"]): row for row in rows(evaluated)}
    assert [step for step, row in steps.items() if row["cloze/accuracy"]] == [2, 4, 5]
    assert [step for step, row in steps.items() if row["topic/dev/accuracy"]] == [2, 4, 5]
    # the network moves, and so do its figures; suites are given the averaged network
    assert len({steps[step]["cloze/nats_per_blank"] for step in (2, 4, 5)}) == 3


def test_the_last_figures_are_those_of_the_export(evaluated, suites):
    from maskwright.evaluation.fill import Fill
    from maskwright.evaluation.loading import load
    from maskwright.evaluation.source import Source
    from maskwright.evaluation.tools import Tools

    file = next(word.split("=", 1)[1] for word in suites if word.startswith("evaluation.suites.cloze.source.files"))
    found = Fill(Source(file)).run(load(str(evaluated)), Tools()).figures["nats_per_blank"]
    assert float(rows(evaluated)[-1]["cloze/nats_per_blank"]) == pytest.approx(found, abs=1e-5)
    written = json.loads((evaluated / "evaluation" / "cloze" / "results.json").read_text())
    assert written["figures"]["nats_per_blank"] == pytest.approx(found, abs=1e-5) and written["step"] == 5


@pytest.mark.parametrize("step", [1, 3])
def test_a_killed_run_logs_the_same_figures_when_it_goes_on(step, evaluated, suites, pretrain, tmp_path):
    child = os.fork()
    if child == 0:
        from maskwright.training.module import Pretraining

        def kill(self, *args):
            if self.trainer.global_step == step:
                os.kill(os.getpid(), signal.SIGKILL)

        Pretraining.on_train_batch_start = kill
        try:
            pretrain(*RECIPE, *suites, folder=tmp_path)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    pretrain(f"resume={tmp_path}", small=False)
    assert rows(tmp_path) == rows(evaluated)
    assert equal(tmp_path, evaluated)


def test_what_does_not_go_together_is_refused_before_training(pretrain, suites, tmp_path):
    cases = {
        "set both": suites[:2],
        "every_n_steps and a suite go together": ["evaluation.every_n_steps=5"],
        "give a number of steps": [*suites, "evaluation.every_n_steps=0"],
        "this objective has none but the main one": [*suites, "evaluation.network=generator"],
        "no file matches": ["+evaluation@evaluation.suites.a=fill", "evaluation.suites.a.source.files=/none/x.jsonl",
                            "evaluation.every_n_steps=1"],
        "is a discriminator": [*suites, "objective=electra", "model=electra_tiny"],
    }  # fmt: skip
    for number, (sentence, words) in enumerate(cases.items()):
        with pytest.raises(RecipeError, match=sentence):
            pretrain(*words, folder=tmp_path / str(number))
        assert not (tmp_path / str(number) / "metrics.csv").exists()


def test_a_generator_is_evaluated_by_name(pretrain, suites, tmp_path):
    small = ("model.config.hidden_size=16", "model.config.embedding_size=16", "trainer.max_steps=2")
    cloze = (*suites[:2], suites[-1], "evaluation.network=generator")
    pretrain("objective=electra", "model=electra_tiny", *small, *cloze, folder=tmp_path)
    assert rows(tmp_path)[-1]["cloze/accuracy"]
