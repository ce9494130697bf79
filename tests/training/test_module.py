"""One batch is one optimizer step: its gradient does not depend on how the batch was cut."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from maskwright.errors import RecipeError

OPTIONS = ("optimizer=adamw", "trainer.max_steps=2", "batch.rows=12", "trainer.validate_every=2", "packing=document")


@pytest.mark.parametrize("objective", ["mlm", "electra"])
def test_micro_batches_do_not_change_the_training(objective, pretrain, tmp_path):
    """Rows of unequal length: their terms have unequal counts, which a mean over micro-batch means would get wrong."""
    figures, weights = [], []
    for rows in (12, 5, 1):
        folder = tmp_path / str(rows)
        figures.append(pretrain(f"objective={objective}", *OPTIONS, f"hardware.micro_rows={rows}", folder=folder))
        weights.append(load_file(folder / "export" / "model.safetensors"))
    for other in (1, 2):
        for name, value in weights[0].items():
            assert torch.allclose(value, weights[other][name], atol=2e-5), name
        key = "heldout/mlm" if objective == "mlm" else "heldout/detector"
        assert figures[other][key] == pytest.approx(figures[0][key], abs=1e-4)


def test_a_loss_that_is_not_a_number_stops_the_run(pretrain):
    with pytest.raises(RecipeError, match="is not a number|is infinite"):
        pretrain("optimizer=adamw", "optimizer.lr=1e30", "trainer.clip=null")


@pytest.mark.slow
def test_compiled_networks_train_as_eager_ones_do(pretrain, tmp_path):
    options = ("optimizer=adamw", "corruption=bert", "hardware.micro_rows=4")
    eager = pretrain(*options, folder=tmp_path / "eager")
    torch.compiler.reset()
    compiled = pretrain(*options, "hardware.compile=true", folder=tmp_path / "compiled")
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0  # it was compiled, not skipped
    assert compiled["ruler/loss"] == pytest.approx(eager["ruler/loss"], rel=1e-4)
    assert compiled["heldout/mlm"] == pytest.approx(eager["heldout/mlm"], rel=1e-4)
    mine, theirs = (load_file(tmp_path / name / "export" / "model.safetensors") for name in ("compiled", "eager"))
    assert mine.keys() == theirs.keys() and all(torch.allclose(mine[k], theirs[k], atol=1e-4) for k in mine)
    assert torch.are_deterministic_algorithms_enabled()
    pretrain("trainer.max_steps=1", folder=tmp_path / "next")  # a later job of a multirun is not touched by it
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("epochs", [0.5, 2])
def test_epochs_are_passes_over_the_rows(epochs, pretrain, tmp_path):
    metrics = pretrain(f"trainer.max_epochs={epochs}", "packing=document", "batch.rows=4", folder=tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert metrics["steps"] == record["steps"] == round(epochs * record["data"]["rows"]["train"] / 4)


def test_averaged_weights_are_what_is_exported(pretrain, tmp_path):
    pretrain("trainer.ema=0.5", folder=tmp_path / "average")
    pretrain(folder=tmp_path / "plain")
    average, plain = (load_file(tmp_path / name / "export" / "model.safetensors") for name in ("average", "plain"))
    assert any(not torch.equal(average[name], plain[name]) for name in plain)
    saved = torch.load(next((tmp_path / "average" / "checkpoints").glob("*6.ckpt")), weights_only=True)
    kept = torch.load(next((tmp_path / "plain" / "checkpoints").glob("*6.ckpt")), weights_only=True)
    assert all(torch.equal(saved["state_dict"][name], kept["state_dict"][name]) for name in kept["state_dict"])
