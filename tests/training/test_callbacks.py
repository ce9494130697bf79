"""Exports on the way, and what a validation leaves."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer


@pytest.mark.parametrize(("base", "steps"), [(2, [1, 2, 4, 8]), (3, [1, 3, 9]), (1.5, [1, 2, 3, 5, 8])])
def test_exports_at_powers_hold_the_weights_of_their_step(base, steps, pretrain, tmp_path):
    pretrain(
        f"export.at_powers_of={base}", "trainer.max_steps=9", "checkpoint.every=1", "checkpoint.keep=0",
        folder=tmp_path,
    )  # fmt: skip
    found = sorted((tmp_path / "exports").iterdir())
    assert [path.name for path in found] == [f"step-{step:08d}" for step in steps]
    for path, step in zip(found, steps, strict=True):
        saved = torch.load(tmp_path / "checkpoints" / f"step-{step:08d}.ckpt", weights_only=True)["state_dict"]
        exported = load_file(path / "model.safetensors")
        assert all(torch.equal(value, saved[f"objective.network.hf.{name}"]) for name, value in exported.items())
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(found[0]), AutoTokenizer.from_pretrained(found[0])
    assert torch.isfinite(model(**tokenizer("the congress", return_tensors="pt")).logits).all()


def test_exports_at_powers_hold_the_average_where_there_is_one(pretrain, tmp_path):
    pretrain("export.at_powers_of=2", "trainer.ema=0.9", "checkpoint.every=1", "checkpoint.keep=0", folder=tmp_path)
    saved = torch.load(tmp_path / "checkpoints" / "step-00000004.ckpt", weights_only=True)
    (average,) = (state["average"] for state in saved["callbacks"].values() if "average" in state)
    exported = load_file(tmp_path / "exports" / "step-00000004" / "model.safetensors")
    assert exported and all(torch.equal(v, average[f"objective.network.hf.{k}"]) for k, v in exported.items())
    assert not all(torch.equal(v, saved["state_dict"][f"objective.network.hf.{k}"]) for k, v in exported.items())


def test_a_validation_leaves_its_numbers_and_a_table(pretrain, tmp_path):
    import csv

    metrics = pretrain(folder=tmp_path)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["step"] for row in rows if row["ruler/loss"]] == ["3", "6"]
    assert float(rows[-1]["ruler/loss"]) == metrics["ruler/loss"]
    assert float(rows[-1]["heldout/mlm"]) == metrics["heldout/mlm"]
    tables = sorted((tmp_path / "ruler_fill_ins").iterdir())
    assert [path.name for path in tables] == ["step-00000003.md", "step-00000006.md"]
    header, _, *lines = tables[-1].read_text().splitlines()
    assert header == "| text | truth | fill-in |" and len(lines) == 8 and all("[MASK]" in line for line in lines)
