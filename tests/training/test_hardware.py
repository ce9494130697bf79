"""What `auto` decides, what a resume may change, and how many rows fit."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from maskwright.errors import RecipeError
from maskwright.training import hardware
from maskwright.training.hardware import (
    Chosen,
    Hardware,
    matmul_peak_flops,
    micro_rows_by_memory,
    micro_rows_by_trial,
    physical_cores,
)


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def flags(monkeypatch, avx, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)


@pytest.mark.parametrize(
    ("avx", "amx", "precision"), [(False, False, "32"), (True, False, "bf16"), (False, True, "bf16")]
)
def test_auto_takes_bf16_where_the_cpu_multiplies_in_it(cpu, monkeypatch, avx, amx, precision):
    flags(monkeypatch, avx, amx)
    chosen = Hardware().resolve()
    assert (chosen.accelerator, chosen.precision) == ("cpu", precision)
    assert Hardware(precision=32).resolve().precision == "32"
    assert chosen.trainer_arguments()["precision"] == {"32": "32-true", "bf16": "bf16-mixed"}[precision]


def test_auto_takes_the_gpu(monkeypatch):
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 4, is_bf16_supported=lambda including_emulation: True,
        get_device_name=lambda: "GPU",
    ))  # fmt: skip
    chosen = Hardware(strategy="ddp", devices="auto").resolve()
    assert (chosen.accelerator, chosen.devices, chosen.precision, chosen.device) == ("cuda", 4, "bf16", "GPU")
    assert Hardware().resolve().devices == 1
    with pytest.raises(RecipeError, match="hardware.devices is 8, but this machine has 4; lower it."):
        Hardware(strategy="ddp", devices=8).resolve()


def test_threads_are_shared_by_the_processes_of_a_cpu(cpu, monkeypatch):
    monkeypatch.setattr(hardware, "physical_cores", lambda: 8)
    assert Hardware().resolve().threads == 8
    assert Hardware(strategy="ddp", devices=4).resolve().threads == 2
    assert Hardware(strategy="ddp", devices=16).resolve().threads == 1
    assert physical_cores() >= 1


def test_apply_sets_threads_and_exact_kernels(cpu):
    before = torch.get_num_threads()
    try:
        Hardware(threads=1, compile=True).resolve().apply()
        assert torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)


def test_a_record_gives_the_same_choice_and_refuses_another(cpu):
    chosen = Hardware(threads=2, precision="32", micro_rows=8).resolve()
    record = chosen.record()
    assert Chosen(**record) == chosen
    chosen.refuse_other({**record, "workers": 7, "device": "another"})
    Hardware(threads=2, precision="32").resolve().refuse_other(record)
    with pytest.raises(RecipeError) as caught:
        Hardware(threads=1, precision="bf16", micro_rows=8).resolve().refuse_other(record)
    assert str(caught.value) == (
        "The run cannot go on exactly: hardware.precision was 32 and is bf16; hardware.threads was 2 and is 1. "
        "Resume with the recorded values."
    )


def test_peak_is_measured():
    torch.set_num_threads(1)
    assert 1e8 < matmul_peak_flops("cpu", torch.float32, seconds=0.05) < 1e13


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))


@pytest.mark.parametrize(("rows", "room", "fits"), [(64, 64, 64), (64, 20, 16), (48, 10, 6), (7, 1, 1)])
def test_trial_halves_until_it_fits_and_leaves_no_trace(rows, room, fits):
    net, tried = Counting(), []

    def trial(size):
        tried.append(size)
        net.seen += 1
        torch.rand(3)
        (net.weight * size).sum().backward()
        if size > room:
            raise torch.OutOfMemoryError

    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    assert micro_rows_by_trial(rows, trial, net) == fits == tried[-1]
    assert torch.equal(torch.rand(2), expected) and net.seen == 0 and net.weight.grad is None


def test_trial_that_never_fits_is_refused():
    def trial(size):
        raise torch.OutOfMemoryError

    with pytest.raises(RecipeError, match="Not even one row fits on the device"):
        micro_rows_by_trial(4, trial, Counting())


def test_rows_by_memory(monkeypatch):
    monkeypatch.setattr(hardware, "available_memory", lambda: 1000.0)
    assert [micro_rows_by_memory(64, size, 0.5) for size in (1, 10, 30, 10_000)] == [64, 32, 16, 1]
    assert micro_rows_by_memory(64, 10, 0.25) == 16  # two processes on one machine


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerator": "tpu"}, "hardware.accelerator is 'tpu'; choose one of auto, cpu, cuda."),
        ({"precision": "16"}, "hardware.precision is '16'; choose one of auto, 32, bf16."),
        ({"threads": 0}, "hardware.threads is 0; give a whole number between 1 and 1,024, or auto."),
        ({"micro_rows": "all"}, "hardware.micro_rows is 'all'; give a whole number of at least 1, or auto."),
        ({"nodes": 0}, "hardware.nodes is 0; it is a number of machines of at least 1."),
        (
            {"devices": 2},
            "hardware.devices is 2 on 1 machines with hardware.strategy single; use hardware=ddp for several devices.",
        ),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(RecipeError) as caught:
        Hardware(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "rows", "averaged", "message"),
    [
        ({}, 9, False, "a batch of 9 rows cannot be shared by 2 devices; set batch.rows to a multiple of 2."),
        ({}, 8, True, "trainer.ema does not work with hardware=fsdp; use hardware=ddp or trainer.ema=null."),
        (
            {"compile": True}, 8, False,
            "hardware.compile does not work with hardware=fsdp; use hardware=ddp or set it to false.",
        ),
    ],
)  # fmt: skip
def test_what_the_devices_cannot_do_is_refused(cpu, settings, rows, averaged, message):
    with pytest.raises(RecipeError) as caught:
        Hardware(strategy="fsdp", devices=2, **settings).resolve().check(rows, averaged)
    assert str(caught.value) == message
    Hardware(strategy="ddp", devices=2, compile=True).resolve().check(8, averaged=True)


def test_a_missing_gpu_is_refused(cpu):
    with pytest.raises(RecipeError, match="hardware.accelerator is cuda, but torch finds none on this machine"):
        Hardware(accelerator="cuda").resolve()
