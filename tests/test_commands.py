"""Every command that README and docs show: composed as written, and run in small unless it needs what a test has
not."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = [
    (page.name, match.strip())
    for page in PAGES
    for match in re.findall(
        r"(?:^ {4}|`)(python (?:train|show_masks|annotate)\.py[^`#\n]*)", page.read_text(), re.MULTILINE
    )
]


def shown(script: str, experiments: bool = False) -> list[str]:
    """The commands of a script, with presets or without."""
    commands = dict.fromkeys(command for _, command in SHOWN if command.startswith(f"python {script}.py"))
    return [
        word for word in commands if "--help" not in word and "<" not in word and ("experiment=" in word) == experiments
    ]


SCRIPTS = ("train", "show_masks", "annotate")
NOT_RUN = {
    "data=hub": "needs the network",
    "hardware=ddp": "needs several devices",
    "_base": "takes long",
    "bebeshka": "takes long",
}


def words(command: str) -> list[str]:
    """The overrides of the first job that a command starts."""
    overrides = [word for word in shlex.split(command)[2:] if word != "-m" and not word.startswith("hydra")]
    return [first_of(word) for word in overrides]


def first_of(word: str) -> str:
    """The first value of a sweep; anything else as it stands."""
    if "interval" in word:
        return re.sub(r"=interval\(([^,]*),.*", r"=\1", word)
    override = OverridesParser.create().parse_override(word)
    return f"{override.key_or_group}={next(override.sweep_string_iterator())}" if override.is_sweep_override() else word


@pytest.fixture(scope="module")
def finished(tmp_path_factory, compose):
    """A finished small run, for commands that go on from one."""
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("finished")
    pretrain(*compose("trainer.max_steps=2"), folder)
    return folder


@pytest.mark.parametrize("command", shown("train"))
def test_a_shown_command_runs(command, compose, pretrain, finished, small_text, tmp_path):
    overrides = [re.sub(r"outputs/[\d-]+/[\d-]+", str(finished), word) for word in words(command)]
    reason = next((why for part, why in NOT_RUN.items() if part in command), None)
    weights = tmp_path / "weights.json"
    weights.write_text('{"the": 0.5}')
    replaced = {
        "data.files": f"data.files={small_text}",
        "masking.weight.file": f"masking.weight.file={weights}",
        "data.text_column": "data.text_column=text",
    }
    overrides = [replaced.get(word.split("=")[0], word) for word in overrides]
    if reason:
        from maskwright.training.recipe import assemble

        assemble(*compose(*overrides, small=False))
        return
    if any(word.startswith("resume=") for word in overrides):
        assert pretrain(*overrides, small=False)["steps"] == 2
        return
    smaller = ["trainer.max_steps=2", "trainer.max_epochs=null", "trainer.max_time=null"]
    if any(word.startswith("model=") or "small" in word for word in overrides):
        smaller += [
            "model.config.hidden_size=16",
            "model.config.num_attention_heads=2",
            "model.config.num_hidden_layers=1",
        ]
    overrides = [word.replace("from: 0.9", "from: 0.5") for word in overrides]  # of two steps
    if any("data.document" in word for word in overrides):
        overrides = [word for word in overrides if "data.document" not in word]
    assert pretrain(*overrides, *smaller, "logger=csv", folder=tmp_path / "run")["steps"] == 2


@pytest.mark.parametrize("command", [word for script in SCRIPTS for word in shown(script, experiments=True)])
def test_a_shown_preset_composes(command, compose):
    """tests/test_presets.py runs every preset; here it is the command as written that counts."""
    _, choices = compose(*(word for word in words(command) if "?" not in word), small=False)
    assert choices["experiment"] in command


@pytest.mark.parametrize("command", [word for script in ("show_masks", "annotate") for word in shown(script)])
def test_a_shown_look_runs(command, compose, tmp_path, monkeypatch):
    from maskwright.seeing.annotations.command import annotate
    from maskwright.seeing.command import show
    from maskwright.seeing.recipes import swept

    monkeypatch.chdir(tmp_path)
    script = command.split()[1].removesuffix(".py")
    overrides = swept(shlex.split(command)[2:])
    cfg, choices = compose(*overrides, config=script)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):  # as it is under the entry
        told = annotate(cfg, choices) if script == "annotate" else show(cfg, choices, overrides=overrides)
    assert told["artefacts"] if script == "annotate" else told.get("policies") or told["views"]
    html = re.search(r"show.html=(\S+)", command)
    assert html is None or (tmp_path / html[1]).stat().st_size > 20_000


def test_the_pages_show_commands():
    assert len(shown("train")) > 25 and len(shown("train", experiments=True)) > 25
    assert len(shown("show_masks")) > 3 and len(shown("annotate")) > 1


@pytest.fixture
def start(small_options):
    """`start("train.py", "a=b")`: the real entry point in a process of its own, as a user starts it."""

    def popen(*words: str) -> subprocess.Popen[str]:
        flags = [word for word in words if word.startswith("-")]
        rest = [word for word in words[1:] if not word.startswith("-")]
        command = [sys.executable, words[0], *flags, *small_options, *rest]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return popen


def test_sigterm_saves_and_exits_cleanly_and_the_run_goes_on(start, tmp_path):
    folder = tmp_path / "run"
    process = start("train.py", f"hydra.run.dir={folder}", "trainer.max_steps=100000", "checkpoint.every=100000")
    until = time.time() + 120
    while time.time() < until and not (
        (folder / "metrics.csv").exists() and (folder / "metrics.csv").read_text().count("\n") > 5
    ):
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert f"go on with: python train.py resume={folder}" in " ".join(out.split())
    saved = list((folder / "checkpoints").glob("step-*.ckpt"))
    assert len(saved) == 1
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert int(rows[-1].split(",")[0]) == int(saved[0].stem.removeprefix("step-"))


def test_a_multirun_marks_the_job_that_failed_and_goes_on(start, tmp_path):
    process = start("train.py", "-m", f"hydra.sweep.dir={tmp_path}", "trainer.max_steps=2", "rate.value=0.2,1.5,0.3")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1
    import json

    states = [json.loads((tmp_path / str(job) / "status.json").read_text()) for job in range(3)]
    assert [state["state"] for state in states] == ["finished", "failed", "finished"]
    assert states[1]["error"] == "rate.value is 1.5; a masking rate lies between 0 and 1."
    assert ("rate.value=1.5" in states[1]["command"] and "1 of 3" in out + err) or "failed" in out
    for job in (0, 2):
        assert json.loads((tmp_path / str(job) / "metrics.json").read_text())["steps"] == 2


def test_a_mistake_is_one_sentence_and_status_2(start, tmp_path):
    process = start("train.py", f"hydra.run.dir={tmp_path}", "rate.value=1.5")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.strip().splitlines()[-1] == "error: rate.value is 1.5; a masking rate lies between 0 and 1."
    assert "Traceback" not in err


def test_help_is_quick_and_names_every_group():
    began = time.perf_counter()
    out = subprocess.run(
        [sys.executable, "train.py", "--help"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout
    assert time.perf_counter() - began < 10  # about 1 s on an idle machine
    for group in ("objective", "masking", "rate", "corruption", "model", "data", "hardware", "experiment"):
        assert f"\n{group}: " in out
    assert "python train.py objective=electra masking=span" in out


def test_the_entry_point_imports_nothing_heavy():
    code = "import sys, train; print([m for m in ('torch', 'lightning', 'transformers') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert out.strip() == "[]"
