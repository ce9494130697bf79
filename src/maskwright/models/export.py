"""A trained network as a folder that plain transformers loads: safetensors, tokenizer, model card."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import RecipeError
from .network import Network
from .sharing import disentangled

_AUTO = {
    "mlm": "AutoModelForMaskedLM",
    "causal": "AutoModelForCausalLM",
    "detect": "AutoModelForTokenClassification",
    "classify": "AutoModelForSequenceClassification",
}
_PIPELINE = {
    "mlm": "fill-mask",
    "causal": "text-generation",
    "detect": "token-classification",
    "classify": "text-classification",
}


def export(network: Network, tokenizer: Any, folder: str | Path, card: Mapping[str, Any] | None = None) -> Path:
    """Write the network to `folder` and return the folder.

    The folder appears whole or not at all: it is written beside its place and renamed; an older export there is
    replaced. Gradient-disentangled tables are written as their sum. `card` may hold "title", "text", "recipe" (a nested
    mapping), "data" and "figures" (flat mappings), "before" (name -> figures before and after training), "verdict"
    (sentences), "start" (where the weights came from, if not as the network says), "base_model" (a hub name) and
    "tags"; see `model_card`.
    Raises RecipeError when the disk refuses.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _saved(network).save_pretrained(work)
        tokenizer.save_pretrained(work)
        (work / "README.md").write_text(model_card(network, card or {}), encoding="utf-8")
        work.chmod(0o755)
        for path in work.iterdir():
            _to_disk(path)
        _replace(work, folder)
    except OSError as error:
        raise RecipeError(
            f"The export to {folder} failed ({error.strerror or error}); free some space or choose another folder."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def auto_class(network: Network) -> str:
    """The Auto class of transformers that loads the export with its head."""
    if network.head == "detect" and network.family.heads["detect"].endswith("ForPreTraining"):
        return "AutoModelForPreTraining"
    return _AUTO[network.head]


def model_card(network: Network, card: Mapping[str, Any]) -> str:
    """README.md: front matter for the hub, how to load it, figures, data, recipe."""
    tags = ["maskwright", network.recipe.family, *card.get("tags", ())]
    front = ["---", "library_name: transformers", f"pipeline_tag: {_PIPELINE[network.head]}", "tags:"]
    front += [f"- {tag}" for tag in dict.fromkeys(tags)]
    front += [f"base_model: {card['base_model']}"] if card.get("base_model") else []
    front.append("---")
    loader = auto_class(network)
    ours = network.family.library != "transformers"
    needed = "import maskwright  # the network is its own: transformers learns of it here\n" if ours else ""
    parts = [
        "\n".join(front),
        f"# {card.get('title') or f'{network.recipe.family}, {_how(network)} with maskwright'}",
        str(card.get("text") or _purpose(network)),
        "## Use",
        f"```python\n{needed}"
        f"from transformers import AutoTokenizer, {loader}\n\n"
        'tokenizer = AutoTokenizer.from_pretrained(".")  # the folder of this file\n'
        f'model = {loader}.from_pretrained(".")\n'
        "```",
    ]
    if card.get("before"):
        rows = [f"| {key} | {_shown(then)} | {_shown(now)} |" for key, (then, now) in card["before"].items()]
        table = ["| | before | after |", "|---|---|---|", *rows]
        parts += ["## Before and after continued training", "\n".join(table), *card.get("verdict", ())]
    for name, title in (("figures", "Figures"), ("data", "Data")):
        if card.get(name):
            rows = [f"| {key} | {_shown(value)} |" for key, value in card[name].items()]
            parts += [f"## {title}", "\n".join(["| | |", "|---|---|", *rows])]
    parts += [
        "## Network",
        f"{network.recipe.family}, {network.parameter_count:,} parameters, "
        f"{network.config.vocab_size:,} tokens, trained on rows of {network.length} "
        f"from {card.get('start') or network.start}.",
    ]
    if card.get("recipe"):
        parts += ["## Recipe", "```json\n" + json.dumps(card["recipe"], indent=2, default=str) + "\n```"]
    return "\n\n".join(parts) + "\n"


def _how(network: Network) -> str:
    return "trained further" if network.from_checkpoint else "pre-trained"


def _purpose(network: Network) -> str:
    return {
        "mlm": "Predicts hidden tokens from both sides.",
        "causal": "Predicts the next token.",
        "classify": "Says which class a text belongs to.",
        "detect": "Says of every token whether it was replaced: a logit above 0 means that it was.",
    }[network.head]


def _saved(network: Network) -> Any:
    """The transformers model to save: `hf` itself, or a plain copy with materialised tables."""
    tables = disentangled(network.hf)
    if not tables:
        return network.hf
    weights = {key: value for key, value in network.hf.state_dict().items() if not key.endswith(".delta")}
    weights.update({f"{name}.weight": table.weight.detach() for name, table in tables.items()})
    with torch.device("meta"):
        plain = type(network.hf)(network.hf.config)
    plain.load_state_dict(weights, assign=True, strict=True)
    return plain


def _to_disk(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _replace(work: Path, folder: Path) -> None:
    """Rename `work` to `folder`; an existing folder moves aside first: a rename replaces empty folders only."""
    old = None
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    work.rename(folder)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
