"""What every test stands on: one torch thread, no network, no accounts, and a cache folder of its own.

The environment is set before any test module is imported (the libraries read it then) and is inherited by the
subprocesses that tests start. `HF_HUB_OFFLINE=0 pytest -m network` lets the network tests out.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import pytest

MOST_WORKERS = 4  # each imports torch and transformers, about 0.6 GB

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "OMP_NUM_THREADS": "1",  # results on the CPU depend on the thread count
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HYDRA_FULL_ERROR": "1",
}


def pytest_configure(config: pytest.Config) -> None:
    """Sets the environment once; pytest-xdist's workers inherit it, the shared cache folder too."""
    if hasattr(config, "workerinput"):
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.pop("WANDB_API_KEY", None)
    cache = tempfile.mkdtemp(prefix="maskwright-tests-")
    os.environ["MASKWRIGHT_CACHE"] = cache
    os.environ["HF_HOME"] = os.path.join(cache, "huggingface")
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers for `-n auto`: the cores, at most four; none for a single file, where start-up outweighs the gain."""
    if len(config.args) == 1 and ".py" in config.args[0]:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Undoes what a run inside the test process chose."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    yield
