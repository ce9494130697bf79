"""Every preset trains, validates, saves, is resumed at its end, and its export loads in plain transformers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from tests import corpora
from tests.conftest import SMALL

ROOT = Path(__file__).parents[1]
PRESETS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
PAPERS = [name for name in PRESETS if not name.startswith("debug")]
NARROW = (
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=2",
    "model.config.num_attention_heads=2",
    "model.config.intermediate_size=32",
)
STEPS = ("trainer.max_steps=4", "trainer.validate_every=2")

BERTS, HARNESS = (0.9, 0.999, 1e-6, 0.01), (0.9, 0.98, 1e-6, 0.01)
NUMBERS = {  # betas, eps, decay; warm-up, what is left at the end; clip
    "bert": (BERTS, (0.01, 0.0), 1.0),
    "electra": (BERTS, (0.01, 0.0), 1.0),
    "spanbert": ((0.9, 0.999, 1e-8, 0.1), (0.0042, 0.0), 1.0),
    "roberta": (HARNESS, (0.05, 0.0), 1.0),
    "dynamic_rate": (HARNESS, (0.06, 0.02), 1.0),
    "efficient_mlm": (HARNESS, (0.06, 0.0), 1.0),
    "ltg_bert": ((0.9, 0.98, 1e-6, 0.1), (0.016, 0.1), 2.0),
    "mini_lm_scaling": ((0.9, 0.95, 1e-6, 0.01), (0.05, 0.0), 1.0),
    "better_masking": (BERTS, (0.05, 0.0), 1.0),
}

SHORT_PHASE = "phases=[{from: 0.5, length: 64, rows: 4, restart: true}]"
TREEBANK = ("data=conll", "data.document=sentence")


def checkpoint(at: Path) -> Path:
    """A small BERT with a vocabulary of English words, as if trained before."""
    from maskwright.data import TrainedTokenizer
    from maskwright.data.tokenizers import wrapped
    from maskwright.models import ModelRecipe, export

    tokenizer = wrapped(TrainedTokenizer("wordpiece", 90).train(corpora.sentences("en", 400)))
    shape = {word.split(".")[-1].split("=")[0]: int(word.split("=")[1]) for word in NARROW}
    return export(ModelRecipe("bert", shape).build(tokenizer, 64), tokenizer, at / "checkpoint")


# What a preset needs that no machine has by itself: text of its language or domain, lists, a checkpoint.
NEEDS: dict[str, Callable[[Path], list[str]]] = {
    "better_masking_ptw": lambda at: [*TREEBANK, f"data.files={corpora.treebank(at)}", "tokenizer.vocabulary=90"],
    "bitimebert2": lambda at: [
        "views.entities.masking.unit.column.spans.file="
        f"{corpora.words(at, 'entities', 'United States', 'Congress', 'Senate', 'House', 'Great Britain', 'Spain')}"
    ],
    "chinese_wwm": lambda at: [
        f"data.files={corpora.text(at, 'zh')}", "data.document=line", "tokenizer.vocabulary=94",
    ],
    "cue_mcqa": lambda at: [f"data.files={corpora.questions(at)}", "data.columns=[options,label]", "packing.length=64",
                           "tokenizer.vocabulary=90"],
    "domain_adaptation": lambda at: [f"data.files={corpora.text(at, 'en')}", "data.document=line",
                                     f"model.init_from={checkpoint(at)}"],
    "domurls_bert": lambda at: [
        f"data.files={corpora.urls(at)}", "data.document=line", "tokenizer.vocabulary=120",
    ],
    "ernie": lambda at: [
        f"masking.unit.units.1.column.spans.file={corpora.words(at, 'phrases', 'fellow citizens', 'the public')}",
        f"masking.unit.units.2.column.spans.file={corpora.words(at, 'entities', 'United States', 'Congress')}",
    ],
    "camembert2": lambda at: [
        f"data.files={corpora.text(at, 'de')}", "data.document=line", "tokenizer.vocabulary=150", SHORT_PHASE,
    ],
    "camembert2_rtd": lambda at: [
        f"data.files={corpora.text(at, 'de')}", "data.document=line", "tokenizer.vocabulary=150", SHORT_PHASE,
    ],
    "finest_bert": lambda at: [f"data.files={corpora.languages(at)}", "tokenizer.vocabulary=110", SHORT_PHASE],
    "lmlm": lambda at: ["masking.weight.column.least_count=10"],
    "ltg_bert": lambda at: [SHORT_PHASE],
    "privacy_recovery": lambda at: [f"cleaning.filler.run={checkpoint(at)}", "cleaning.detector.most=400"],
    "gbert": lambda at: [
        f"data.files={corpora.text(at, 'de')}", "data.document=line", "tokenizer.vocabulary=150",
    ],
    "gender_tuning": lambda at: [
        f"data.files={corpora.labelled(at)}", "data.columns=[label]", "tokenizer.vocabulary=100",
        f"rate.column.strata.gender={corpora.words(at, 'gender', 'he', 'she', 'man', 'woman')}",
    ],
    "hingbert": lambda at: [f"data.files={corpora.tweets(at)}", "data.document=line", "tokenizer.vocabulary=90"],
    "kidlm": lambda at: [
        f"rate.column.strata.stop={corpora.words(at, 'stop', 'the', 'of', 'and', 'to', 'in')}",
        f"rate.column.strata.easy={corpora.words(at, 'easy', 'people', 'house', 'year', 'great')}",
    ],
    "lem": lambda at: [*TREEBANK, f"data.files={corpora.treebank(at)}", "tokenizer.vocabulary=90"],
    "masked_finetuning": lambda at: [
        f"data.files={corpora.labelled(at)}", "data.columns=[label]", "tokenizer.vocabulary=100",
    ],
    "macbert": lambda at: ["corruption.stages.0.table.least_cosine=0.0"],
    "mslm": lambda at: [*TREEBANK, f"data.files={corpora.entities(at)}", "tokenizer.vocabulary=80"],
    "rubert": lambda at: [
        f"data.files={corpora.text(at, 'ru')}", "data.document=line", f"model.init_from={checkpoint(at)}",
        "tokenizer.vocabulary=130",
    ],
    "slovakbert": lambda at: [f"data.files={corpora.text(at, 'sk')}", "data.document=line"],
    "spbert": lambda at: [f"data.files={corpora.queries(at)}", "data.document=line", "tokenizer.vocabulary=120"],
    "xlmr_xl": lambda at: [f"data.files={corpora.languages(at)}", "tokenizer.vocabulary=100"],
}  # fmt: skip
ON_SOTU = {"erwt", "bitimebert2", "lmlm"}  # the years of the bundled corpus
SOTU = ("tokenizer.vocabulary=4096", "packing.length=192", "ruler.length=32", "ruler.rows=16", "heldout_rows=16",
        "batch.rows=8", "trainer.log_every_n_steps=1", "checkpoint.every=2", "logger=csv", "hardware=cpu",
        "hardware.threads=1", "hardware.precision=32")  # fmt: skip


def overrides(name: str, at: Path) -> list[str]:
    """The words that follow `experiment=<name>` in a small run."""
    own = NEEDS[name](at) if name in NEEDS else []
    return [*STEPS, *(NARROW if name not in WIDE else ()), *own]


WIDE = {"debug", "debug_electra", "domain_adaptation"}  # sizes are their own, or the checkpoint's


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_validates_saves_and_reloads(name, preset_run, pretrain, tmp_path):
    folder, metrics = preset_run(name)
    assert metrics["steps"] == 4
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    assert all(math.isfinite(value) for value in numbers.values())
    kept = json.loads((folder / "metrics.json").read_text())
    for key in ("ruler/loss", "ruler/accuracy", "ruler/bits_per_byte", "flops", "steps", "tokens", "seconds",
                "speed/tokens_per_second", "speed/mfu", "speed/data_wait"):  # fmt: skip
        assert kept[key] is not None or (key.startswith("ruler/") and kept["ruler/reason"])
    checkpoint = torch.load(next((folder / "checkpoints").glob("*4.ckpt")), weights_only=True)
    assert checkpoint["global_step"] == 4
    assert pretrain(f"resume={folder}", small=False)["tokens"] == metrics["tokens"]
    exports = [path.parent for path in (folder / "export").rglob("config.json")]
    assert exports
    for export in exports:
        config = transformers.AutoConfig.from_pretrained(export)
        loader = getattr(transformers, config.architectures[0], transformers.AutoModelForMaskedLM)
        model = loader.from_pretrained(export)
        tokenizer = transformers.AutoTokenizer.from_pretrained(export)
        logits = model(**tokenizer("the congress of the united states", return_tensors="pt")).logits
        assert torch.isfinite(logits).all()


@pytest.fixture
def preset_run(compose, tmp_path):
    """`preset_run(name)`: a small run of a preset; its folder and final figures."""
    from maskwright.training.run import pretrain

    def run(name: str, *more: str):
        at = tmp_path / "needs"
        at.mkdir(exist_ok=True)
        words = [f"experiment={name}", *overrides(name, at), *more]
        if name in ON_SOTU:
            cfg, choices = compose(*SOTU, *words, small=False)
        elif name == "domain_adaptation":  # its tokenizer is not trained
            small = [word for word in SMALL if not word.startswith("tokenizer.")]
            cfg, choices = compose(*words[:1], *small, *words[1:], small=False)
        else:
            cfg, choices = compose(*words)
        return tmp_path / "run", pretrain(cfg, choices, tmp_path / "run")

    return run


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_names_its_paper_and_is_listed(name):
    header = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text().split("defaults:")[0]
    paper = re.search(r"arXiv (\d{4}\.\d{5})", header)
    assert paper and "Reproduced:" in header and "Differs:" in header
    listed = (ROOT / "docs" / "papers.md").read_text().splitlines()
    row = next(line for line in listed if line.startswith("|") and re.search(rf"experiment={name}[` ]", line))
    assert paper[1] in row


def test_every_listed_paper_has_a_preset():
    listed = re.findall(r"`python train.py experiment=(\w+)", (ROOT / "docs" / "papers.md").read_text())
    assert set(listed) >= set(PAPERS) and set(listed) <= set(PRESETS)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_optimizers_numbers_are_the_papers_or_listed(name, compose):
    cfg, _ = compose(f"experiment={name}")
    optimizer, schedule = cfg.optimizer, cfg.schedule
    found = (*optimizer.betas, optimizer.eps, optimizer.weight_decay), (schedule.warmup, schedule.floor)
    assert (*found, cfg.trainer.clip) == NUMBERS[name]


@pytest.mark.parametrize("name", PAPERS)
def test_every_preset_says_what_its_optimizer_is(name):
    header = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text().partition("defaults:")[0]
    assert "\n# Optimizer: " in header and "\n# Differs: " in header
