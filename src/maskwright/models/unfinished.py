"""A run that goes on, read as a saved model: <run>/start says what its networks look like, the newest checkpoint holds
their weights.

Each network has a folder below start/, named as its export, with config.json; the tokenizer lies beside the main one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import RecipeError
from .network import Network
from .sharing import disentangled
from .steps import newest

FOLDER = "start"
_FACTS = "networks.json"
_LABELS = ("id2label", "label2id")  # the objective names them anew


def describe(networks: Mapping[str, Network], whole: nn.Module, tokenizer: Any, run: Path) -> None:
    """Write <run>/start, whole or not at all. networks: by folder below export/; whole: the module, named as in the
    checkpoints, that holds them."""
    run.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{FOLDER}.", dir=run))
    modules = {id(module): name for name, module in whole.named_modules()}
    parameters = {id(parameter): name for name, parameter in whole.named_parameters()}
    facts = {}
    try:
        for below, network in networks.items():
            config = json.loads(network.hf.config.to_json_string(use_diff=False))
            place = work / below
            place.mkdir(exist_ok=True)
            named = _LABELS if network.head == "classify" else ()
            kept = {key: value for key, value in config.items() if key not in named}
            kept["architectures"] = [type(network.hf).__name__]
            (place / "config.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            tables = {name: parameters[id(table.base)] for name, table in disentangled(network.hf).items()}
            facts[below] = {"module": modules[id(network.hf)], "start": network.start, "tables": tables}
        tokenizer.save_pretrained(work)
        (work / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        work.chmod(0o755)
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        os.replace(work, run / FOLDER)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def start_of(run: Path) -> Path | None:
    """The folder that stands for the networks of `run`; None where it has none, or no checkpoint that is whole."""
    there = (run / FOLDER / _FACTS).is_file() and newest(run / "checkpoints") is not None
    return run / FOLDER if there else None


def recall_starts(networks: Mapping[str, Network], run: Path) -> None:
    """Say of each network of a resumed run where its first weights came from."""
    facts = json.loads((run / FOLDER / _FACTS).read_text(encoding="utf-8"))
    for below, network in networks.items():
        network.start = facts[below]["start"]


def weights(place: str) -> dict[str, Tensor] | None:
    """The weights of the network whose folder below start/ is `place`, from the run's newest whole checkpoint; its
    running average where it keeps one. None for other folders.

    Raises RecipeError where no checkpoint is whole.
    """
    import torch

    folder = Path(place)
    root = next((one for one in (folder, folder.parent) if (one / _FACTS).is_file()), None)
    if root is None:
        return None
    below = "" if root == folder else folder.name
    facts = json.loads((root / _FACTS).read_text(encoding="utf-8"))[below]
    path = newest(root.parent / "checkpoints")
    if path is None:
        raise RecipeError(
            f"{root.parent} holds no checkpoint that is whole; go on with that run first, or choose another."
        )
    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    state = _averaged(saved)
    prefix = f"{facts['module']}."
    found = {name.removeprefix(prefix): t.clone() for name, t in state.items() if name.startswith(prefix)}
    for name, base in facts["tables"].items():
        found[f"{name}.weight"] = state[base] + found.pop(f"{name}.delta")
    return found


def _averaged(saved: Mapping[str, Any]) -> dict[str, Tensor]:
    """All weights of a checkpoint, with the running average (`WeightAverage`) in place of those that it averages."""
    state: dict[str, Tensor] = dict(saved["state_dict"])
    average: Mapping[str, Tensor] = saved["callbacks"].get("WeightAverage", {}).get("average", {})
    mean = {state[name].data_ptr(): tensor for name, tensor in average.items()}  # tied weights share their memory
    return {name: mean.get(tensor.data_ptr(), tensor) for name, tensor in state.items()}
