"""A run's folder: what it holds, how a run begins in it, and how one is resumed.

config.yaml    the whole recipe, resolved        run.json      what was chosen and measured at the start
metrics.csv    one row per logged step           metrics.json  the final figures
tokenizer/     as `save_pretrained` leaves it    start/        the shape of each network, for checkpoints without one
checkpoints/   step-<n>.ckpt                     export/       the trained network for transformers
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from maskwright.data.kept import KeptTokenizer, keep
from maskwright.errors import RecipeError, Refused
from maskwright.models import steps, unfinished
from maskwright.objectives import Objective
from maskwright.pasting import command, override
from maskwright.tracking.fresh import LOCK
from maskwright.tracking.jobs import read_status
from maskwright.tracking.restart import PLAN, is_free, restart_command
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text
from maskwright.training import checkpoints
from maskwright.training.lengthened import KEY, STEPS, lengthened, set_aside
from maskwright.training.moved import keep_moved, movable

_LEFT = ("tokenizer", "start", "exports")  # what a run writes before its first checkpoint


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config, self.facts = self.path / "config.yaml", self.path / "run.json"
        self.checkpoints, self.export = self.path / "checkpoints", self.path / "export"

    def begin(self, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        """Write config.yaml and which options were chosen. A run that never came to a checkpoint makes room.

        Raises Refused when another run lives here.
        """
        if self.config.exists() and self.has_come_far:
            raise Refused(
                f"{self.path} already holds a run; continue it with {command('train.py', resume=self.path)}, "
                "or choose another hydra.run.dir."
            )
        self.config.unlink(missing_ok=True)
        for left in _LEFT:
            shutil.rmtree(self.path / left, ignore_errors=True)
        self.record({"choices": dict(choices)})  # first: a folder with config.yaml can be resumed
        self.write(cfg)

    def write(self, cfg: DictConfig) -> None:
        """Write config.yaml."""
        write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(plain(cfg))))

    @property
    def has_come_far(self) -> bool:
        """Whether there is something to lose: a checkpoint, an export, or final figures."""
        left = (self.export, self.path / "metrics.json")
        return bool(steps.listed(self.checkpoints)) or any(path.exists() for path in left)

    @property
    def ended(self) -> bool:
        """Whether the run has come to its end."""
        facts, newest = self.recorded(), steps.newest(self.checkpoints)
        if facts is None or newest is None:
            return False
        return (self.path / "metrics.json").exists() or step_of(newest) >= facts["steps"]

    def record(self, facts: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_text(self.facts, json.dumps(facts, indent=1) + "\n")

    def choices(self) -> dict[str, str]:
        """Which option of each config group the run was begun with."""
        return json.loads(self.facts.read_text(encoding="utf-8"))["choices"]

    def recorded(self) -> dict[str, Any] | None:
        """run.json; None when the run was killed before it was whole."""
        facts = json.loads(self.facts.read_text(encoding="utf-8")) if self.facts.exists() else {}
        return facts if "hardware" in facts else None

    def describe(self, objective: Objective, tokenizer: Any) -> None:
        """Keep the tokenizer, and the shape of each network: a resume needs neither cache nor `model.init_from`."""
        keep(tokenizer, self.path)
        unfinished.describe(objective.exports(), _Holder(objective), tokenizer, self.path)

    def own_start(self, cfg: DictConfig) -> DictConfig:
        """The recipe to build from when the weights come from a checkpoint: `model.init_from` may be gone."""
        start = unfinished.start_of(self.path)
        gone = [key for key in ("model.init_from", "objective.generator_from") if OmegaConf.select(cfg, key)]
        if start is None or not gone:
            return cfg
        own = cfg.copy()
        for key in gone:
            OmegaConf.update(own, key, str(start if key.startswith("model") else start / "generator"))
        return own

    def recall_starts(self, objective: Objective) -> None:
        """Say of each network where its first weights came from."""
        if unfinished.start_of(self.path) is not None:
            unfinished.recall_starts(objective.exports(), self.path)

    def lengthens(self, cfg: DictConfig, facts: Mapping[str, Any], planned: int) -> bool:
        """Whether a resume asks for other steps than the run had, the `planned` ones in all."""
        saved = OmegaConf.load(self.config)
        asked, had = ([OmegaConf.select(node, key) for key in STEPS] for node in (cfg, saved))
        return planned != facts["steps"] or asked != had

    def go_on(
        self, cfg: DictConfig, facts: Mapping[str, Any], done: int, planned: int
    ) -> tuple[dict[str, Any], list[str]]:
        """Write down what a resume after `done` steps has changed: where files lie, and the `planned` steps in all.

        Returns what is new in run.json, and lines that say so.
        """
        saved = OmegaConf.load(self.config)
        assert isinstance(saved, DictConfig)
        more = self.lengthens(cfg, facts, planned)
        moved = keep_moved(saved, cfg)
        for key in STEPS if more else ():
            OmegaConf.update(saved, key, OmegaConf.select(cfg, key), merge=False)
        if moved or more:
            self.write(saved)
        if not more:
            return {}, []
        before, ended = facts["steps"], self.ended
        kept = set_aside(self.path, done) if ended else None
        change = {"at": done, "from": before, "to": planned, "learning_rate": "anew" if ended else "over all steps"}
        rate = "warms up and falls again over the added ones" if ended else "follows its schedule over all of them"
        lines = [f"lengthened from {before:,} to {planned:,} steps: the learning rate {rate}"]
        lines += [f"the network after step {done:,} is kept in {kept}"] if kept else []
        return {"steps": planned, "lengthened": [*facts.get("lengthened", ()), change]}, lines

    @contextmanager
    def held(self, patience: float = 15.0) -> Iterator[None]:
        """Keep other processes out while a run goes on here; the loaders of a killed one take some seconds to notice.

        Raises Refused when another process is still at work after `patience` seconds.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise Refused(f"A run is going on in {self.path}; wait for its end, or stop it first.") from None
        except NotImplementedError:  # a file system without locks
            yield
            return
        try:
            yield
        finally:
            (self.path / LOCK).unlink(missing_ok=True)
            lock.release()

    def clear(self) -> None:
        """Delete the halves of files that a killed process has left."""
        checkpoints.remove_torn(self.checkpoints)
        halves = [half for name in ("export", "tokenizer", "start") for half in self.path.glob(f".{name}.*")]
        for half in (*halves, *(self.path / "exports").glob(".step-*")):
            shutil.rmtree(half, ignore_errors=True)


class _Holder(nn.Module):
    """Names weights as `Pretraining`'s checkpoints do."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective


def resumed(folder: str | Path, cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of the run in `folder`, with what may change taken from `cfg`: how it is run and shown, where its
    files lie, and more steps.

    Raises Refused when there is no run, or when `overrides` (the command line) would change it.
    """
    run = RunFolder(folder)
    if not run.config.exists():
        raise Refused(_no_run(run.path))
    saved = OmegaConf.load(run.config)
    assert isinstance(saved, DictConfig)
    asked_steps = None
    for word in overrides:
        name, _, value = word.lstrip("+~").partition("=")
        group, _, package = name.partition("@")
        key = package or group  # where in the config it lands
        if key == "resume":
            continue
        if key == KEY:
            asked_steps = value
            continue
        if is_free(key) or movable(key, OmegaConf.select(saved, key)):
            if key.split(".")[0] != "hydra":
                OmegaConf.update(saved, key, OmegaConf.select(cfg, key), merge=False)
        elif not _as_it_was(run, saved, cfg, group, key, value):
            raise Refused(
                f"resume continues a run as it began, and {word} would change it; leave it out, or start a new run "
                f"from its weights with: {_anew(run, overrides)}"
            )
    if asked_steps is not None:
        saved = _with_steps(run, saved, asked_steps)
    saved.resume = str(folder)
    return saved


def _with_steps(run: RunFolder, saved: DictConfig, text: str) -> DictConfig:
    facts, newest = run.recorded(), steps.newest(run.checkpoints)
    planned = facts["steps"] if facts else saved.trainer.max_steps
    done = step_of(newest) if newest else 0
    return lengthened(saved, run.path, text, planned, done, run.ended)


def _no_run(path: Path) -> str:
    word = override("resume", path)
    if (path / PLAN).exists():
        return f"{word} holds a multirun; restart it with: {restart_command(path)}"
    return f"{word} holds no run (no config.yaml); name the folder that the run printed at its start."


def _anew(run: RunFolder, overrides: Sequence[str]) -> str:
    """The command of a new run that starts from the newest weights of this one."""
    began = read_status(run.path).get("overrides", [])
    changed = {_key(word): word for word in (*began, *overrides)}
    changed = {key: word for key, word in changed.items() if key not in ("resume", "model.init_from", KEY, "tokenizer")}
    words = [word for key, word in changed.items() if not key.startswith("tokenizer.")]
    kept: dict[str, str | Path] = {"tokenizer.path": run.path} if KeptTokenizer.there(run.path) else {}
    saved = ["tokenizer=saved"] if kept else []
    return command("train.py", *words, *saved, **kept, **{"model.init_from": run.path})


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The recipe as plain values, without what is Hydra's and without secrets."""
    found = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(found, dict)
    found.pop("hydra", None)
    return dict(without_secrets(found))


def _as_it_was(run: RunFolder, saved: DictConfig, cfg: DictConfig, group: str, key: str, value: str) -> bool:
    """Whether an override says what the run was begun with."""
    chosen = run.choices()
    if group in chosen or "/" in group:
        return str(chosen.get(group)) == {"null": "None"}.get(value, value)
    then, now = (OmegaConf.select(each, key) for each in (saved, cfg))
    return then == now and not isinstance(now, DictConfig)


def step_of(checkpoint: Path) -> int:
    """The optimizer steps that a checkpoint has done."""
    return int(checkpoint.stem.removeprefix("step-"))


def checkpoint_to_resume(run: RunFolder) -> Path | None:
    """The newest whole checkpoint; None when the run was killed before its first."""
    found = steps.newest(run.checkpoints)
    if found is None and steps.listed(run.checkpoints):
        raise RecipeError(
            f"No checkpoint in {run.checkpoints} is whole; restore one from a backup or start the run again."
        )
    return found
