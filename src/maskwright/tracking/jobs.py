"""A job's own mark: status.json in its folder says running, finished, failed or preempted, and how to run it again."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskwright.errors import RecipeError, Refused
from maskwright.pasting import command, hydra_text
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text

STATUS = "status.json"
_RANK_VARIABLES = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED", "PL_WORKERS_SEED",
)  # fmt: skip


class JobFailed(RuntimeError):
    """A job's own processes ended with an error; the message is the job's."""


class Job:
    """The mark of one job while it runs."""

    def __init__(self, folder: Path, silent: bool) -> None:
        self.folder, self.silent = folder, silent
        self.reopened = False
        self.stopped = 1  # exit status of a multirun that stops with this job
        self._preempted = False
        self._kept: dict[str, Any] = {}
        self._told: dict[str, Any] = {}

    def preempted(self, stopped: int = 1) -> None:
        """Say that training was asked to stop before its end and has been saved."""
        self._preempted, self.stopped = True, stopped

    def begins(self, told: Mapping[str, Any], finished: bool) -> None:
        self._told = dict(told)
        if not finished:
            self.write("running", started=time.time(), **told)

    def reopen(self) -> None:
        """Say that a run which had finished gets more steps."""
        self.reopened = True
        self.write("running", started=time.time(), **self._told)

    def skip(self) -> None:
        """Say that this multirun found the job finished."""
        self.rewrite({**read_status(self.folder), "seen": time.time()})

    @property
    def state(self) -> str:
        """How a job that ends well has ended; its own processes may have said so."""
        return "preempted" if self._preempted or read_status(self.folder).get("state") == "preempted" else "finished"

    def write(self, state: str, **more: Any) -> None:
        self.rewrite(self._kept | {"state": state, **more})

    def rewrite(self, status: Mapping[str, Any]) -> None:
        """Put another mark in its place."""
        self._kept = dict(status)
        if not self.silent:
            write_text(self.folder / STATUS, json.dumps(without_secrets(self._kept), indent=2) + "\n")


@contextmanager
def tracked_job(folder: str | Path) -> Iterator[Job]:
    """Keep status.json in `folder` while the body runs; in a multirun, keep the other jobs going when it fails.

    A single run's exception goes on to the caller. A job of a multirun ends quietly with its error in status.json and
    its traceback in error.log, and the sweep's report (`maskwright.tracking.sweep`) names it and exits with status 1.
    A preempted job and Ctrl-C stop the whole multirun, since whoever asked for that wants the machine back. Ranks other
    than 0 write nothing, but error-rank-<n>.log when they fail: rank 0 may be stopped before it can say why.
    """
    folder = Path(folder)
    multirun, (overrides, number) = in_multirun(), _task()
    job = Job(folder, silent=_rank() != 0)
    log = folder / (f"error-rank-{_rank()}.log" if job.silent else "error.log")
    before = _Before(job, log)
    log.unlink(missing_ok=True)
    if _names_a_run(overrides) and before.status.get("overrides"):
        overrides, number = before.status["overrides"], before.status.get("job")  # what the run began with
    told = {"job": number, "overrides": overrides, "command": rerun_command(folder, overrides)}
    job.begins(told, before.finished)
    try:
        yield job
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (0, None):
            _well(job, before)
            raise
        if isinstance(error, KeyboardInterrupt) and read_status(folder).get("state") == "preempted":
            raise  # by the job's own processes, which have saved
        with contextlib.suppress(OSError):  # the disk may be full; the error itself goes on
            if before.finished or (before.status and isinstance(_cause(error), Refused)):
                before.restore(job, {"at": time.time(), "error": sentence(error), **told})
            elif isinstance(_cause(error), Refused) and not multirun:
                (folder / STATUS).unlink(missing_ok=True)  # no run of ours, such as a multirun's folder after resume=
            else:
                job.write("failed", ended=time.time(), error=sentence(error), command=rerun_command(folder, overrides))
                if not log.exists() and folder.is_dir():  # the job's own processes may have written theirs
                    said = without_secrets("".join(traceback.format_exception(error)))
                    log.write_text(said, encoding="utf-8")
        if not multirun or isinstance(error, KeyboardInterrupt):
            raise
        more = f" (see {folder / 'error.log'})" if (folder / "error.log").exists() else ""
        print(f"job {number} failed: {sentence(error)}{more}", file=sys.stderr, flush=True)
        error.__traceback__ = None  # it holds the job's tensors
    else:
        if _well(job, before) == "preempted" and multirun:
            raise SystemExit(job.stopped)  # the multirun is not done
    finally:
        if multirun:
            _let_go()


class _Before:
    """What a folder said of the run that it holds. A run that has finished stays finished, whatever a later command
    does, and one that a command does not go with stays as it was; what was refused is noted beside it."""

    def __init__(self, job: Job, log: Path) -> None:
        self.job, self.status, self.log = job, read_status(job.folder), log
        self.text = log.read_text(encoding="utf-8") if log.exists() else None

    @property
    def finished(self) -> bool:
        return self.status.get("state") == "finished" and not self.job.reopened

    def restore(self, job: Job, refused: Mapping[str, Any]) -> None:
        job.rewrite({**self.status, "refused": dict(refused)})
        if self.text is not None:
            self.log.write_text(self.text, encoding="utf-8")


def _cause(error: BaseException) -> BaseException:
    """What an entry turned into an exit status."""
    return error.__context__ if isinstance(error, SystemExit) and error.__context__ else error


def _well(job: Job, before: _Before) -> str:
    if before.finished:
        return "finished"
    state = job.state
    more = {"command": _resume(job.folder)} if state == "preempted" else {}
    job.write(state, ended=time.time(), error=None, **more)
    return state


def in_multirun() -> bool:
    """Whether Hydra is running this task as one job of a multirun."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def multirun_name() -> str | None:
    """The multirun's name for grouping its runs: its folder's last two parts; None for a single run."""
    if not in_multirun():
        return None
    from hydra.core.hydra_config import HydraConfig

    return "/".join(Path(HydraConfig.get().sweep.dir).parts[-2:])


def rerun_command(folder: Path, overrides: list[str]) -> str:
    """The command that runs one job again, alone, in the same folder; a run that has begun there is gone on with."""
    if (folder / "config.yaml").exists():
        return _resume(folder)
    mode = []
    if any(word.lstrip("+").startswith("sweeps=") for word in overrides):
        mode = ["hydra.mode=RUN"]  # the study would start the whole multirun again
    return command("train.py", *overrides, *mode, hydra__run__dir=folder)


def run_on_devices(folder: str | Path, processes: int, script: str | Path, resume: str | None = None) -> dict[str, Any]:
    """Run this job of a multirun as `processes` processes of its own (torchrun), into the same folder.

    In a multirun Lightning's own launcher would start every process on the whole sweep again. The children run the
    same overrides as a single run, or go on with the run in the folder `resume`. Returns their metrics.json, empty when
    they were asked to stop before its end.

    Raises:
        JobFailed: they ended with an error.
    """
    if processes < 2:
        raise ValueError(f"processes is {processes}; one process needs no launcher.")
    folder = Path(folder).absolute()
    overrides, _ = _task()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = overrides if resume is None else [*overrides, f"resume={hydra_text(resume)}"]
    last = [f"hydra.run.dir={hydra_text(str(folder))}", "hydra.output_subdir=null", "hydra.mode=RUN"]
    ranked = (*_RANK_VARIABLES, *(name for name in os.environ if name.startswith("TORCHELASTIC_")))
    environment = {name: value for name, value in os.environ.items() if name not in ranked}
    # torchrun would give each process a single thread
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    child = subprocess.Popen([*launcher, str(script), *words, *last], env=environment)
    with _forwarding(child):
        code = child.wait()
    status = read_status(folder)
    if code != 0 and status.get("state") != "preempted":
        said = status.get("error") or _said_by_ranks(folder)
        raise JobFailed(str(said) if said else f"the job's processes ended with status {code}.")
    return _read(folder / "metrics.json")


def runs_elsewhere(processes: int, machines: int = 1) -> bool:
    """Whether this task must hand itself to `run_on_devices`: a job of a multirun that wants several processes.

    Raises RecipeError where it wants several machines: a multirun starts processes on its own only.
    """
    if machines > 1 and in_multirun():
        raise RecipeError(
            f"hardware.nodes is {machines}, and the jobs of a multirun run on one machine; start each as a run of its "
            "own."
        )
    return processes > 1 and in_multirun()


def read_status(folder: str | Path) -> dict[str, Any]:
    """What status.json says; empty when there is none."""
    return _read(Path(folder) / STATUS)


def sentence(error: BaseException) -> str:
    """An error in one line: a RecipeError speaks for itself, another gets its type before it."""
    cause = _cause(error)
    lines = str(cause).strip().splitlines()
    text = lines[0] if lines else ""
    named = text if isinstance(cause, RecipeError | JobFailed) else f"{type(cause).__name__}: {text}".rstrip(": ")
    return str(without_secrets(named))


def _said_by_ranks(folder: Path) -> str | None:
    """The last line of the first log that another rank than 0 has left."""
    logs = sorted(folder.glob("error-rank-*.log"))
    lines = logs[0].read_text(encoding="utf-8").strip().splitlines() if logs else []
    ours = rf"^{re.escape(RecipeError.__module__)}\.\w+: "
    return re.sub(ours, "", lines[-1]) if lines else None


@contextmanager
def _forwarding(child: subprocess.Popen[Any]) -> Iterator[None]:
    """Hand signals for this process on to the child, and never leave it behind."""
    before: dict[int, Any] = {}

    def hand_on(number: int, frame: Any) -> None:
        child.send_signal(number)

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGUSR1"):
            if hasattr(signal, name):
                before[getattr(signal, name)] = signal.signal(getattr(signal, name), hand_on)
    try:
        yield
    except BaseException:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=60)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def task_words() -> list[str]:
    """The overrides of this task as they were written; ${...} in them refers to the recipe, not to Hydra's config."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if not HydraConfig.initialized():
        return []
    words: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return [str(word) for word in words]


def _task() -> tuple[list[str], int | None]:
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if not HydraConfig.initialized():
        return [], None
    config = HydraConfig.get()
    number = None if not in_multirun() or OmegaConf.is_missing(config.job, "num") else config.job.num
    return task_words(), number


def run_words(folder: str | Path) -> list[str]:
    """The words that the run in `folder` was begun with, and those of a resume, where they say more."""
    words = _task()[0]
    if _names_a_run(words):
        more = [word for word in words if not word.startswith("trainer.max_steps=")]
        words = [*read_status(folder).get("overrides", []), *more]
    kept = [word for word in words if not word.startswith("resume=")]
    return list({word.lstrip("+~").partition("=")[0]: word for word in kept}.values())


def _names_a_run(words: Sequence[str]) -> bool:
    """Whether a command's words go on with a run by name, and do not say its recipe."""
    return any(word.startswith("resume=") and word != "resume=auto" for word in words)


def first_process() -> bool:
    """Whether this process is rank 0, by what launchers say."""
    return _rank() == 0


def _rank() -> int:
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit() and (name != "SLURM_PROCID" or "SLURM_NTASKS" in os.environ):
            return int(os.environ[name])
    return 0


def _resume(folder: Path) -> str:
    return command("train.py", resume=folder)


def _let_go() -> None:
    """Free what a job held, before the next one in the same process."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def is_failure(status: Mapping[str, Any]) -> bool:
    """Whether a job that is over has not done its work ("running" then means that it was killed)."""
    return status.get("state") != "finished"
