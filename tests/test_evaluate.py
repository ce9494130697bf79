"""evaluate.py as a user starts it: quick help, results where they belong, one sentence for every mistake, W&B."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

ROOT = Path(__file__).parents[1]


def command(*words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "evaluate.py", *words], cwd=ROOT, text=True, capture_output=True, **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory, compose) -> Path:
    """A finished small run, which logged to W&B offline."""
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("finished") / "run"
    pretrain(*compose("model=bert_tiny", "trainer.max_steps=2", "logger=wandb"), folder)
    return folder


@pytest.fixture(scope="module")
def cloze(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("data") / "cloze.jsonl"
    path.write_text(json.dumps({"text": "the people of the [MASK] states", "target": "united"}))
    return f"evaluation.source.files={path}"


def test_help_is_quick_and_lists_the_suites():
    began = time.perf_counter()
    out = command("--help").stdout
    assert time.perf_counter() - began < 10  # about 1 s on an idle machine
    suites = sorted(path.stem for path in (ROOT / "conf" / "evaluation").glob("*.yaml"))
    assert f"evaluation: {', '.join(suites)}" in out and "likelihood" in suites


def test_the_entry_imports_nothing_heavy():
    code = "import sys, evaluate; print([m for m in ('torch', 'transformers', 'scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert out.strip() == "[]"


def test_results_stand_beside_their_run_and_wandb_gets_them(run, cloze):
    done = command(f"run={run}", "evaluation=fill", cloze, "name=first")
    assert done.returncode == 0, done.stderr
    document = json.loads((run / "evaluation" / "first" / "results.json").read_text())
    assert document["suite"] == "fill" and document["name"] == "first" and document["head"] == "mlm"
    assert document["figures"]["accuracy"] in (0.0, 1.0) and document["facts"]["blanks"] == 1
    assert document["settings"]["source"]["files"] == cloze.split("=", 1)[1] and document["precision"] == "32"
    assert f"figures in {run}/evaluation/first/results.json" in " ".join(done.stdout.split())
    assert "reciprocal rank" in done.stdout and "W&B offline: wandb sync --append" in done.stdout
    kept = json.loads((run / "wandb.json").read_text())
    folders = list((run / "wandb").glob(f"offline-run-*-{kept['id']}"))
    assert len(folders) == 2  # the training and the evaluation, one run of W&B
    assert any(b"first/accuracy" in file.read_bytes() for folder in folders for file in folder.glob("*.wandb"))


def test_another_folder_and_no_log(run, cloze, tmp_path):
    before = len(list((run / "wandb").iterdir()))
    done = command(f"run={run}/export", "evaluation=fill", cloze, f"hydra.run.dir={tmp_path}", "log=false")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results.json").exists() and len(list((run / "wandb").iterdir())) == before
    assert not (run / "evaluation" / "fill").exists()


def test_a_multirun_leaves_each_result_beside_its_run(run, cloze, tmp_path):
    import shutil

    shutil.copytree(run / "export", tmp_path / "model")
    words = ("-m", f"run={run},{tmp_path / 'model'}", "evaluation=fill", cloze, "log=false")
    done = command(*words, f"hydra.sweep.dir={tmp_path / 'sweep'}", "name=several")
    assert done.returncode == 0, done.stderr
    assert (run / "evaluation" / "several" / "results.json").exists()
    assert (tmp_path / "sweep" / "1" / "results.json").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "error: run is not set; name a run's folder, an export or a hub name, as in run=outputs/<day>/<time>."),
        (["run=./none"], "error: run is ./none, which does not exist; give a folder or a hub name."),
        (["run={run}", "evaluation=fill"], "error: evaluation.source.files: no data is named; set either "
         "evaluation.source.files (a file or a glob) or evaluation.source.path (a hub dataset)."),
        (["run={run}", "precision=8"], "error: hardware.precision is '8'; choose one of auto, 32, bf16."),
        (["run={run}", "positions=0"], "error: positions is 0; give a number of rows x tokens from 1 up, or null."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_status_2(words, sentence, run):
    done = command(*(word.format(run=run) for word in words))
    assert done.returncode == 2 and done.stderr.strip().splitlines()[-1] == sentence
    assert "Traceback" not in done.stderr


def test_tables_on_the_screen():
    from maskwright.evaluation.results import Result, Table, cell, show

    console = Console(record=True, width=80)
    facts = {"skipped": {"longer than 96 tokens": 1200}, "notes": ["read this"]}
    figures = {"a": 0.5, "b": None, "b/reason": "there is none"}
    show(Result(figures, [Table("title", ("name", "x"), [["one", 0.25], ["[two]", None]])], facts), console)
    text = console.export_text()
    for part in ("title", "0.2500", "[two]", "b: there is none", "skipped: 1,200 (longer than 96 tokens)", "read this"):
        assert part in text
    assert [cell(value) for value in (None, True, 1234, 0.5, 123.456, float("nan"), "x")] == [
        "-", "yes", "1,234", "0.5000", "123.5", "-", "x",
    ]  # fmt: skip


def test_what_is_no_number_is_null(tmp_path):
    from maskwright.evaluation.results import Result, write

    result = Result({"a": float("nan"), "b": 1.0, "c": None, "c/reason": "why"})
    write(tmp_path, result.plain())
    assert json.loads((tmp_path / "results.json").read_text())["figures"] == {
        "a": None,
        "b": 1.0,
        "c": None,
        "c/reason": "why",
    }
    assert result.numbers() == {"b": 1.0}


PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^ {4}(python (?:evaluate|train)\.py[^#\n]*)", PAGE, re.MULTILINE)
OTHERS = [
    line
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for line in re.findall(r"(?:^ {4}|`)(python evaluate\.py[^#\n`]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    if line not in SHOWN
]


@pytest.mark.parametrize("line", [*SHOWN, *dict.fromkeys(OTHERS)])
def test_a_shown_command_composes_and_builds(line, compose):
    from maskwright.training.evaluating import suites_of
    from maskwright.config.build import build

    given = {"<run>": "a/run", ",<another run>": "", "<file>": "a.jsonl", "<n>": "5"}
    words = [
        word for word in shlex.split(re.sub("|".join(given), lambda found: given[found[0]], line))[2:] if word != "-m"
    ]
    config = "evaluate" if "evaluate.py" in line else "train"
    cfg, _ = compose(*words, small=False, config=config)
    suites = [build(cfg, "evaluation")] if config == "evaluate" else list(suites_of(cfg).values())
    assert suites and all(suite.name for suite in suites)


def test_the_page_shows_every_suite():
    shown = {word.split("=")[1] for line in SHOWN for word in shlex.split(line) if word.startswith("evaluation=")}
    assert shown | {"ruler"} == {path.stem for path in (ROOT / "conf" / "evaluation").glob("*.yaml")}


def test_progress_on_a_terminal_in_a_log_and_nowhere(monkeypatch):
    from maskwright.evaluation import tools

    def said(terminal: bool) -> str:
        console = Console(record=True, width=80, force_terminal=terminal)
        with tools.Tools(console=console).progress("fill", 4) as advance:
            for _ in range(4):
                advance(1)
        return console.export_text()

    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(tools.time, "perf_counter", lambda: float(next(now)))
    assert said(False) == "fill 50 %  40 s left\nfill 100 %  0 s left\n"  # a line every 30 s, and a step takes 20
    monkeypatch.undo()
    assert "fill" in said(True)
    with tools.Tools().progress("fill", 4) as advance:
        advance(4)
