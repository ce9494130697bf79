"""Loggers: metrics.csv always, and what `logger=` adds to it (wandb, tensorboard, or nothing)."""

from __future__ import annotations

import json
import math
import os
import shlex
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch.loggers import Logger

from maskwright.errors import RecipeError
from maskwright.tracking.direction import less_is_better
from maskwright.tracking.metrics_file import MetricsFile
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text

TOTALS = ("flops", "seconds")  # they only grow: their least value tells nothing


@dataclass
class RunFacts:
    """What a logger may know of a run before it starts.

    name: readable, from the recipe. group: the multirun it belongs to, or None. step: optimizer steps that a resumed
    run has already done (0 when killed before its first checkpoint), None for a new run. config: the resolved recipe,
    plain values. facts: git commit, fingerprints, parameter count ...
    """

    name: str
    folder: Path
    group: str | None = None
    step: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class LoggerRecipe(Protocol):
    """What `conf/logger/*.yaml` builds."""

    def open(self, run: RunFacts) -> list[RunLogger]: ...


class RunLogger(Logger):
    """A Lightning logger that also takes tables and the final figures, and is closed once, by the run."""

    where: str = ""  # one line for the screen: where the numbers can be seen

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """The recipe is recorded when the logger opens."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table, where the logger has tables."""

    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Log the final figures, where the logger has a place for them."""

    def close(self, exit_code: int) -> None:
        """End the run; exit_code 0 says that it went well."""


class FileLogger(RunLogger):
    """Writes metrics.csv."""

    def __init__(self, file: MetricsFile) -> None:
        super().__init__(file.path.parent)
        self.file = file

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        # Lightning adds "epoch" to what `self.log` sends; a run here is counted in steps alone
        self.file.append(int(step or 0), {k: v for k, v in metrics.items() if k != "epoch"})


class FilesOnly:
    """`logger=csv` and `logger=none`: nothing but the files that every run leaves."""

    def open(self, run: RunFacts) -> list[RunLogger]:
        return []


class TensorBoard:
    """`logger=tensorboard`: event files in the run's folder; a resumed run hides the steps it takes back."""

    def __init__(self, folder: str = "tensorboard") -> None:
        if not folder:
            raise RecipeError("logger.folder is empty; name the folder for event files, such as tensorboard.")
        self.folder = folder

    def open(self, run: RunFacts) -> list[RunLogger]:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RecipeError("logger=tensorboard needs a package: pip install 'maskwright[tensorboard]'.") from error
        target = run.folder / self.folder
        writer = SummaryWriter(str(target), purge_step=None if run.step is None else run.step + 1)
        recipe = json.dumps(without_secrets(run.config), indent=2, default=str)
        writer.add_text("recipe", f"```json\n{recipe}\n```", run.step or 0)
        return [_TensorBoardLogger(run.folder, writer, target)]


class _TensorBoardLogger(RunLogger):
    def __init__(self, folder: Path, writer: Any, target: Path) -> None:
        super().__init__(folder)
        self.writer, self.where = writer, f"TensorBoard: tensorboard --logdir {shlex.quote(_short(target))}"

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        for name, value in _numbers(metrics).items():
            self.writer.add_scalar(name, value, step)

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        lines = [columns, ["---"] * len(columns), *rows]
        self.writer.add_text(name, "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines), step)

    def log_summary(self, values: Mapping[str, Any]) -> None:
        for name, value in _numbers(values).items():
            self.writer.add_scalar(f"final/{name}", value, 0)

    def close(self, exit_code: int) -> None:
        self.writer.close()


class Wandb:
    """`logger=wandb`: Weights & Biases, online where a key is configured, else offline, and never a prompt.

    Args:
        project, entity: where runs go; entity None is the account's default.
        mode: auto (online with a key, else offline) | online | offline.
        group: runs shown together; None takes the multirun's folder name.
        tags: labels of the run.
    """

    def __init__(
        self,
        project: str = "maskwright",
        entity: str | None = None,
        mode: str = "auto",
        group: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        if mode not in ("auto", "online", "offline"):
            raise RecipeError(f"logger.mode is {mode!r}; choose auto, online or offline.")
        if not project:
            raise RecipeError("logger.project is empty; name a project, such as logger.project=maskwright.")
        self.project, self.entity, self.mode, self.group, self.tags = project, entity, mode, group, list(tags)

    def open(self, run: RunFacts) -> list[RunLogger]:
        try:
            import wandb
        except ImportError as error:
            raise RecipeError("logger=wandb needs a package: pip install wandb, or choose logger=csv.") from error
        mode = self.mode_in_force(wandb)
        memory = Memory(run.folder / "wandb.json")
        group = self.group or run.group or memory.group
        # a W&B sweep agent names the run itself
        run_id = os.environ.get("WANDB_RUN_ID") or (memory.id if run.step is not None else None)
        if run.step is None or run_id is None or run_id != memory.id:
            memory.keep(run_id or uuid.uuid4().hex[:8], group, -1, ())
        else:
            memory.keep(run_id, group, memory.logged, memory.names)
        # otherwise wandb.init would join an unfinished run of this process and overwrite its config (in a multirun)
        wandb.finish()
        quiet = wandb.Settings(silent=True, console="off")
        experiment = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=mode,
            group=group,
            name=run.name,
            id=memory.id,
            resume="allow",
            dir=str(run.folder),
            tags=self.tags or None,
            config=without_secrets({**run.config, "facts": run.facts}),
            settings=quiet,
        )
        memory.found(experiment.url if mode == "online" else None)
        return [WandbLogger(run.folder, experiment, mode, memory)]

    def mode_in_force(self, wandb: Any) -> Any:
        """online, offline or disabled, by WANDB_MODE, `logger.mode` and whether a key is configured."""
        asked = os.environ.get("WANDB_MODE")
        if asked in ("offline", "disabled"):
            return asked
        if self.mode == "offline":
            return "offline"
        has_key = bool(wandb.login(prompt=False, verify=False))
        if self.mode == "online" and not has_key:
            raise RecipeError("logger.mode=online needs a key: run `wandb login` once, or choose logger.mode=offline.")
        return "online" if has_key else "offline"


class WandbLogger(RunLogger):
    """One W&B run. What is already there from before a kill is skipped: W&B cannot rewind.

    At the last step it had, only names that it has not are taken, as of a validation that was killed. The summary of a
    figure whose name tells which way is better holds its best value beside the last.
    """

    def __init__(self, folder: Path, experiment: Any, mode: str, memory: Memory) -> None:
        super().__init__(folder)
        self.experiment, self.memory = experiment, memory
        self._defined: set[str] = set()  # figures whose best value W&B keeps
        if mode == "online":
            self.where = f"W&B: {experiment.url}"
        elif mode == "offline":
            self.where = f"W&B offline: wandb sync --append {shlex.quote(_short(Path(experiment.dir).parent))}"

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self._log({k: v for k, v in _scalars(metrics).items() if k != "epoch"}, int(step or 0))

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        import wandb

        data = [[str(cell) for cell in row] for row in rows]
        self._log({name: wandb.Table(columns=list(columns), data=data)}, step)

    def _log(self, values: dict[str, Any], step: int) -> None:
        had = self.memory.names if step == self.memory.logged else ()
        new = {name: value for name, value in values.items() if name not in had}
        if new and step >= self.memory.logged:
            self._define(name for name, value in new.items() if is_number(value))
            self.experiment.log(new, step=step)
            self.memory.keep(self.memory.id, self.memory.group, step, (*had, *new))

    def _define(self, names: Iterable[str]) -> None:
        for name in names:
            lower = less_is_better(name)
            if name not in self._defined and lower is not None and name not in TOTALS:
                self.experiment.define_metric(name, summary="min,last" if lower else "max,last")
                self._defined.add(name)

    def log_summary(self, values: Mapping[str, Any]) -> None:
        # A value in place of what W&B made of the curve would take the best one away.
        told = {name: value for name, value in values.items() if value is not None and name not in self._defined}
        self.experiment.summary.update(told)

    def close(self, exit_code: int) -> None:
        self.experiment.finish(exit_code=exit_code)


class Memory:
    """wandb.json in the run's folder: the run's id, group and address, the last step that W&B has had, and its names
    there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        self.id: str | None = kept.get("id")
        self.group: str | None = kept.get("group")
        self.logged: int = kept.get("logged", -1)
        self.names: tuple[str, ...] = tuple(kept.get("names", ()))
        self.url: str | None = kept.get("url")

    def found(self, url: str | None) -> None:
        self.url = url
        self.keep(self.id, self.group, self.logged, self.names)

    def keep(self, run_id: str | None, group: str | None, logged: int, names: Sequence[str]) -> None:
        self.id, self.group, self.logged, self.names = run_id, group, logged, tuple(names)
        kept = {"id": run_id, "group": group, "logged": logged, "names": list(names), "url": self.url}
        write_text(self.path, json.dumps(kept) + "\n")


def _short(path: Path) -> str:
    return min(str(path), os.path.relpath(path), key=len)


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {k: v.item() if hasattr(v, "item") else v for k, v in values.items()}
    return {k: v for k, v in plain.items() if v is not None}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in _scalars(values).items() if is_number(v) and not math.isnan(v)}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
