"""Configs: every option composes and builds, every key is documented where it stands, and every key matters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from maskwright.errors import RecipeError

CONF = Path(__file__).parents[1] / "conf"
FILES = sorted(path for path in CONF.rglob("*.yaml") if "experiment" not in path.parts)
OPTIONS = [
    (path.parent.relative_to(CONF).as_posix(), path.stem)
    for path in FILES
    if path.parent != CONF and "hydra" not in path.parts
]
SPANS = ("entity", "entity_token", "keyphrase", "phrase", "mslm")
NEEDS = {
    ("data", "text"): ("data.files=a.txt",),
    ("data", "hub"): ("data.path=some/name",),
    ("tokenizer", "saved"): ("tokenizer.path=some/name",),
    **{(group, "checkpoint"): ("model=checkpoint", "model.init_from={checkpoint}") for group in ("model", "tokenizer")},
    ("cleaning/detector", "frequent"): ("cleaning=recover",),
    ("cleaning/detector", "allow_list"): ("cleaning=recover", "cleaning.detector.file={words}"),
    ("cleaning/detector", "spans"): ("cleaning=recover", "cleaning.detector.spans.file={words}"),
    ("cleaning/filler", "model"): ("cleaning=recover", "cleaning.filler.run=some/name"),
    ("cleaning", "several"): ("cleaning.steps=[{{_target_: maskwright.data.cleaning.Tweets}}]",),
    ("masking/weight", "table"): ("masking.weight.file={weights}",),
    **{("masking", name): ("masking.unit.column.spans.file={words}",) for name in SPANS},
    ("masking", "lem"): tuple(f"masking.unit.column.spans.sources.{name}.column=tags" for name in ("entities", "tags")),
    ("masking", "ernie"): tuple(f"masking.unit.units.{number}.column.spans.file={{words}}" for number in (1, 2)),
    ("loss_weight", "table"): ("loss_weight.file={weights}",),
    ("loss_weight", "pos"): ("loss_weight.column.column=tags",),
    ("loss_weight", "by_stratum"): ("loss_weight.column.strata.terms={words}",),
    ("masking/weight", "pos"): ("masking.weight.column.column=tags",),
    ("masking/weight", "pos_loss"): ("masking/budget=exact", "masking.weight.column.column=tags"),
    ("masking/weight", "entity_types"): ("masking.weight.column.spans.file={words}",),
    ("masking/weight", "spans_only"): ("masking=temporal",),
    ("rate", "by_stratum"): ("rate.column.strata.stop={words}", "rate.column.strata.easy={words}"),
    ("rate", "by_entity"): ("masking=mslm", "masking.unit.column.spans.file={words}"),
    **{
        ("corruption", name): ("objective=classify",)
        for name in ("delete", "infill", "infill_merged", "insert", "sentinel")
    },
    ("corruption", "kbir"): ("masking=kbir", "masking.unit.column.spans.column=phrases"),
    ("masking", "kbir"): ("masking.unit.column.spans.column=phrases",),
    ("masking/weight", "scores"): ("masking.weight.column.column=score",),
    ("rate", "by_gender"): ("rate.column.strata.gender={words}",),
    ("objective", "dated_mlm"): ("views.entities.masking.unit.column.spans.file={words}",),
    ("objective", "mslm"): ("masking=mslm", "rate=by_entity", "masking.unit.column.spans.file={words}"),
    ("corruption", "other_entity"): ("masking=entity", "masking.unit.column.spans.file={words}"),
    ("data", "conll"): ("data.files=a.conllu",),
    ("words", "column"): ("words.column=words",),
    ("evaluation", "minimal_pairs"): ("evaluation.source.files=a.jsonl",),
    ("evaluation", "fill"): ("evaluation.source.files=a.jsonl",),
    ("evaluation", "similarity"): ("evaluation.source.files=a.csv",),
    ("evaluation", "relations"): ("evaluation.folder=a",),
    ("evaluation", "retrieval"): (
        "evaluation.documents=a.jsonl",
        "evaluation.queries=a.jsonl",
        "evaluation.judgements=a.tsv",
    ),
    ("evaluation", "finetune"): ("evaluation.data.train=a.csv",),
    ("evaluation", "probe"): ("evaluation.data.train=a.conllu",),
    ("evaluation", "rated"): ("evaluation.source.files=a.csv", "evaluation.ratings.files=b.csv"),
    ("evaluation", "autoprompt"): ("evaluation.data.train=a.csv",),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files that options need: a table of weights, a list of words, a checkpoint."""
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("weights")
    (folder / "weights.json").write_text('{"the": 1.0}')
    (folder / "words.txt").write_text("the\n")
    BertConfig().save_pretrained(folder / "checkpoint")
    return {
        "weights": folder / "weights.json", "words": folder / "words.txt", "checkpoint": folder / "checkpoint",
    }  # fmt: skip


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_option_composes_and_builds(group, option, compose, weights):
    from maskwright.config.build import build
    from maskwright.training.recipe import assemble

    more = [word.format(**weights) for word in NEEDS.get((group, option), ())]
    decoder = ("objective=clm",) if option.startswith("llama") else ()
    if group == "evaluation":
        cfg, _ = compose(f"{group}={option}", *more, small=False, config="evaluate")
        assert build(cfg, group).name
        return
    cfg, choices = compose(*decoder, f"{group}={option}", *more, small=False)
    if option == "given":  # for objectives whose network gives weights, of which there is none yet
        with pytest.raises(RecipeError, match="is given by a network inside the step, and objective=mlm gives none"):
            assemble(cfg, choices)
        return
    recipe = assemble(cfg, choices)
    assert recipe.sentence and recipe.name


def _uncommented(path: Path) -> list[str]:
    """Lines that set a value without saying what it means."""
    lines = path.read_text().splitlines()
    found, skip = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if skip is not None and (not line.strip() or indent > skip or line.lstrip().startswith("- ")):
            continue
        skip = None
        key = re.match(r"\s*([\w.]+):(.*)", line)
        if not key or line.lstrip().startswith("#"):
            continue
        if key[1] in ("defaults", "hydra"):
            skip = indent
        elif key[1] != "_target_" and key[2].strip() and "#" not in line:
            found.append(line)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_value_says_what_it_means(path):
    assert path.read_text().startswith("#")
    assert not _uncommented(path)


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_key_is_an_argument_without_a_hidden_twin(group, option, compose, weights):
    """A group's keys are its constructor's arguments: none is ignored, and none is missing from the file."""
    more = [word.format(**weights) for word in NEEDS.get((group, option), ())]
    config = "evaluate" if group == "evaluation" else "train"
    decoder = ("objective=clm",) if option.startswith("llama") else ()
    cfg, _ = compose(*decoder, f"{group}={option}", *more, small=False, config=config)
    node = OmegaConf.select(cfg, group.replace("/", "."))
    taken = set(inspect.signature(get_class(node._target_).__init__).parameters) - {"self"}
    assert set(node) - {"_target_"} <= taken
    # Masking's parts are groups of their own; a constant schedule has no floor, Unigram training no least frequency.
    optional = {"weight", "budget", "attention", "revision", "data_files", "floor", "min_frequency", "args", "kwargs"}
    optional |= {"filler"}  # without one, protected words leave a marker
    assert taken - set(node) <= optional


def test_every_key_of_the_recipe_is_read_in_a_run(pretrain, compose, tmp_path, monkeypatch):
    """Reads are recorded at the config itself while a run trains, validates, saves and exports."""
    read: set[str] = set()
    get = DictConfig.__getattr__

    def noted(self, key):
        if not key.startswith("_"):
            parent = self._get_full_key(key)
            read.add(parent)
        return get(self, key)

    monkeypatch.setattr(DictConfig, "__getattr__", noted)
    pretrain("early_stopping.figure=ruler/loss", folder=tmp_path / "run")
    monkeypatch.undo()
    recipe = yaml.safe_load((CONF / "recipe.yaml").read_text())
    groups = {"defaults", "views"}  # views are read as a whole
    wanted = set()
    for key, value in recipe.items():
        if key not in groups:
            wanted |= {f"{key}.{inner}" for inner in value} if isinstance(value, dict) else {key}
    wanted -= {"seed"}  # read through ${seed}, which the next test shows
    wanted -= {"batch.rows"} if "batch.tokens" not in read else set()
    assert wanted <= read, wanted - read


CHANGES = {
    "seeds.init=7": "weights",
    "seeds.order=7": "weights",
    "seeds.masks=7": "weights",
    "seeds.dropout=7": "weights",
    "seed=7": "weights",
    "batch.rows=4": "weights",
    "batch.tokens=128": "weights",
    "trainer.max_steps=5": "weights",
    "trainer.max_epochs=2": "weights",
    "trainer.clip=0.01": "weights",
    "trainer.ema=0.9": "weights",
    "rate.value=0.5": "weights",
    "corruption=bert": "weights",
    "masking=span": "weights",
    "masking.budget.at_least=12": "weights",
    "schedule.warmup=0.5": "weights",
    "schedule.floor=0.5": "weights",
    "optimizer.lr=0.01": "weights",
    "optimizer.momentum=0.5": "weights",
    "optimizer.nesterov=false": "weights",
    "optimizer.newton_schulz_steps=2": "weights",
    "optimizer.scale=match_rms_adamw": "weights",
    "optimizer.weight_decay=0.5": "weights",
    "optimizer.adamw_lr=0.1": "weights",
    "optimizer.betas=[0.5,0.6]": "weights",
    "optimizer.eps=0.1": "weights",
    "optimizer.layer_decay=0.5": "weights",
    "optimizer.frozen_layers=1": "weights",
    "optimizer.frozen_embeddings=true": "weights",
    "data.heldout=0.4": "weights",
    "packing.length=24": "weights",
    "phases=[{from: 2, length: 16}]": "weights",
    "phases=[{from: 2, rows: 3}]": "weights",
    "phases=[{from: 2, restart: true}]": "weights",
    "cleaning=web": "weights",
    "tokenizer.vocabulary=250": "vocabulary",
    "ruler.length=24": "ruler/loss",
    "ruler.rows=9": "ruler/loss",
    "heldout_rows=5": "heldout/mlm",
}


@pytest.fixture(scope="module")
def plain(compose, tmp_path_factory):
    return _outcome(compose, tmp_path_factory.mktemp("plain") / "run")


def _outcome(compose, folder, *overrides):
    from safetensors.torch import load_file

    from maskwright.training.run import pretrain

    # a network with dropout, so that its seed matters
    figures = pretrain(
        *compose("model=bert_tiny", "model.config.hidden_dropout_prob=0.1", "trainer.max_steps=4", *overrides), folder
    )
    weights = load_file(folder / "export" / "model.safetensors")
    total = sum(value.double().abs().sum().item() for name, value in sorted(weights.items()))
    return {"weights": total, "vocabulary": weights["bert.embeddings.word_embeddings.weight"].shape[0], **figures}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_value_changes_the_run(change, compose, plain, tmp_path):
    assert _outcome(compose, tmp_path / "run", change)[CHANGES[change]] != plain[CHANGES[change]]


def test_the_same_recipe_gives_the_same_run(compose, plain, tmp_path):
    again = _outcome(compose, tmp_path / "run")
    assert {name: again[name] for name in ("weights", "ruler/loss", "heldout/mlm")} == {
        name: plain[name] for name in ("weights", "ruler/loss", "heldout/mlm")
    }


def test_a_value_of_another_option_is_refused(compose):
    from maskwright.training.recipe import assemble

    with pytest.raises(RecipeError, match=r"rate\.value is no setting of Linear; "):
        assemble(*compose("rate=linear", "+rate.value=0.3"))
