"""The meter: means, totals and speed against hand computation, exact through a stop and a resume."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from maskwright.tracking.meter import Meter


class Clock:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Rows:
    def __init__(self):
        self.rows = []

    def log_metrics(self, row, step):
        self.rows.append({"step": step, **row})


def fake_trainer(step=0, every=4, most=10):
    return SimpleNamespace(
        global_step=step, max_steps=most, log_every_n_steps=every, loggers=[Rows()], sanity_checking=False,
        profiler=None,
    )  # fmt: skip


def report(step):
    generator = torch.Generator().manual_seed(step)
    return {
        "loss": torch.rand((), generator=generator),
        "loss/mlm": torch.rand((), generator=generator),
        "rate": 0.3 - 0.01 * step,
        "tokens": torch.tensor(1000 + step),
        "lr/hidden": 0.02 / step,
    }


def drive(meter, trainer, clock, first, last, seconds=0.5, masking=0.1):
    for step in range(first, last + 1):
        clock.now += seconds
        trainer.global_step = step
        meter.on_train_batch_end(trainer, None, report(step), SimpleNamespace(masking_seconds=masking), step - 1)


def test_rows_are_window_means_totals_and_the_last_learning_rate():
    clock, trainer = Clock(), fake_trainer()
    meter = Meter(flops_per_token=6e6, peak_flops=1e11, clock=clock)
    meter._mark = clock()
    drive(meter, trainer, clock, 1, 10)
    rows = trainer.loggers[0].rows
    assert [r["step"] for r in rows] == [4, 8, 10]  # every 4th and the last
    for row, steps in zip(rows, (range(1, 5), range(5, 9), range(9, 11)), strict=True):
        assert row["loss"] == sum(report(s)["loss"].double().item() for s in steps) / len(steps)
        assert row["rate"] == pytest.approx(sum(0.3 - 0.01 * s for s in steps) / len(steps), abs=1e-15)
        assert row["lr/hidden"] == 0.02 / steps[-1]
        assert row["tokens"] == sum(1000 + s for s in range(1, steps[-1] + 1))
        assert row["flops"] == 6e6 * row["tokens"]
    second = rows[1]
    spent, tokens = 4 * 0.5, sum(1000 + s for s in range(5, 9))
    assert second["speed/tokens_per_second"] == pytest.approx(tokens / spent)
    assert second["speed/mfu"] == pytest.approx(tokens / spent * 6e6 / 1e11)
    assert second["speed/masking_share"] == pytest.approx(0.1 / 0.5)


@pytest.mark.parametrize("stop", range(1, 10))
def test_a_resumed_window_is_exact(tmp_path, stop):
    def run(meter, clock, trainer, first, last):
        drive(meter, trainer, clock, first, last)
        return trainer.loggers[0].rows

    clock = Clock()
    meter = Meter(6e6, 1e11, clock=clock)
    meter._mark = clock()
    whole = run(meter, clock, fake_trainer(), 1, 10)

    before, clock = Meter(6e6, 1e11, clock=(clock := Clock())), clock
    before._mark = clock()
    rows = run(before, clock, fake_trainer(), 1, stop)
    torch.save(before.state_dict(), tmp_path / "meter.pt")
    clock.now += 1000.0  # dead in between: not training time
    after = Meter(6e6, 1e11, clock=clock)
    after.load_state_dict(torch.load(tmp_path / "meter.pt", weights_only=True))
    after._mark = clock()
    rows = rows + run(after, clock, fake_trainer(), stop + 1, 10)
    assert rows == whole
    assert after.totals() == meter.totals()


def test_validation_does_not_count_as_training():
    clock, trainer = Clock(), fake_trainer()
    meter = Meter(1.0, None, clock=clock)
    meter._mark = clock()
    drive(meter, trainer, clock, 1, 2, seconds=1.0)
    clock.now += 0.25
    meter.on_validation_start(trainer, None)
    clock.now += 50.0
    meter.on_validation_end(trainer, None)
    drive(meter, trainer, clock, 3, 4, seconds=1.0)
    (row,) = trainer.loggers[0].rows
    assert row["speed/tokens_per_second"] == pytest.approx((4000 + 10) / 4.25)


def test_no_number_without_its_ground():
    meter = Meter(1.0, None)
    totals = meter.totals()
    assert totals["speed/tokens_per_second"] is None and totals["speed/tokens_per_second/reason"]
    clock, trainer = Clock(), fake_trainer()
    meter = Meter(1.0, None, clock=clock)
    meter._mark = clock()
    drive(meter, trainer, clock, 1, 4)
    totals = meter.totals()
    assert "speed/mfu" not in trainer.loggers[0].rows[0]
    assert totals["speed/mfu"] is None and "peak" in totals["speed/mfu/reason"]
    assert totals["steps"] == 4 and totals["seconds"] == pytest.approx(2.0)
    json.dumps(totals)
    with pytest.raises(ValueError, match="peak_flops is 0"):
        Meter(1.0, 0)


class _Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        time.sleep(0.03)
        return torch.ones(2)


class _Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        time.sleep(0.01)
        return {"loss": self.layer(batch).sum(), "tokens": 10}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_waiting_for_data_is_what_lightning_waited(tmp_path):
    meter = Meter(1.0, 1e6, every=2)
    trainer = Trainer(
        max_steps=6, logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        accelerator="cpu", default_root_dir=tmp_path, callbacks=[meter],
    )  # fmt: skip
    trainer.fit(_Module(), torch.utils.data.DataLoader(_Slow(), batch_size=1))
    totals = meter.totals()
    assert totals["steps"] == 6 and totals["tokens"] == 60
    waited = totals["speed/data_wait"] * totals["seconds"]
    assert 6 * 0.03 <= waited < totals["seconds"] - 6 * 0.01
