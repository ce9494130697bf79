"""A run that has gone wrong stops in one sentence, and what was saved while it was right stays."""

from __future__ import annotations

import errno
import math

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.training.health import full_disk_explained, refuse_broken


def test_only_what_is_watched_and_not_finite_is_refused():
    values = {"loss": torch.tensor(3.0), "grad_norm": 1.0, "rate": math.nan}
    refuse_broken(values, 5, ("loss", "grad_norm"))
    refuse_broken(None, 5)  # a step that reports nothing
    with pytest.raises(
        RecipeError, match=r"^rate is not a number at step 5; lower optimizer\.lr, or set trainer\.clip=1"
    ):
        refuse_broken(values, 5)
    refuse_broken({"loss": torch.tensor(math.nan), "grad_norm": torch.tensor(0.0)}, 5, ("loss",))  # nothing counted
    with pytest.raises(RecipeError, match="^grad_norm is infinite at step 6"):
        refuse_broken(values | {"grad_norm": torch.tensor(math.inf)}, 6, ("grad_norm",))


@pytest.mark.parametrize(("log_every", "stopped_at"), [(1, 4), (5, 5), (100, 6)])
def test_a_broken_network_never_takes_the_place_of_a_good_checkpoint(
    log_every, stopped_at, pretrain, tmp_path, monkeypatch
):
    """The fourth step goes wrong: it is seen at the next logged step or the next save, whichever comes first."""
    from maskwright.objectives import MaskedLM

    terms = MaskedLM.terms

    def broken(self, batch):
        values = terms(self, batch)
        return {k: v * math.nan for k, v in values.items()} if batch.step == 3 and batch.purpose == "train" else values

    monkeypatch.setattr(MaskedLM, "terms", broken)
    with pytest.raises(RecipeError, match=f"^loss is not a number at step {stopped_at}; "):
        pretrain(
            "checkpoint.every=3", "checkpoint.keep=1", "trainer.max_steps=12", "trainer.validate_every=12",
            f"trainer.log_every_n_steps={log_every}", folder=tmp_path,
        )  # fmt: skip
    (kept,) = (tmp_path / "checkpoints").iterdir()
    state = torch.load(kept, weights_only=True)
    assert state["global_step"] == 3
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values() if value.is_floating_point())


def test_a_full_disk_is_one_sentence_that_says_how_to_go_on(pretrain, tmp_path, monkeypatch):
    from maskwright.tracking.metrics_file import MetricsFile

    append = MetricsFile.append

    def full(self, step, values):
        if step == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path))
        append(self, step, values)

    monkeypatch.setattr(MetricsFile, "append", full)
    with pytest.raises(RecipeError) as caught:
        pretrain(folder=tmp_path)
    said = f"The disk is full (writing {tmp_path / 'metrics.csv'}); free some space and go on with: "
    assert str(caught.value) == f"{said}python train.py resume={tmp_path}"
    monkeypatch.undo()
    assert pretrain(f"resume={tmp_path}", small=False)["steps"] == 6
    with pytest.raises(PermissionError), full_disk_explained(tmp_path):
        raise PermissionError(errno.EACCES, "no")
