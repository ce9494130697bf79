"""A run in miniature, shaped like a pre-training run, that the tests of this room share."""

from __future__ import annotations

import logging
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from maskwright.training.checkpoints import AtomicCheckpointIO, StepCheckpoint
from maskwright.training.ema import WeightAverage
from maskwright.training.optimizers import Muon
from maskwright.training.preemption import Preemption
from maskwright.training.schedules import Linear

STEPS = 8


class Steps(Dataset):
    def __getitem__(self, step):
        return torch.randint(0, 20, (6, 5), generator=torch.Generator().manual_seed(step))


class Remaining:
    def __init__(self, first):
        self.first = first

    def __len__(self):
        return STEPS

    def __iter__(self):
        return iter(range(self.first, STEPS))


class Loader(DataLoader):
    def state_dict(self):
        return {}

    def load_state_dict(self, state_dict):
        pass


class Data(pl.LightningDataModule):
    def train_dataloader(self):
        first = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        return Loader(Steps(), sampler=Remaining(first), batch_size=None)

    def val_dataloader(self):
        return DataLoader([torch.zeros(1)])


class Shell(pl.LightningModule):
    """Manual optimization, two micro-batches a step, dropout: the smallest thing shaped like a pre-training run."""

    def __init__(self, during=lambda shell, step: None):
        super().__init__()
        self.automatic_optimization = False
        torch.manual_seed(0)
        block = [nn.Linear(8, 8), nn.GELU(), nn.Dropout(0.1), nn.LayerNorm(8)]
        self.net = nn.Sequential(nn.Embedding(20, 8), nn.ModuleList([nn.Sequential(*block)])[0], nn.Linear(8, 20))
        self.stack = nn.ModuleList([self.net[1]])
        self.schedule, self.during = Linear(), during
        self.validated, self.trained = [], []

    def configure_optimizers(self):
        return Muon(lr=0.02).build(self)

    def training_step(self, batch, index):
        step = self.trainer.global_step
        assert step == index
        torch.manual_seed(100 + index)
        optimizer = self.optimizers()
        self.schedule.apply(optimizer, step, STEPS)
        for rows in batch.chunk(2):
            logits_BLV = self.net(rows[:, :-1])
            loss = nn.functional.cross_entropy(logits_BLV.flatten(0, 1), rows[:, 1:].flatten(), reduction="sum")
            self.manual_backward(loss / batch[:, 1:].numel())
        optimizer.step()
        optimizer.zero_grad()
        self.trained.append(step)
        self.during(self, step)

    def validation_step(self, batch, index):
        self.validated.append((self.trainer.global_step, self.net[0].weight.sum().item()))


def run(folder: Path, start: Path | None = None, every=1, keep=0, during=lambda shell, step: None):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    shell, saver = Shell(during), StepCheckpoint(folder, every, keep)
    preemption, average = Preemption(saver), WeightAverage(0.9)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_steps=STEPS, max_epochs=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, val_check_interval=3, use_distributed_sampler=False,
        callbacks=[average, saver, preemption], plugins=[AtomicCheckpointIO()], default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(shell, datamodule=Data(), ckpt_path=start, weights_only=True if start else None)
    weights = {**shell.state_dict(), **{f"average.{k}": v for k, v in average.state_dict()["average"].items()}}
    return shell, trainer, preemption, weights


@pytest.fixture(scope="session")
def fit():
    """`fit(folder, start=None, every=1, keep=0, during=...)` -> shell, trainer, preemption, all weights at the end."""
    return run


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """A run never interrupted, with a checkpoint after every step: its folder, its shell, its weights."""
    folder = tmp_path_factory.mktemp("unbroken")
    shell, _, _, weights = run(folder)
    return folder, shell, weights
