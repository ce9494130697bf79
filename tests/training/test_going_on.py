"""Promise: a run goes on from its folder and the text alone, with more steps if asked, and nothing saved is lost."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.test_resume import RECIPE, assert_equal_runs, in_child, rows, weights

from maskwright.errors import RecipeError, Refused
from maskwright.tracking import fresh
from maskwright.tracking.jobs import tracked_job
from maskwright.training.folder import RunFolder
from maskwright.training.going_on import AlreadyDone, going_on

CACHE = "cache={}"


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


@pytest.mark.parametrize("tokenizer", ["wordpiece", "unigram", "bpe"])
def test_another_machine_needs_the_folder_and_the_text_alone(tokenizer, tmp_path, pretrain, small_text):
    """Another folder, another place of the text, no cache; wordpiece and unigram are never trained the same twice."""
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "text").mkdir(parents=True)
    shutil.copy(small_text, here / "text" / "small.txt")
    options = (*RECIPE, f"tokenizer={tokenizer}", "tokenizer.vocabulary=400", f"data.files={here}/text/small.txt")
    options += ("cleaning=tweets",) if tokenizer == "bpe" else ()  # with tokens of its own
    options += (CACHE.format(here / "cache"),)
    assert in_child(lambda: pretrain(*options, folder=here / "whole")) == 0
    assert in_child(lambda: pretrain(*options, folder=here / "run"), 3) == signal.SIGKILL
    assert (here / "run" / "tokenizer" / "tokenizer.json").is_file()
    shutil.copytree(here / "run", there / "moved")
    shutil.copytree(here / "text", there / "text")
    (here / "whole").rename(tmp_path / "whole")
    shutil.rmtree(here)
    words = (f"resume={there / 'moved'}", "data=text", f"data.files={there}/text/small.txt")
    words += (CACHE.format(there / "cache"),)
    assert in_child(lambda: pretrain(*words, small=False)) == 0
    assert_equal_runs(tmp_path / "whole", there / "moved")
    assert f"{there}/text/small.txt" in (there / "moved" / "config.yaml").read_text()  # for evaluations, and next time


def test_masks_that_follow_counts_of_the_text_come_back_without_a_cache(tmp_path, pretrain):
    options = (*RECIPE, "masking=pmi", f"cache={tmp_path}/one")
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "whole")) == 0
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "killed"), 3) == signal.SIGKILL
    shutil.rmtree(tmp_path / "one")
    assert in_child(lambda: pretrain(f"resume={tmp_path / 'killed'}", f"cache={tmp_path}/two", small=False)) == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")


def test_a_changed_list_is_refused_and_a_moved_one_is_not(tmp_path, pretrain):
    terms, key = tmp_path / "terms.txt", "masking.unit.column.spans.abbreviations"
    terms.write_text("the people\nthe government\n")
    options = (*RECIPE, "masking=sentence", f"{key}={terms}")
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "run"), 3) == signal.SIGKILL
    assert list(facts(tmp_path / "run")["files"]) == [key]
    moved = tmp_path / "elsewhere.txt"
    moved.write_text("the people\nthe governments\n")
    terms.unlink()
    words = (f"resume={tmp_path / 'run'}", "masking=sentence", f"{key}={moved}")
    with pytest.raises(Refused, match=f"{key} .* has other content than when it began"):
        pretrain(*words, small=False)
    moved.write_text("the people\nthe government\n")
    pretrain(*words, small=False)


@pytest.mark.parametrize("objective", ["mlm", "electra"])
def test_the_model_that_a_run_started_from_may_be_gone(objective, tmp_path, pretrain):
    first = ("model=electra_tiny", "model.config.hidden_size=16", "model.config.num_hidden_layers=1")
    first += ("model.config.intermediate_size=32", "model.config.embedding_size=16")
    pretrain(*first, folder=tmp_path / "first")
    options = (*RECIPE, "masking=random", f"objective={objective}", "model=electra_tiny", "trainer.ema=null")
    options = tuple(word for word in options if "model.config" not in word)
    options += (f"model.init_from={tmp_path / 'first'}",)
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "whole")) == 0
    assert in_child(lambda: pretrain(*options, folder=tmp_path / "killed"), 3) == signal.SIGKILL
    shutil.rmtree(tmp_path / "first")
    assert in_child(lambda: pretrain(f"resume={tmp_path / 'killed'}", small=False)) == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
    cards = [(tmp_path / name / "export" / "README.md").read_text() for name in ("whole", "killed")]
    assert all("from the weights of .../first/export" in card for card in cards)
    configs = [(tmp_path / name / "export" / "config.json").read_text() for name in ("whole", "killed")]
    assert configs[0] == configs[1]


def test_the_cure_of_a_refused_change_works(tmp_path, pretrain, compose, small_options):
    """Case 20: an unfinished run is a model to start from, with the newest weights that it has saved."""
    folder, words = tmp_path / "lr=0.01 [b]", [*small_options, *RECIPE]
    folder.mkdir()
    (folder / "status.json").write_text(json.dumps({"state": "running", "overrides": words}))
    assert in_child(lambda: pretrain(*RECIPE, folder=folder), 5) == signal.SIGKILL
    with pytest.raises(Refused, match="optimizer.lr=0.001 would change it") as refused:
        pretrain(f'resume="{folder}"', "optimizer.lr=0.001", small=False)
    cure = shlex.split(str(refused.value).partition("weights with: ")[2])
    assert cure[:2] == ["python", "train.py"] and "optimizer.lr=0.001" in cure
    pretrain(*cure[2:], "trainer.max_steps=1", "schedule.warmup=1e-9", small=False, folder=tmp_path / "new")
    saved = torch.load(folder / "checkpoints" / "step-00000004.ckpt", weights_only=True)
    from maskwright.data.tokenizers import SavedTokenizer
    from maskwright.models import ModelRecipe

    tokenizer = SavedTokenizer(str(folder)).load(list, "", tmp_path)
    network = ModelRecipe("bert", init_from=str(folder)).build(tokenizer, 32)
    average = saved["callbacks"]["WeightAverage"]["average"]
    mine = dict(network.hf.named_parameters())
    assert mine and all(torch.equal(mine[n], average[f"objective.network.hf.{n}"]) for n in mine)


def test_electra_weights_of_an_unfinished_run(tmp_path, pretrain):
    """Disentangled tables are read as their sum, and the generator by its own folder."""
    from maskwright.data.tokenizers import SavedTokenizer
    from maskwright.models import ModelRecipe

    options = ("objective=deberta_v3_rtd", "model=deberta_v3_tiny", "export.at_powers_of=2")
    assert in_child(lambda: pretrain(*options, folder=tmp_path), 5) == signal.SIGKILL
    tokenizer = SavedTokenizer(str(tmp_path)).load(list, "", tmp_path)
    for below, head in (("", "detect"), ("generator", "mlm")):
        recipe = ModelRecipe("deberta_v2", init_from=str(tmp_path / "start" / below))
        mine = recipe.build(tokenizer, 32, head).hf.state_dict()
        theirs = load_file(tmp_path / "exports" / "step-00000004" / below / "model.safetensors")
        assert len(theirs) > 20 and all(torch.equal(mine[name], theirs[name]) for name in theirs)


@pytest.fixture(scope="module")
def ended(tmp_path_factory, compose):
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("ended") / "run"
    assert in_child(lambda: pretrain(*compose(*RECIPE), folder)) == 0
    return folder


@pytest.mark.parametrize("asked", ["+6", "12"])
def test_a_finished_run_is_lengthened_and_stays_exact_after_a_kill(asked, ended, tmp_path, pretrain, capfd):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        shutil.copytree(ended, folder)
    more = f"trainer.max_steps={asked}"
    assert in_child(lambda: pretrain(f"resume={whole}", more, small=False)) == 0
    said = capfd.readouterr().out
    assert "lengthened from 6 to 12 steps: the learning rate warms up and falls again over the added ones" in said
    assert in_child(lambda: pretrain(f"resume={killed}", more, small=False), 9) == signal.SIGKILL
    assert not (killed / "metrics.json").exists() and not (killed / "export").exists()
    assert in_child(lambda: pretrain(f"resume={killed}", small=False)) == 0
    assert_equal_runs(whole, killed)
    # what the run had at its old end, optimizer included, is where the new steps begin
    assert rows(whole)[:6] == rows(ended) and [row["step"] for row in rows(whole)] == [str(n) for n in range(1, 13)]
    old, kept = weights(ended), load_file(whole / "exports" / "step-00000006" / "model.safetensors")
    assert all(torch.equal(old[name], kept[name]) for name in old)
    assert json.loads((whole / "exports" / "step-00000006" / "metrics.json").read_text())["steps"] == 6
    assert json.loads((whole / "metrics.json").read_text())["steps"] == 12
    rates = [float(next(row[k] for k in row if k.startswith("lr/"))) for row in rows(whole)]
    assert rates[6:] == rates[:6]  # anew over as many steps
    masked = [float(row["rate"]) for row in rows(whole)]
    assert masked[5] < masked[0] and masked[11] < masked[6] < masked[0]  # over all twelve: from the half on
    for folder in (whole, killed):
        assert facts(folder)["lengthened"] == [{"at": 6, "from": 6, "to": 12, "learning_rate": "anew"}]


def test_a_run_is_lengthened_twice_and_on_its_way(ended, tmp_path, pretrain):
    twice = tmp_path / "twice"
    shutil.copytree(ended, twice)
    for steps in (8, 10):
        pretrain(f"resume={twice}", "trainer.max_steps=+2", small=False)
        assert json.loads((twice / "metrics.json").read_text())["steps"] == steps
    assert len(facts(twice)["lengthened"]) == 2 and (twice / "exports" / "step-00000008").is_dir()
    on_its_way = tmp_path / "way"
    assert in_child(lambda: pretrain(*RECIPE, folder=on_its_way), 5) == signal.SIGKILL
    with pytest.raises(Refused, match=r"has done 4 of 6 steps; let it finish with python train.py resume="):
        pretrain(f"resume={on_its_way}", "trainer.max_steps=+6", small=False)
    pretrain(f"resume={on_its_way}", "trainer.max_steps=12", small=False)
    assert facts(on_its_way)["lengthened"] == [{"at": 4, "from": 6, "to": 12, "learning_rate": "over all steps"}]
    lr = [float(next(row[k] for k in row if k.startswith("lr/"))) for row in rows(on_its_way)]
    peak = lr[0] / (1 - 0.5 / 6) * (1 - 0.05)
    assert lr[4] == pytest.approx(peak * (1 - 4.5 / 12) / 0.95)


@pytest.mark.parametrize("asked", ["3", "many", "+0", "-4"])
def test_what_is_no_lengthening_is_refused_and_leaves_the_run_as_it_was(asked, ended, pretrain):
    before = {path: path.stat().st_mtime_ns for path in ended.rglob("*") if path.is_file()}
    with pytest.raises(Refused, match=r"trainer\.max_steps"):
        from omegaconf import OmegaConf

        from maskwright.training.folder import resumed

        resumed(ended, OmegaConf.create(), [f"resume={ended}", f"trainer.max_steps={asked}"])
    assert {path: path.stat().st_mtime_ns for path in ended.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_checkpoint_is_begun_anew(tmp_path, pretrain):
    """Case 21: the value is mended and the same folder named again."""
    with pytest.raises(RecipeError):
        pretrain(*RECIPE, "schedule.warmup=100", folder=tmp_path)
    assert (tmp_path / "config.yaml").exists()
    pretrain(*RECIPE, folder=tmp_path)
    assert "warmup: 0.05" in (tmp_path / "config.yaml").read_text()
    with pytest.raises(RecipeError, match="already holds a run"):
        pretrain(*RECIPE, folder=tmp_path)


def test_auto_begins_goes_on_and_ends(tmp_path, pretrain, compose):
    """What a cluster's script repeats until it is done: one command with a folder of its own."""
    from maskwright.training.run import pretrain as start

    def again(*more):
        cfg, choices = compose(*RECIPE, "resume=auto", *more)
        return going_on(cfg, tmp_path / "run", [*RECIPE, "resume=auto", *more], multirun=False), choices

    assert again()[0].resume is None
    assert in_child(lambda: start(*again(), tmp_path / "run"), 3) == signal.SIGKILL
    cfg, choices = again("hardware.workers=0")
    assert cfg.resume == str(tmp_path / "run")
    with pytest.raises(Refused, match="holds a run that began with rate.end=0.15, and not with rate.end=0.2"):
        again("rate.end=0.2")
    start(cfg, choices, tmp_path / "run")
    with pytest.raises(AlreadyDone) as done:
        again()
    assert done.value.figures["steps"] == 6


def test_latest_is_the_newest_run_that_has_not_finished(tmp_path):
    states = {"a": "failed", "b": "running", "c": "finished", "d": "preempted", "e": "failed"}  # e: by a wrong word
    for number, (name, state) in enumerate(states.items()):
        (tmp_path / "day" / name).mkdir(parents=True)
        (tmp_path / "day" / name / "config.yaml").touch()
        (tmp_path / "day" / name / "status.json").write_text(json.dumps({"state": state, "started": number + 1}))
    assert fresh.latest(tmp_path) == tmp_path / "day" / "d"
    with RunFolder(tmp_path / "day" / "d").held():  # somebody works on it
        held = os.fork()
        if held == 0:
            os._exit(0 if fresh.latest(tmp_path) == tmp_path / "day" / "b" else 1)
        assert os.waitpid(held, 0)[1] == 0
    (tmp_path / "day" / "e" / "checkpoints").mkdir()
    (tmp_path / "day" / "e" / "checkpoints" / "step-00000002.ckpt").touch()  # e: by a full disk
    assert fresh.latest(tmp_path) == tmp_path / "day" / "e"
    assert fresh.latest(tmp_path / "nothing") is None


def test_runs_begun_at_once_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py"])
    wanted = str(tmp_path / "day" / "12-00-00")
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            fresh._claimed.clear()
            mine = fresh.run_folder(None, wanted)
            same = fresh.run_folder(None, wanted) == mine  # asked twice, a process gets one folder
            os._exit(0 if same and Path(mine).is_dir() else 1)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    names = {path.name for path in (tmp_path / "day").iterdir()}
    assert names == {"12-00-00", *(f"12-00-00-{number}" for number in range(2, 9))}
    monkeypatch.setattr("sys.argv", ["train.py", "--cfg", "hydra"])
    assert fresh.fresh_folder(str(tmp_path / "other")) == str(tmp_path / "other") and not (tmp_path / "other").exists()


def test_a_lengthened_run_is_no_longer_finished(tmp_path):
    with tracked_job(tmp_path):
        pass
    with pytest.raises(OSError), tracked_job(tmp_path) as job:
        job.reopen()
        assert json.loads((tmp_path / "status.json").read_text())["state"] == "running"
        raise OSError("lost")
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "failed"


def test_a_multirun_folder_is_no_run(tmp_path, pretrain):
    words = "{task: ['seed=1,2', 'masking=span'], hydra: [hydra/launcher=parallel]}"
    plan = f"hydra:\n  job: {{name: train}}\n  overrides: {words}\n"
    (tmp_path / "multirun.yaml").write_text(plan)
    said = f"python train.py -m seed=1,2 masking=span hydra/launcher=parallel hydra.sweep.dir={tmp_path}"
    with pytest.raises(Refused, match=re.escape(f"holds a multirun; restart it with: {said}")):
        pretrain(f"resume={tmp_path}", small=False)
