"""Promise: whatever a folder is called, a printed command can be pasted, and the program reads that name."""

from __future__ import annotations

import re
import shlex

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from maskwright.pasting import command, hydra_text, override

ODD = (
    "outputs/2026-01-31/12-00-00", "a=1", "a b", " a ", "it's", 'say "so"', "both ' and \"", "[a]", "{a}", "a,b",
    "(a)", "~/a", "$HOME", "a${seed}", "a\\${seed}", "a\\", "a\\b", "a\\'b", 'a\\"b', "größe", "日本", "null",
    "True", "12", "1e3", ".5", "nan", "-inf", "1_0", "12:30", "a:b",
    "-x", "x-", "choice(1)", "a#b", "a;b", "a&b", "*", "",
)  # fmt: skip
PARSER = OverridesParser.create()


def read(command_line: str, key: str) -> object:
    """What a program that composes its config with Hydra finds under `key`."""
    words = [word for word in shlex.split(command_line) if word.startswith(f"{key}=")]
    cfg = OmegaConf.create({"seed": 7})
    for part in reversed(key.split(".")[:-1]):
        cfg = OmegaConf.create({part: cfg})
    OmegaConf.update(cfg, key, None)
    ConfigLoaderImpl._apply_overrides_to_config(PARSER.parse_overrides(words), cfg)
    return OmegaConf.select(cfg, key)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("key", ["resume", "model.init_from", "hydra.sweep.dir"])
def test_odd_names_survive_the_shell_and_hydra(name, key):
    line = command("train.py", **{key: name})
    assert shlex.split(line)[:2] == ["python", "train.py"] and read(line, key) == name


TEXT = st.text(st.one_of(st.characters(exclude_categories=("Cs", "Cc")), st.sampled_from("\\'\"${}[]=, ~()10e.:+-_/")))


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_any_name_survives(name):
    assert read(command("train.py", resume=name), "resume") == name


def test_plain_names_stay_plain():
    assert command("train.py", "-m", "seed=1,2", resume="runs/a-1") == "python train.py -m seed=1,2 resume=runs/a-1"
    assert override("resume", "lr=0.1") == """'resume="lr=0.1"'""" and hydra_text("12") == '"12"'


def printed(text: str) -> list[str]:
    return re.findall(r"python (?:train|evaluate|show_masks|compare)\.py .*", text)


@pytest.mark.parametrize("name", ["lr=0.01 [b]", "it's ${x}", "日本, 1"])
def test_what_a_run_prints_names_its_own_folder(name, tmp_path, pretrain, capsys):
    """From the first line to the last of a run, and the refusal of another one in its folder."""
    from maskwright.errors import RecipeError

    folder = tmp_path / name
    pretrain("model=bert_tiny", "trainer.max_steps=1", folder=folder)
    lines = printed(capsys.readouterr().out)
    assert {read(line, "resume") for line in lines if "resume=" in line} == {str(folder)}
    assert {read(line, "run") for line in lines if "run=" in line} == {str(folder)}
    assert sum("resume=" in line for line in lines) == 2 and any("trainer.max_steps=+1" in line for line in lines)
    with pytest.raises(RecipeError) as refused:
        pretrain("model=bert_tiny", folder=folder)
    (line,) = printed(str(refused.value).partition(", or choose")[0])
    assert read(line, "resume") == str(folder)
