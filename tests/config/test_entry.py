"""What stands on the command line and cannot be composed or built ends in one sentence, in every entry."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.fuzz import ROOT, meet

RATES = "ascending, bebeshka, beta, by_cue, by_entity, by_gender, by_metadata, by_stratum, constant, constant_15, "
RATES += "constant_20, constant_40 and 10 more"
TABLE = {
    ("rate=0.15",): f"rate=0.15 names no option; did you mean rate.value=0.15? The options of rate are {RATES}.",
    ("objective=elctra",): "objective=elctra names no option; did you mean objective=electra?",
    ("maskng=span",): "maskng is no setting; did you mean masking?",
    ("cleaning=null",): "cleaning=null names no option; take the group out with ~cleaning, or choose an option.",
    ("~corruption",): "corruption is not set; choose one of its options, as in corruption=<option>.",
    ("~seed",): "seed is not set; leave it in the recipe, as in seed=<value>.",
    ("~nothing",): "~nothing takes nothing out, since the recipe has no nothing; leave it out.",
    ("trainer=5",): "trainer is 5; it holds settings, as in trainer.max_steps=<value>.",
    ("trainer.max_steps=???",): "trainer.max_steps has no value (???); give it one, as in trainer.max_steps=<value>.",
    ("trainer.max_stepz=5",): "trainer.max_stepz is no setting; did you mean trainer.max_steps?",
    ("+trainer.max_stepz=5",): "trainer.max_stepz is no setting; did you mean trainer.max_steps?",
    ("+optimizer.learning_rate=1",): None,
    ("+rate.start=0.3",): "rate.start is no setting of Constant; there is value.",
    ("rate.start=0.3",): "rate.start is no setting of the options chosen; it belongs to rate=ascending, rate=cosine, "
    "rate=linear, rate=quadratic, rate=step, rate=valley and 1 more.",
    ("+foo=bar",): "foo is no setting; leave it out.",
    ("+views.second.rate.value=0.3",): "views.second is read by no part of this objective; there is main.",
    ("seed=abc",): "seed is 'abc'; give a whole number.",
    ("seed=???",): "seed has no value (???); give it one, as in seed=<value>.",
    ("trainer.max_time=5",): "trainer.max_time is 5; give a time with its unit, such as 45m, 8h or 1d12h, or null.",
    ("early_stopping=ruler/loss",): "early_stopping is 'ruler/loss'; it holds settings, as in "
    "early_stopping.figure=<value>.",
    ("seed=",): "seed is ''; give a whole number.",
    ("seed=null",): "seed is null; give a whole number.",
    ("seeds.masks=2.5",): "seeds.masks is 2.5; give a whole number.",
    ("seed=1e400",): "seed is inf; give a whole number.",
    ("rate.value=nan",): "rate.value is nan; give a number.",
    ("rate.value=true",): "rate.value is true; give a number.",
    ("checkpoint.keep=[1,2]",): "checkpoint.keep is [1, 2]; give a whole number from 0 up.",
    ("seed=1,2",): "seed=1,2 gives several values; add -m for a run with each, or write one list as seed='[1,2]' or "
    "one text as seed=\"'1,2'\".",
    ("seed=${nowhere}",): None,
    ("seed=${seed}",): None,
    ("a=b=c",): "a=b=c cannot be read; close brackets and quotes, and put a value with special signs in two pairs of "
    "quotes, as in \"name='a=b'\".",
    ("masking=[random,span]",): "masking/budget is chosen more than once; choose one option of each group.",
    ("rate._target_=os.system",): "rate._target_ is 'os.system', which no config may call; give the dotted name of a "
    "class.",
    ("rate._target_=subprocess.Popen",): None,
    ("rate._target_=maskwright.masking.Nothing",): "rate._target_ is 'maskwright.masking.Nothing', which cannot be "
    "imported; give the dotted name of a class.",
    ("rate._target_=maskwright.masking.units.Tokens",): None,
    ("+rate._args_=[1]",): "rate._args_ is no setting of Constant; there is value.",
    ("hydra.run.dirr=a",): "hydra.run.dirr is no setting of Hydra; --cfg hydra shows what there is.",
}  # fmt: skip


@pytest.mark.parametrize("words", TABLE, ids=" ".join)
def test_a_wrong_word_is_one_sentence(words):
    said = meet("train", list(words))
    assert said is not None and "\n" not in said and len(said) < 400
    if TABLE[words] is not None:
        assert said == TABLE[words]


def test_a_word_may_refer_to_another_setting():
    assert meet("train", ["batch.rows=${seed}", "seed=3"]) is None


def run(*words, script="train.py", folder):
    environment = {**os.environ, "HYDRA_FULL_ERROR": "0"}
    return subprocess.run(
        [sys.executable, str(ROOT / script), *words], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        ("train.py", ["rate=0.15"], TABLE[("rate=0.15",)]),
        ("train.py", ["-m", "seed=1", "objective=mlm,elctra"], TABLE[("objective=elctra",)]),
        ("train.py", ["--multirn"], "--multirn is no option; did you mean --multirun?"),
        ("train.py", ["hydra.run.dir=/dev/null/a"], None),
        ("evaluate.py", ["evaluation=rular"], "evaluation=rular names no option; did you mean evaluation=ruler?"),
        ("evaluate.py", ["run=[1]"], "run is [1]; give a text or null."),
        ("show_masks.py", ["show.rows=x"], "show.rows is 'x'; give a whole number from 1 up."),
        ("annotate.py", ["annotate.rows=[1", "--json"], None),
        ("compare.py", ["nothing", "--power", "much"], "--power is 'much'; give a number."),
        ("compare.py", ["nothing", "--powr", "1"], "--powr is no option; did you mean --power?"),
    ],
)
def test_the_scripts_end_with_status_2(script, words, message, tmp_path):
    done = run(*words, script=script, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message is None or done.stderr == f"error: {message}\n"


def test_a_reference_on_the_command_line_reaches_the_run(tmp_path):
    done = run("--cfg", "job", "--resolve", "batch.rows=${seed}", folder=tmp_path)
    assert done.returncode == 0 and "rows: 1" in done.stdout


@pytest.mark.parametrize("script", ["train.py", "show_masks.py", "annotate.py"])
def test_every_script_composes_what_asks_a_checkpoint(script, tmp_path):
    preset = ["experiment=domain_adaptation", "model.init_from=nowhere"]
    done = run("--cfg", "job", "--resolve", *preset, script=script, folder=tmp_path)
    assert done.returncode == 0 and "length: 128" in done.stdout
