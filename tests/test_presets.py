"""Every preset trains, validates, saves, is resumed at its end, and its export loads in plain transformers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
import transformers

ROOT = Path(__file__).parents[1]
PRESETS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
PAPERS = [name for name in PRESETS if not name.startswith("debug")]
TINY = (
    "trainer.max_steps=4",
    "trainer.validate_every=2",
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=2",
    "model.config.num_attention_heads=2",
    "model.config.intermediate_size=32",
)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_validates_saves_and_reloads(name, pretrain, tmp_path):
    metrics = pretrain(f"experiment={name}", *TINY, folder=tmp_path)
    assert metrics["steps"] == 4
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    assert all(math.isfinite(value) for value in numbers.values())
    kept = json.loads((tmp_path / "metrics.json").read_text())
    for key in ("ruler/loss", "ruler/accuracy", "ruler/bits_per_byte", "flops", "steps", "tokens", "seconds",
                "speed/tokens_per_second", "speed/mfu", "speed/data_wait"):  # fmt: skip
        assert kept[key] is not None or (key.startswith("ruler/") and kept["ruler/reason"])
    checkpoint = torch.load(next((tmp_path / "checkpoints").glob("*4.ckpt")), weights_only=True)
    assert checkpoint["global_step"] == 4
    assert pretrain(f"resume={tmp_path}", small=False)["tokens"] == metrics["tokens"]
    for folder in [path.parent for path in (tmp_path / "export").rglob("config.json")]:
        config = transformers.AutoConfig.from_pretrained(folder)
        model = getattr(transformers, config.architectures[0]).from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        logits = model(**tokenizer("the congress of the united states", return_tensors="pt")).logits
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_names_its_paper_and_is_listed(name):
    header = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text().split("defaults:")[0]
    paper = re.search(r"arXiv (\d{4}\.\d{5})", header)
    assert paper and "Reproduced:" in header and "Differs:" in header
    row = next(line for line in (ROOT / "docs" / "papers.md").read_text().splitlines() if f"experiment={name}`" in line)
    assert paper[1] in row


def test_every_listed_paper_has_a_preset():
    listed = re.findall(r"experiment=(\w+)`", (ROOT / "docs" / "papers.md").read_text())
    assert set(listed) >= set(PAPERS) and set(listed) <= set(PRESETS)
