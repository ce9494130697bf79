"""A signal ends training after the running step, with a checkpoint, and the resumed run is the unbroken one."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from maskwright.training.checkpoints import listed, name
from maskwright.training.preemption import SIGNALS, EndedAtOnce


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("step", [3, 5])  # after 3 and 6 steps there is a validation
def test_a_signal_saves_and_stops(fit, unbroken, tmp_path, number, step):
    _, whole, weights = unbroken
    handlers = {one: signal.getsignal(one) for one in SIGNALS}

    def send(shell, now):
        if now == step:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)

    first, trainer, preemption, _ = fit(tmp_path, every=100, during=send)
    assert preemption.stopped and trainer.global_step == step + 1
    assert [path.name for path in listed(tmp_path)] == [name(step + 1)]
    assert {one: signal.getsignal(one) for one in SIGNALS} == handlers
    second, _, again, resumed = fit(tmp_path, tmp_path / name(step + 1), every=100)
    assert equal(resumed, weights) and not again.stopped
    assert first.validated + second.validated == whole.validated


def test_ctrl_c_saves_and_stops(fit, unbroken, tmp_path):
    _, whole, weights = unbroken
    before = signal.getsignal(signal.SIGINT)
    first, _, preemption, _ = fit(
        tmp_path, every=100, during=lambda _, step: step == 3 and os.kill(os.getpid(), signal.SIGINT)
    )
    assert preemption.stopped and preemption.interrupted and signal.getsignal(signal.SIGINT) is before
    assert [path.name for path in listed(tmp_path)] == [name(4)]
    second, _, again, resumed = fit(tmp_path, tmp_path / name(4), every=100)
    assert equal(resumed, weights) and not again.interrupted and first.validated + second.validated == whole.validated


def test_ctrl_c_twice_ends_at_once(fit, tmp_path):
    def send(shell, now):
        if now == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(EndedAtOnce):
        fit(tmp_path, every=2, during=send)
    assert signal.getsignal(signal.SIGINT) is before
    assert [path.name for path in listed(tmp_path)] == [name(2)]  # what was saved before, whole


def test_a_signal_in_the_last_step_lets_training_finish(fit, unbroken, tmp_path):
    _, whole, weights = unbroken
    shell, _, preemption, finished = fit(
        tmp_path, during=lambda _, step: step == 7 and os.kill(os.getpid(), SIGNALS[0])
    )
    assert not preemption.stopped and equal(finished, weights) and shell.validated == whole.validated


def test_loader_workers_outlive_a_signal_to_the_group():
    code = (
        "import os, signal\n"
        "from maskwright.training.preemption import SIGNALS, ignore_in_worker\n"
        "ignore_in_worker(0)\n"
        "[os.kill(os.getpid(), number) for number in (*SIGNALS, signal.SIGINT)]\n"
        "print('alive')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "alive\n"
