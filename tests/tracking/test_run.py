"""A run's record: W&B without a prompt, one run through resumes, no rewound step, always closed."""

from __future__ import annotations

import json
import subprocess

import pytest

from maskwright.errors import RecipeError
from maskwright.tracking import loggers
from maskwright.tracking.loggers import FilesOnly, Memory, RunLogger, TensorBoard, Wandb
from maskwright.tracking.run import git_commit, record


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """Real offline W&B whose calls are written down, on a machine without a key."""
    import wandb as package

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("builtins.input", lambda *a: pytest.fail("W&B asked a question"))
    seen = {"log": [], "finish": [], "init": []}
    init, log, finish = package.init, package.Run.log, package.Run.finish

    def spy_init(**kwargs):
        settings = kwargs.pop("settings")
        seen["init"].append(kwargs)
        settings.x_disable_stats = settings.x_disable_meta = settings.disable_git = True
        return init(settings=settings, **kwargs)

    def spy_log(self, data, step=None, **kwargs):
        seen["log"].append((self.id, step, dict(data)))
        return log(self, data, step=step, **kwargs)

    def spy_finish(self, exit_code=None, **kwargs):
        seen["finish"].append((self.id, exit_code))
        return finish(self, exit_code=exit_code, **kwargs)

    monkeypatch.setattr(package, "init", spy_init)
    monkeypatch.setattr(package.Run, "log", spy_log)
    monkeypatch.setattr(package.Run, "finish", spy_finish)
    yield seen
    package.teardown()


def run(folder, first, last, step=None, recipe=None, **more):
    with record(recipe or Wandb(), folder, "bert_tiny mlm", {"seed": 1}, {}, step=step, **more) as kept:
        for at in range(first, last + 1):
            kept.log(at, {"loss": 1.0 / at})
    return kept


def test_wandb_is_offline_without_a_key_and_a_resumed_run_never_rewinds(tmp_path, wandb):
    folder = tmp_path / "a"
    run(folder, 1, 7, group="study")
    run(folder, 5, 6, step=4)  # killed at 7, the checkpoint was at 4; killed again at 6
    run(folder, 5, 9, step=4)
    first, *others = wandb["init"]
    assert all(i["mode"] == "offline" for i in wandb["init"])
    assert all((i["id"], i["group"]) == (first["id"], "study") for i in others)
    assert [step for _, step, _ in wandb["log"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [c for _, c in wandb["finish"]] == [0, 0, 0]
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, 10))


def test_killed_before_the_first_checkpoint_is_the_same_wandb_run_and_a_new_start_is_another(tmp_path, wandb):
    folder = tmp_path / "a"
    run(folder, 1, 3)
    run(folder, 1, 5, step=0)
    assert wandb["init"][0]["id"] == wandb["init"][1]["id"]
    assert [step for _, step, _ in wandb["log"]] == [1, 2, 3, 4, 5]
    run(folder, 1, 2)
    assert wandb["init"][2]["id"] != wandb["init"][0]["id"]
    assert [step for _, step, _ in wandb["log"]][5:] == [1, 2]
    assert (folder / "metrics.csv").read_text() == "step,loss\n1,1.0\n2,0.5\n"


def test_the_address_of_an_online_run_stays_in_its_folder(tmp_path):
    memory = Memory(tmp_path / "wandb.json")
    memory.keep("a1", None, -1, ())
    memory.found("https://w/x")
    Memory(tmp_path / "wandb.json").keep("a1", None, 3, ["loss"])
    kept = json.loads((tmp_path / "wandb.json").read_text())
    assert kept == {"id": "a1", "group": None, "logged": 3, "names": ["loss"], "url": "https://w/x"}


def test_wandb_keeps_the_best_value_of_a_figure_beside_the_last(tmp_path, wandb, monkeypatch):
    import wandb as package

    summaries = []
    finish = package.Run.finish

    def spy_finish(self, exit_code=None, **kwargs):
        summaries.append({name: self.summary.get(name) for name in ("ruler/loss", "ruler/accuracy", "rate", "steps")})
        return finish(self, exit_code=exit_code, **kwargs)

    monkeypatch.setattr(package.Run, "finish", spy_finish)
    with record(Wandb(), tmp_path, "a", {}, {}) as kept:
        for step, (loss, accuracy) in enumerate([(3.0, 0.1), (2.0, 0.3), (2.5, 0.2)], 1):
            kept.log(step, {"ruler/loss": loss, "ruler/accuracy": accuracy, "rate": 0.1 * step})
        kept.log(4, {"rate": 0.5})  # W&B takes a row in when the next one begins
        kept.finish({"ruler/loss": 2.5, "ruler/accuracy": 0.2, "steps": 3})
    (summary,) = [{n: dict(v) if hasattr(v, "keys") else v for n, v in s.items()} for s in summaries]
    assert summary["ruler/loss"] == {"min": 2.0, "last": 2.5}
    assert summary["ruler/accuracy"] == {"max": 0.3, "last": 0.2}
    assert summary["steps"] == 3


def test_what_a_killed_validation_did_not_say_reaches_wandb_after_the_resume(tmp_path, wandb):
    def part(steps, validated, step=None):
        with record(Wandb(), tmp_path, "a", {}, {}, step=step) as kept:
            for at in steps:
                kept.log(at, {"loss": 1.0 / at})
                if at == 3 and validated:
                    kept.log(at, {"ruler/loss": 5.0})
                    kept.table("fill_ins", ["text"], [["a"]], at)

    part([1, 2, 3], validated=False)  # killed in the validation after step 3, the checkpoint was at 2
    part([3, 4], validated=True, step=2)
    part([3, 4, 5], validated=True, step=2)
    seen = [(step, *values) for _, step, values in wandb["log"]]
    assert seen == [(1, "loss"), (2, "loss"), (3, "loss"), (3, "ruler/loss"), (3, "fill_ins"), (4, "loss"), (5, "loss")]


def test_a_failed_run_is_closed_as_failed_and_the_next_is_its_own(tmp_path, wandb):
    with pytest.raises(RuntimeError), record(Wandb(), tmp_path / "a", "a", {}, {}):
        raise RuntimeError("lost")
    run(tmp_path / "b", 1, 1)
    assert [c for _, c in wandb["finish"]] == [1, 0]
    assert wandb["finish"][0][0] != wandb["finish"][1][0]


def test_wandb_gets_recipe_and_facts_but_no_secret(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    config = {"seed": 1, "data": {"url": "x?k=very-secret-value"}}
    with record(Wandb(tags=["t"]), tmp_path, "a", config, {"git": "abc"}):
        pass
    (init,) = wandb["init"]
    assert init["config"] == {"seed": 1, "data": {"url": "x?k=***"}, "facts": {"git": "abc"}} and init["tags"] == ["t"]
    assert not any(b"very-secret-value" in f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())


def test_online_without_a_key_is_refused_in_one_sentence(tmp_path, wandb):
    with pytest.raises(RecipeError, match=r"logger\.mode=online needs a key: run `wandb login` once"):
        run(tmp_path, 1, 1, recipe=Wandb(mode="online"))
    with pytest.raises(RecipeError, match=r"logger\.mode is 'on'"):
        Wandb(mode="on")


def test_metrics_json_and_tables(tmp_path):
    with record(FilesOnly(), tmp_path, "a", {}, {}) as kept:
        kept.table("fill_ins", ["text", "guess"], [["a|b", "c"]], 20)
        kept.finish({"ruler/loss": None, "ruler/loss/reason": "causal", "loss": float("nan"), "steps": 3})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "ruler/loss": None, "ruler/loss/reason": "causal", "loss": None, "steps": 3,
    }  # fmt: skip
    assert (tmp_path / "fill_ins" / "step-00000020.md").read_text().endswith("| a\\|b | c |\n")


def test_other_ranks_write_nothing(tmp_path):
    with record(FilesOnly(), tmp_path / "x", "a", {}, {}, rank=1) as kept:
        kept.log(1, {"loss": 1.0})
        kept.table("t", ["a"], [["b"]], 1)
        kept.finish({"steps": 1})
    assert kept.loggers == [] and not (tmp_path / "x").exists()


def test_tensorboard_hides_the_steps_taken_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(tmp_path, 1, 7, recipe=TensorBoard())
    run(tmp_path, 5, 8, step=4, recipe=TensorBoard())
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_every_logger_is_closed_also_when_one_is_interrupted(tmp_path):
    closed = []

    class Probe(RunLogger):
        def log_metrics(self, metrics, step=None):
            pass

        def close(self, exit_code):
            closed.append(exit_code)

    class Recipe:
        def open(self, facts):
            return [Probe(facts.folder)]

    for error, code in ((KeyboardInterrupt(), 1), (SystemExit(0), 0), (SystemExit(3), 3)):
        with pytest.raises(type(error)), record(Recipe(), tmp_path, "a", {}, {}):
            raise error
        assert closed.pop() == code


def test_git_commit_is_of_the_source_alone(tmp_path):
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.py").touch()
    for words in (["init", "-q"], ["add", "kept"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "site-packages").mkdir()  # a virtual environment inside somebody's own repository
    (tmp_path / "site-packages" / "b.py").touch()
    assert git_commit(tmp_path / "site-packages") is None
    commit = git_commit(tmp_path / "kept")
    assert commit and len(commit) == 40
    (tmp_path / "kept" / "a.py").write_text("a = 1")
    assert git_commit(tmp_path / "kept") == commit + "+changes"
    assert loggers.FilesOnly().open(None) == []
