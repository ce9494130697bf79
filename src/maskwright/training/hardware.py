"""What a run computes on: devices, precision, threads, and how many rows fit at once."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskwright.errors import RecipeError, Refused

_ACCELERATORS = ("auto", "cpu", "cuda")
_STRATEGIES = ("single", "ddp", "fsdp")
_PRECISIONS = ("auto", "32", "bf16")
_MOST_THREADS = 1024  # systems and containers refuse to start many more
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


@dataclass(frozen=True)
class Chosen:
    """What `auto` came down to, in plain values: recorded with the run and kept when it is resumed.

    precision is "32" or "bf16"; threads is per process; micro_rows is None until it was found; device is a name.
    """

    accelerator: str
    devices: int
    nodes: int
    strategy: str
    precision: str
    threads: int
    workers: int
    micro_rows: int | None
    compile: bool
    device: str

    def record(self) -> dict[str, Any]:
        """As a dictionary of plain values; `Chosen(**record)` gives it back."""
        return asdict(self)

    def with_micro_rows(self, rows: int) -> Chosen:
        """The same with `micro_rows` found."""
        return replace(self, micro_rows=rows)

    def as_recorded(self, recorded: dict[str, Any]) -> Chosen:
        """The same with what decides the bits taken from a run's record; this machine must still be able to do it."""
        return replace(self, **{name: recorded[name] for name in ("precision", "threads", "micro_rows", "compile")})

    @property
    def processes(self) -> int:
        """Over all machines."""
        return self.devices * self.nodes

    def check(self, rows: int, averaged: bool) -> None:
        """Raises RecipeError where `rows` per step, or an average of the weights, do not go with the devices."""
        if rows % self.processes:
            raise RecipeError(
                f"a batch of {rows} rows cannot be shared by {self.processes} devices; set batch.rows to a multiple of "
                f"{self.processes}."
            )
        if self.strategy == "fsdp" and averaged:
            raise RecipeError("trainer.ema does not work with hardware=fsdp; use hardware=ddp or trainer.ema=null.")
        if self.strategy == "fsdp" and self.compile:
            raise RecipeError("hardware.compile does not work with hardware=fsdp; use hardware=ddp or set it to false.")

    def apply(self) -> None:
        """Sets this process's threads, and the deterministic kernels without which compiled CPU steps are not exact."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        # set back too: another job of the same process may have compiled
        torch.use_deterministic_algorithms(self.compile and self.accelerator == "cpu")

    def keep_freed_memory(self) -> None:
        """On a CPU, lets glibc keep the memory of freed tensors: giving tens of megabytes of logits back and faulting
        them in again took a fifth of a small step. For the time after the data was prepared, which frees more."""
        if self.accelerator != "cpu":
            return
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError, TypeError):  # another C library
            return
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 2_000_000_000)

    def trainer_arguments(self) -> dict[str, Any]:
        """The keyword arguments of Lightning's Trainer that say where and how to compute."""
        return {
            "accelerator": "gpu" if self.accelerator == "cuda" else self.accelerator,
            "devices": self.devices,
            "num_nodes": self.nodes,
            "strategy": self._strategy(),
            "precision": "bf16-mixed" if self.precision == "bf16" else "32-true",
            "use_distributed_sampler": False,
        }

    def _strategy(self) -> Any:
        from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

        if self.strategy == "ddp":
            return DDPStrategy(gradient_as_bucket_view=True)
        if self.strategy == "fsdp":
            return ModelParallelStrategy(
                data_parallel_size=self.processes, tensor_parallel_size=1, save_distributed_checkpoint=False
            )
        return "auto"

    def refuse_other(self, recorded: dict[str, Any]) -> None:
        """Raises Refused when a run recorded with `recorded` would not go on bit for bit on this hardware."""
        exact = ["accelerator", "devices", "nodes", "strategy", "precision", "compile", "micro_rows"]
        if self.accelerator == "cpu":
            exact.append("threads")
        now = self.record()
        different = [
            f"hardware.{name} was {recorded[name]} and is {now[name]}"
            for name in exact
            if recorded[name] != now[name] and not (name == "micro_rows" and now[name] is None)
        ]
        if different:
            raise Refused(f"The run cannot go on exactly: {'; '.join(different)}. Resume with the recorded values.")


class Hardware:
    """Settings of the hardware group; see conf/hardware/auto.yaml for their meaning.

    Raises RecipeError for impossible ones.
    """

    def __init__(
        self,
        accelerator: str = "auto",
        devices: int | str = 1,
        nodes: int = 1,
        strategy: str = "single",
        precision: str | int = "auto",
        threads: int | str = "auto",
        workers: int | str = "auto",
        micro_rows: int | str = "auto",
        compile: bool = False,
    ) -> None:
        _one_of("accelerator", accelerator, _ACCELERATORS)
        _one_of("strategy", strategy, _STRATEGIES)
        _one_of("precision", str(precision), _PRECISIONS)
        _count("devices", devices, 1)
        _count("threads", threads, 1, _MOST_THREADS)
        _count("workers", workers, 0, _MOST_THREADS)
        _count("micro_rows", micro_rows, 1)
        if nodes < 1:
            raise RecipeError(f"hardware.nodes is {nodes}; it is a number of machines of at least 1.")
        if strategy == "single" and (nodes > 1 or devices not in (1, "auto")):
            raise RecipeError(
                f"hardware.devices is {devices} on {nodes} machines with hardware.strategy single; "
                "use hardware=ddp for several devices."
            )
        self.accelerator, self.devices, self.nodes, self.strategy = accelerator, devices, nodes, strategy
        self.precision, self.threads, self.workers = str(precision), threads, workers
        self.micro_rows, self.compile = micro_rows, compile

    def resolve(self) -> Chosen:
        """Decides by this machine what was left to `auto`. Raises RecipeError when it has not what is asked for."""
        accelerator = _accelerator(self.accelerator)
        devices = self._devices(accelerator)
        on_host = devices if accelerator == "cpu" else 1  # processes that share the cores of the computation
        precision = self.precision
        if precision == "auto":
            precision = "bf16" if has_bf16(accelerator) else "32"
        return Chosen(
            accelerator=accelerator,
            devices=devices,
            nodes=self.nodes,
            strategy=self.strategy,
            precision=precision,
            threads=max(1, physical_cores() // on_host) if self.threads == "auto" else int(self.threads),
            workers=self._workers(accelerator, devices),
            micro_rows=None if self.micro_rows == "auto" else int(self.micro_rows),
            compile=self.compile,
            device=device_name(accelerator),
        )

    def _devices(self, accelerator: str) -> int:
        there = torch.cuda.device_count() if accelerator == "cuda" else 1
        if self.devices == "auto":
            return there if self.strategy != "single" else 1
        devices = int(self.devices)
        if accelerator != "cpu" and devices > there:
            raise RecipeError(f"hardware.devices is {devices}, but this machine has {there}; lower it.")
        return devices

    def _workers(self, accelerator: str, devices: int) -> int:
        if self.workers != "auto":
            return int(self.workers)
        # Rows are read from memory maps in microseconds; on a CPU, workers would only take cores from the step.
        return 0 if accelerator == "cpu" else max(1, min(4, physical_cores() // devices - 1))


def has_bf16(accelerator: str) -> bool:
    """Whether matrices are multiplied faster in bfloat16: GPUs with it, CPUs with AVX-512 BF16 or AMX."""
    if accelerator == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def physical_cores() -> int:
    """Cores this process may use, hyper-threads of one core counted once, limited by a container's quota."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for number in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        cores.add(siblings.read_text() if siblings.exists() else str(number))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        most, period = quota.read_text().split()
        if most != "max":
            return max(1, min(len(cores), int(most) // int(period)))
    return max(1, len(cores))


def device_name(accelerator: str) -> str:
    """The chip's name, for people."""
    if accelerator == "cuda":
        return torch.cuda.get_device_name()
    if accelerator == "cpu":
        info = Path("/proc/cpuinfo")
        for line in info.read_text().splitlines() if info.exists() else ():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return accelerator


def matmul_peak_flops(device: torch.device | str, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """The fastest square matrix product seen within `seconds`, in floating-point operations per second.

    It is the peak that utilisation is stated against: measured on this machine, with this process's threads.
    """
    device = torch.device(device)
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))

    def once() -> float:
        begin = time.perf_counter()
        torch.mm(a, b)
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        return time.perf_counter() - begin

    once()
    best, until = once(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        best = min(best, once())
    return 2 * size**3 / best


def micro_rows_by_trial(rows: int, trial: Callable[[int], None], network: nn.Module) -> int:
    """The most rows per micro-batch that fit on the device: all, else halves of them, rounded up.

    `trial(n)` runs forward and backward on n rows of the longest kind. Gradients, buffers and random states are put
    back, so that nothing is left of it. Raises RecipeError when not even one row fits.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    size = rows
    with torch.random.fork_rng(devices):
        while True:
            try:
                trial(size)
                fits = True
            except torch.OutOfMemoryError:
                fits = False  # leave the except block first: the traceback holds the tensors that filled the memory
            network.zero_grad(set_to_none=True)
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if fits:
                return size
            if size == 1:
                raise RecipeError("Not even one row fits on the device; use a smaller model or shorter rows.")
            size = -(-size // 2)


def micro_rows_by_memory(rows: int, bytes_per_row: float, share: float) -> int:
    """As `micro_rows_by_trial`, but by an estimate: for a CPU, where memory is not refused but swapped.

    share: of the memory that is still free.
    """
    room = available_memory() * share
    size = rows
    while size > 1 and size * bytes_per_row > room:
        size = -(-size // 2)
    return size


def available_memory() -> float:
    """Bytes of main memory that this process may still take, limited by a container's quota."""
    free = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    info = Path("/proc/meminfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        free.append(1024.0 * int(lines["MemAvailable"].split()[0]))
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free.append(float(limit.read_text()) - float(used.read_text()))
    return max(0.0, min(free))


def _accelerator(asked: str) -> str:
    there = {
        "cuda": torch.cuda.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        return next(name for name, has in there.items() if has)
    if not there[asked]:
        raise RecipeError(f"hardware.accelerator is {asked}, but torch finds none on this machine; use hardware=cpu.")
    return asked


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RecipeError(f"hardware.{name} is {value!r}; choose one of {', '.join(choices)}.")


def _count(name: str, value: int | str, least: int, most: float = math.inf) -> None:
    if value != "auto" and (isinstance(value, str) or not least <= value <= most):
        limits = f"of at least {least}" if most == math.inf else f"between {least} and {most:,}"
        raise RecipeError(f"hardware.{name} is {value!r}; give a whole number {limits}, or auto.")
