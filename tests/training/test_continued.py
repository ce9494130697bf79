"""Domain adaptation: everything comes from the checkpoint, and the ruler is measured first."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests import corpora
from tests.conftest import SMALL
from tests.training.test_resume import in_child

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe, export

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
RUN = [word for word in SMALL if not word.startswith(("tokenizer.", "packing.", "ruler.length"))]


@pytest.fixture(scope="module")
def words():
    """A small vocabulary of English words."""
    from maskwright.data import TrainedTokenizer
    from maskwright.data.tokenizers import wrapped

    return wrapped(TrainedTokenizer("wordpiece", 90).train(corpora.sentences("en", 400)))


@pytest.fixture
def saved(words, tmp_path):
    """`saved("bert", ...)`: the folder of a small checkpoint, as if trained before."""

    def made(family: str, positions: int = 40, **numbers) -> Path:
        torch.manual_seed(5)
        recipe = ModelRecipe(family, {**SHAPE, "max_position_embeddings": positions, **numbers})
        return export(recipe.build(words, positions), words, tmp_path / f"saved-{family}")

    return made


@pytest.fixture
def adapt(pretrain, small_text, tmp_path):
    """`adapt(checkpoint, ...)`: the preset on a small text; returns its folder and its final figures."""

    def run(checkpoint, *more: str, folder: str = "run"):
        words = ["experiment=domain_adaptation", f"data.files={small_text}", "data.document=blank_line",
                 "data.heldout=0.2", *RUN, f"model.init_from={checkpoint}", *more]  # fmt: skip
        return tmp_path / folder, pretrain(*words, folder=tmp_path / folder, small=False)

    return run


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without what no two runs share."""
    found = csv.DictReader((folder / "metrics.csv").open())
    return [{name: value for name, value in row.items() if not name.startswith("speed/")} for row in found]


def weights(folder: Path) -> dict:
    return load_file(folder / "export" / "model.safetensors")


@pytest.mark.parametrize(
    "family",
    ["bert", "roberta", "modernbert", "distilbert", "deberta_v2", "albert", "mpnet", "longformer", "camembert"],
)
def test_everything_comes_from_the_checkpoint(family, saved, adapt, capsys):
    place = saved(family)
    folder, metrics = adapt(place)
    then, now = (json.loads((path / "config.json").read_text()) for path in (place, folder / "export"))
    differing = {key for key in then | now if then.get(key) != now.get(key)}
    assert differing <= {"dtype", "transformers_version", "_attn_implementation_autoset"}
    first, last = (transformers.AutoTokenizer.from_pretrained(path) for path in (place, folder / "export"))
    assert first.get_vocab() == last.get_vocab()
    assert metrics["steps"] == 6 and metrics["ruler/loss"] is not None
    from omegaconf import OmegaConf

    cfg = OmegaConf.load(folder / "config.yaml")
    assert (cfg.packing.length, cfg.ruler.length) == (40, 40)
    assert cfg.tokenizer.path == str(place)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["starts"] == {"network": f"the weights of {place}"} and facts["base_model"] is None
    said = capsys.readouterr().out
    assert f"starts from the weights of {place}" in said and "before the first step: ruler/loss" in said


def test_the_ruler_before_is_what_the_checkpoint_scores(saved, adapt):
    place = saved("bert")
    _, first = adapt(place)
    folder, second = adapt(place.parent / "run", "seeds.order=7", folder="second")
    same = ("ruler/loss", "ruler/accuracy", "ruler/bits_per_byte", "heldout/mlm")
    assert {name: second[f"before/{name}"] for name in same} == {name: first[name] for name in same}
    assert first["before/ruler/loss"] != first["ruler/loss"]
    logged = rows(folder)
    assert [row["step"] for row in logged] == [str(step) for step in range(7)]
    assert float(logged[0]["ruler/loss"]) == second["before/ruler/loss"] and logged[0]["loss"] == ""
    assert json.loads((folder / "metrics.json").read_text())["before/ruler/loss"] == second["before/ruler/loss"]
    assert (folder / "ruler_fill_ins" / "step-00000000.md").exists()


def test_measuring_first_changes_nothing_else(saved, adapt):
    place = saved("bert")
    with_, without = (adapt(place, f"trainer.validate_first={first}", "optimizer.lr=0.01", folder=first)[0]
                      for first in ("true", "false"))  # fmt: skip
    assert json.loads((with_ / "export" / "config.json").read_text())["hidden_dropout_prob"] == 0.1
    assert all(torch.equal(value, weights(without)[name]) for name, value in weights(with_).items())
    assert rows(with_)[1:] == [{name: row[name] for name in rows(with_)[0]} for row in rows(without)]


def test_random_weights_are_measured_first_only_when_asked(pretrain, tmp_path):
    assert "before/ruler/loss" not in pretrain(folder=tmp_path / "a")
    assert "before/ruler/loss" in pretrain("trainer.validate_first=true", folder=tmp_path / "b")
    with pytest.raises(RecipeError, match="trainer.validate_first is .*maybe.*; give .*auto"):
        pretrain("trainer.validate_first=maybe", folder=tmp_path / "c")


@pytest.mark.parametrize("step", [1, 5])
def test_a_killed_run_goes_on_without_the_checkpoint_and_knows_its_before(step, saved, adapt, pretrain, tmp_path):
    place = saved("bert")
    more = ("optimizer.layer_decay=0.8", "optimizer.frozen_embeddings=true", "optimizer.lr=0.01")
    whole, figures = adapt(place, *more, folder="whole")
    in_child(lambda: adapt(place, *more, folder="killed"), step)
    killed = tmp_path / "killed"
    assert not (killed / "metrics.json").exists()
    if step > 2:  # a step checkpoint was taken, and holds what is needed
        shutil.rmtree(place)
    resumed = pretrain(f"resume={killed}", small=False)
    assert rows(killed) == rows(whole)
    assert all(torch.equal(value, weights(killed)[name]) for name, value in weights(whole).items())
    kept = [name for name in figures if name.startswith(("before/", "ruler/"))]
    assert len(kept) > 5 and {name: resumed[name] for name in kept} == {name: figures[name] for name in kept}
    assert (killed / "export" / "README.md").read_text().count("| before | after |") == 1


@pytest.mark.parametrize("sharing", ["tied", "gdes"])
def test_both_networks_of_an_electra_run_go_on(sharing, saved, adapt, pretrain, tmp_path, capsys):
    electra = ("objective=electra", f"objective.sharing={sharing}", "optimizer.lr=0.01")
    base, then = adapt(saved("bert"), *electra, folder="base")
    assert "generator starts from random weights, but for the discriminator's tables" in capsys.readouterr().out
    folder, now = adapt(base, *electra, folder="second")
    said = capsys.readouterr().out
    assert f"generator starts from the weights of {base}/export/generator" in said
    assert f"discriminator starts from the weights of {base}/export\n" in said
    for name in ("generator/ruler/loss", "heldout/generator", "heldout/detector"):
        assert now[f"before/{name}"] == pytest.approx(then[name], rel=1e-5), name
    facts = json.loads((folder / "run.json").read_text())
    assert facts["starts"] == {
        "generator": f"the weights of {base}/export/generator",
        "discriminator": f"the weights of {base}/export",
    }
    in_child(lambda: adapt(base, *electra, folder="killed"), 5)
    shutil.rmtree(base)
    pretrain(f"resume={tmp_path / 'killed'}", small=False)
    assert rows(tmp_path / "killed") == rows(folder)


def test_the_generator_can_start_from_a_checkpoint_of_its_own(saved, adapt, words, pretrain, tmp_path):
    other = saved("roberta")
    electra = ("objective=electra", "objective.sharing=none", f"objective.generator_from={other}")
    folder, _ = adapt(saved("bert"), *electra)
    starts = json.loads((folder / "run.json").read_text())["starts"]
    assert starts["generator"] == f"the weights of {other}"
    assert json.loads((folder / "export" / "generator" / "config.json").read_text())["model_type"] == "roberta"
    in_child(lambda: adapt(saved("bert"), *electra, folder="killed"), 5)
    shutil.rmtree(other)
    pretrain(f"resume={tmp_path / 'killed'}", small=False)
    assert rows(tmp_path / "killed") == rows(folder)
    with pytest.raises(RecipeError, match="would lose the discriminator's; choose sharing=gdes"):
        torch.manual_seed(9)
        third = export(ModelRecipe("bert", SHAPE).build(words, 40), words, tmp_path / "third")
        adapt(saved("bert"), "objective=electra", f"objective.generator_from={third}", folder="c")


def test_of_an_electra_run_a_masked_model_must_choose(saved, adapt):
    base, _ = adapt(saved("bert"), "objective=electra", folder="base")
    with pytest.raises(RecipeError) as caught:
        adapt(base, folder="refused")
    for place in (f"model.init_from={base}/export/generator", f"model.init_from={base}/export "):
        assert place in str(caught.value)
    folder, _ = adapt(f"{base}/export/generator", folder="generator")
    assert "new head" not in json.loads((folder / "run.json").read_text())["starts"]["network"]
    folder, _ = adapt(f"{base}/export", folder="discriminator")
    start = json.loads((folder / "run.json").read_text())["starts"]["network"]
    assert "under a new head (mlm), which it lacks" in start


@pytest.mark.parametrize("kept", ["encoder", "half", "bfloat", "bin", "vocabulary", "untied"])
def test_checkpoints_as_others_save_them(kept, saved, adapt, capsys):
    """An encoder without a head, half precision, pickled weights, no tokenizer.json, a projection of its own."""
    place = saved("bert", tie_word_embeddings=kept != "untied")
    model = transformers.AutoModelForMaskedLM.from_pretrained(place)
    if kept == "encoder":
        (place / "model.safetensors").unlink()
        model.bert.save_pretrained(place)
    elif kept in ("half", "bfloat"):
        model.to(torch.float16 if kept == "half" else torch.bfloat16).save_pretrained(place)
    elif kept == "bin":
        (place / "model.safetensors").unlink()
        torch.save(model.state_dict(), place / "pytorch_model.bin")
    elif kept == "vocabulary":
        vocabulary = transformers.AutoTokenizer.from_pretrained(place).get_vocab()
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (place / name).unlink()
        (place / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n")
    elif kept == "untied":
        tensors = load_file(place / "model.safetensors")
        tensors["cls.predictions.decoder.weight"] = tensors["cls.predictions.decoder.weight"] + 1
        save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    folder, metrics = adapt(place)
    facts = json.loads((folder / "run.json").read_text())
    assert ("under a new head (mlm)" in facts["starts"]["network"]) == (kept == "encoder")
    assert "MISSING" not in capsys.readouterr().out
    assert {value.dtype for value in weights(folder).values()} == {torch.float32}
    assert json.loads((folder / "export" / "config.json").read_text())["tie_word_embeddings"] == (kept != "untied")
    assert ("cls.predictions.decoder.weight" in weights(folder)) == (kept == "untied")
    assert metrics["before/ruler/loss"] > 0


def test_what_cannot_be_continued_is_refused_in_a_sentence(saved, adapt, tmp_path):
    with pytest.raises(RecipeError, match="model=checkpoint takes everything from a saved model; set model.init_from"):
        adapt("null")
    other = tmp_path / "other"
    transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8).save_pretrained(other)
    with pytest.raises(RecipeError, match="is a gpt2, which no family knows; choose one of bert, roberta"):
        adapt(other)
    place = saved("bert")
    with pytest.raises(RecipeError, match=r"has 40 positions, and the rows have 64; .* 40 \(packing.length, ruler"):
        adapt(place, "packing.length=64")
    (place / "tokenizer.json").unlink()
    with pytest.raises(RecipeError, match="holds no tokenizer; save it there, or choose tokenizer=saved"):
        adapt(place, folder="b")


def test_the_card_tells_before_and_after_and_names_no_folder_of_this_machine(saved, adapt, tmp_path, capsys):
    folder, metrics = adapt(saved("bert"), "optimizer.lr=1.0", "schedule=constant")
    assert metrics["ruler/loss"] > metrics["before/ruler/loss"]
    worse = f"ruler/loss rose from {metrics['before/ruler/loss']:.4f} to {metrics['ruler/loss']:.4f}: on this text the "
    assert "note: " + worse in capsys.readouterr().out
    card = (folder / "export" / "README.md").read_text()
    assert "| | before | after |" in card and worse in card
    assert "from the weights of .../saved-bert." in card and "trained further with maskwright" in card
    assert str(tmp_path) not in card and "base_model:" not in card
