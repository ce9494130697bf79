"""compare.py as a user meets it, on runs that train.py's own code left."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskwright.comparison.command import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = sorted(
    {
        command.strip()
        for page in PAGES
        for command in re.findall(r"(?:^ {4}|`)(python compare\.py [^`#\n]*)", page.read_text(), re.MULTILINE)
    }
)


@pytest.fixture(scope="module")
def multirun(compose, tmp_path_factory):
    """Eight real runs, one of which failed, and one that was killed; as a multirun leaves them."""
    from maskwright.errors import RecipeError
    from maskwright.tracking.jobs import tracked_job
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("multirun") / "study"
    jobs = [(masking, lr, seed) for masking in ("random", "span") for lr in (0.01, 0.02) for seed in (1, 2)]
    for number, (masking, lr, seed) in enumerate(jobs):
        words = [f"masking={masking}", f"optimizer.lr={lr}", f"seed={seed}"]
        job = folder / str(number)
        with tracked_job(job):
            pretrain(*compose(*words, "trainer.max_steps=4", "trainer.validate_every=2"), job)
        status = json.loads((job / "status.json").read_text())
        (job / "status.json").write_text(json.dumps(status | {"overrides": words}))
    with pytest.raises(RecipeError), tracked_job(folder / "8"):
        pretrain(*compose("masking=span", "rate.value=1.5"), folder / "8")
    status = json.loads((folder / "8" / "status.json").read_text())
    (folder / "8" / "status.json").write_text(
        json.dumps(status | {"overrides": ["masking=span", "rate.value=1.5", "seed=1"]})
    )
    (folder / "7" / "metrics.json").unlink()
    status = json.loads((folder / "7" / "status.json").read_text())
    (folder / "7" / "status.json").write_text(json.dumps(status | {"state": "running"}))
    return folder


def test_a_real_multirun(multirun, capsys, tmp_path):
    assert main([str(multirun), "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "9 runs (7 finished, 1 unfinished, 1 failed), 5 arms, by ruler/loss (lower is better)" in said
    assert "rate.value is 1.5; a masking rate lies between 0 and 1." in said and "it came to step 4 of 4" in said
    assert (
        f"python train.py resume={multirun / '7'}" in said and "W&B: WANDB_MODE is offline, so nothing is sent" in said
    )
    report = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert report["columns"] == ["masking", "optimizer.lr", "rate.value"]
    arms = {arm["arm"]: arm for arm in report["arms"]}
    metrics = [json.loads((multirun / str(number) / "metrics.json").read_text()) for number in (0, 1)]
    arm = arms["masking=random optimizer.lr=0.01 rate.value=0.3"]
    assert arm["mean"] == pytest.approx(sum(one["ruler/loss"] for one in metrics) / 2)
    assert arm["masked"]["sentence"] == "mlm, random 30%, on text"
    assert 0.2 < arm["masked"]["achieved"][""][2] < 0.4
    assert arm["costs"]["seconds"] == pytest.approx(sum(one["seconds"] for one in metrics) / 2)
    curve = [row for row in (tmp_path / "out" / "curves.csv").read_text().splitlines() if row.startswith("0,")]
    assert len(curve) == 2
    seconds = float(curve[-1].split(",")[-2])
    assert seconds == pytest.approx(metrics[0]["seconds"], rel=0.05)


def test_tuned_and_against_a_baseline(multirun, capsys, tmp_path):
    words = [
        str(multirun),
        "--tune",
        "optimizer.lr",
        "--baseline",
        "masking=random",
        "--spread",
        "pooled",
        "--out",
        str(tmp_path),
    ]
    assert main([*words, "--metric", "ruler/accuracy", "--alpha", "0.1", "--power", "0.9", "--wandb", "off"]) == 0
    report = json.loads((tmp_path / "comparison.json").read_text())
    assert report["options"] | {"tune": None} == {
        "metric": "ruler/accuracy", "better": None, "tune": None, "baseline": "masking=random", "ignore": [],
        "alpha": 0.1, "power": 0.9, "spread": "pooled",
    }  # fmt: skip
    assert {pair["a"] for pair in report["pairs"]} == {"masking=random rate.value=0.3"}
    said = capsys.readouterr().out
    assert "W&B: off, nothing is sent" in said and "90 % interval" in said


def test_the_report_lands_beside_the_multirun_and_can_be_made_again(multirun, capsys):
    for _ in range(2):
        assert main([str(multirun)]) == 0
    assert (multirun / "comparison" / "index.html").exists()
    assert "9 runs (" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not a folder; name a multirun's folder or the folders of runs."),
        (["{runs}", "--alpha", "2"], "--alpha is 2.0; it lies between 0 and 1."),
        (["{runs}", "--metric", "x/y"], "no finished run has x/y; choose --metric from"),
        (["{runs}", "--tune", "seed"], "--tune seed: the runs do not differ in it; they differ in masking,"),
        (["{runs}", "--baseline", "masking=pmi"], "--baseline 'masking=pmi' fits no arm; the arms are:"),
        (["{runs}", "--metric", "speed/mfu"], None),
        (["{runs}", "--metric", "speed/masking_share"], "add --better lower or --better higher."),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(multirun, tmp_path, capsys, words, said):
    words = [word.format(runs=multirun) for word in words]
    assert main([*words, "--out", str(tmp_path / "out")]) == (0 if said is None else 2)
    err = capsys.readouterr().err
    assert (err == "") if said is None else (err.startswith("error: ") and said in err and err.count("\n") == 1)


def test_a_folder_that_cannot_be_written_is_one_sentence(multirun, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(multirun), "--out", str(tmp_path / "file" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_help_is_quick_and_the_entry_imports_nothing_heavy():
    began = time.perf_counter()
    out = subprocess.run(
        [sys.executable, "compare.py", "--help"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout
    assert time.perf_counter() - began < 5 and "python compare.py outputs/multirun/" in out
    code = "import sys, compare; print([m for m in ('torch', 'pandas', 'plotly', 'scipy') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize("command", SHOWN)
def test_a_shown_command_runs(command, multirun, tmp_path, monkeypatch, capsys):
    words = shlex.split(command)[2:]
    runs = iter([str(multirun / "0"), str(multirun / "4"), str(multirun / "2")])
    replaced = [
        str(multirun)
        if word.startswith("outputs/multirun/") or word == "<multirun folder>"
        else next(runs)
        if word == "<run>"
        else "ruler/loss"  # these runs have no evaluations
        if word.startswith("evaluation/")
        else word
        for word in [*shlex.split(command.replace("<multirun folder>", "'<multirun folder>'"))[2:]]
    ]
    monkeypatch.chdir(tmp_path)
    os.environ["COLUMNS"] = "100"
    assert main(replaced) == 0, capsys.readouterr().err
    assert words and "written" in capsys.readouterr().out


def test_the_pages_show_commands():
    assert len(SHOWN) >= 4
