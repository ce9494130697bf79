"""The meter: sums what each step reports on the device and logs one row every `every` steps, with the run's speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import Profiler
from torch import Tensor

_ALWAYS = ("rate", "achieved_rate", "grad_norm", "tokens", "flops")  # begin names of values that every step has
WAIT = "train_dataloader_next"  # how Lightning's training loop names the fetch of a batch


class Meter(Callback):
    """Turns the dicts that `training_step` returns into rows for the trainer's loggers.

    In a row, a value is its mean over the steps since the row before that had one (NaN: a step had none; where no step
    had one, neither has the row); `lr/...` is the last step's; `tokens` and `flops` are totals since the run's first
    step, kept through resumes. Sums stay on the device: the only synchronisation is one copy per row. Validation and
    the time a run lay dead do not count as training time.

    Args:
        flops_per_token: model FLOPs of one training step per real token (forward and backward), all networks; or a
            function of the step, where rows change their length.
        peak_flops: FLOP/s that the devices of the run can reach together, against which `speed/mfu` is stated; None
            when unknown (then there is no `speed/mfu`).
        every: steps per row; None takes the trainer's `log_every_n_steps`.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        flops_per_token: float | Callable[[int], float],
        peak_flops: float | None,
        every: int | None = None,
        clock: Any = time.perf_counter,
    ) -> None:
        if not callable(flops_per_token) and not flops_per_token >= 0:
            raise ValueError(f"flops_per_token is {flops_per_token}; it is a count and cannot be negative.")
        if peak_flops is not None and not peak_flops > 0:
            raise ValueError(f"peak_flops is {peak_flops}; give the devices' FLOP/s, or None when unknown.")
        self.flops_per_token, self.peak_flops, self.every = flops_per_token, peak_flops, every
        self.latest: dict[str, float] = {}
        self._clock = clock
        self._sums: dict[str, Tensor | float] = {}
        self._absent: dict[str, Tensor | float] = {}  # steps that had no such value
        self._last: dict[str, Tensor | float] = {}
        self._steps = 0
        self._window = _Time()
        self._run = _Time()
        self._run_steps, self._run_tokens, self._run_flops = 0, 0.0, 0.0
        self._mark: float | None = None

    # what Lightning calls

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        profiler = getattr(trainer, "profiler")  # noqa: B009  (Lightning sets it without declaring it)
        if not isinstance(profiler, _Stopwatch):
            setattr(trainer, "profiler", _Stopwatch(profiler, self._waited, self._clock))  # noqa: B010
        self._mark = self._clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._window.masking += float(getattr(batch, "masking_seconds", 0.0))
        step = trainer.global_step
        self.add(outputs, step - 1)
        every = self.every or getattr(trainer, "log_every_n_steps", 0) or 1
        if step % every == 0 or step == trainer.max_steps:
            self.flush(trainer)

    def flush(self, trainer: Trainer) -> None:
        """Log the steps since the row before, if there are any."""
        if self._steps:
            row = self.row()
            for logger in trainer.loggers:
                logger.log_metrics(row, step=trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._mark = self._clock()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._pause()

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to write the rows that the run never stopped would have written."""
        now = 0.0 if self._mark is None else self._clock() - self._mark
        return {
            "sums": {k: _plain(v) for k, v in self._sums.items()},
            "absent": {k: _plain(v) for k, v in self._absent.items()},
            "last": {k: _plain(v) for k, v in self._last.items()},
            "steps": self._steps,
            "window": self._window.plain(now),
            "run": self._run.plain(0.0),
            "run_steps": self._run_steps,
            "run_tokens": self._run_tokens,
            "run_flops": self._run_flops,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sums, self._last = dict(state_dict["sums"]), dict(state_dict["last"])
        self._absent = dict(state_dict.get("absent", {}))
        self._steps = state_dict["steps"]
        self._window, self._run = _Time(**state_dict["window"]), _Time(**state_dict["run"])
        self._run_steps, self._run_tokens = state_dict["run_steps"], state_dict["run_tokens"]
        self._run_flops = state_dict["run_flops"]

    # the sums

    def add(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Take one step's report: name -> 0-dim tensor or number. `tokens` is the step's count of real tokens."""
        if "tokens" in values:
            per_token = self.flops_per_token(step) if callable(self.flops_per_token) else self.flops_per_token
            tokens = values["tokens"]
            exact = tokens.double() if isinstance(tokens, Tensor) and tokens.device.type != "mps" else tokens
            values = {**values, "flops": per_token * exact}
        for name, value in values.items():
            value = value.detach() if isinstance(value, Tensor) else float(value)
            if name.startswith("lr/"):
                self._last[name] = value
                continue
            if isinstance(value, Tensor):
                value = value.to(torch.float32 if value.device.type == "mps" else torch.float64)
            if isinstance(value, Tensor) and not name.startswith(_ALWAYS):
                absent = value.isnan()
                value = value.masked_fill(absent, 0.0)
                _add(self._absent, name, absent.to(value.dtype))
            _add(self._sums, name, value)
        self._steps += 1

    def row(self) -> dict[str, float]:
        """The means since the row before, the totals and the speed; the sums start again."""
        sums, last, absent = _fetch(self._sums), _fetch(self._last), _fetch(self._absent)
        if self._mark is not None:
            now = self._clock()
            self._window.training += now - self._mark
            self._mark = now
        tokens, flops = sums.pop("tokens", 0.0), sums.pop("flops", 0.0)
        self._run_steps += self._steps
        self._run_tokens += tokens
        self._run_flops += flops
        self._run.add(self._window)
        steps = {name: self._steps - absent.get(name, 0.0) for name in sums}
        row = {name: total / steps[name] for name, total in sums.items() if steps[name]} | last
        row |= {"tokens": int(self._run_tokens), "flops": self._run_flops}
        row |= self._speed(tokens, flops, self._window)
        self._sums, self._absent, self._last, self._steps, self._window = {}, {}, {}, 0, _Time()
        self.latest = row
        return row

    def totals(self) -> dict[str, float | int | str | None]:
        """The whole run for metrics.json: steps, tokens, flops, seconds of training, and speed."""
        totals: dict[str, float | int | str | None] = {
            "steps": self._run_steps,
            "tokens": int(self._run_tokens),
            "flops": self._run_flops,
            "seconds": self._run.training,
        }
        for name in ("tokens_per_second", "mfu", "masking_share", "data_wait"):
            totals[f"speed/{name}"] = None
        totals |= self._speed(self._run_tokens, self._run_flops, self._run)
        if totals["speed/tokens_per_second"] is None:
            for name in ("tokens_per_second", "masking_share", "data_wait"):
                totals[f"speed/{name}/reason"] = "no training step was timed"
        if totals["speed/mfu"] is None:
            reason = "no training step was timed" if self.peak_flops else "the peak FLOP/s of the device is unknown"
            totals["speed/mfu/reason"] = reason
        return totals

    def _speed(self, tokens: float, flops: float, spent: _Time) -> dict[str, float]:
        if spent.training <= 0:
            return {}
        speed = {"speed/tokens_per_second": tokens / spent.training}
        if self.peak_flops is not None:
            speed["speed/mfu"] = flops / spent.training / self.peak_flops
        speed["speed/masking_share"] = spent.masking / spent.training
        speed["speed/data_wait"] = spent.waiting / spent.training
        return speed

    def _waited(self, seconds: float) -> None:
        self._window.waiting += seconds

    def _pause(self) -> None:
        if self._mark is not None:
            self._window.training += self._clock() - self._mark
            self._mark = None


class _Time:
    """Seconds of training, and of those the seconds spent masking and waiting for data."""

    def __init__(self, training: float = 0.0, masking: float = 0.0, waiting: float = 0.0) -> None:
        self.training, self.masking, self.waiting = training, masking, waiting

    def add(self, other: _Time) -> None:
        self.training += other.training
        self.masking += other.masking
        self.waiting += other.waiting

    def plain(self, more: float) -> dict[str, float]:
        return {"training": self.training + more, "masking": self.masking, "waiting": self.waiting}


class _Stopwatch(Profiler):
    """Times the fetch of each training batch and passes everything on to the profiler that was there."""

    def __init__(self, inner: Profiler, report: Any, clock: Any) -> None:
        super().__init__()
        self.inner, self._report, self._clock, self._began = inner, report, clock, 0.0

    def start(self, action_name: str) -> None:
        self.inner.start(action_name)
        if action_name.endswith(WAIT):
            self._began = self._clock()

    def stop(self, action_name: str) -> None:
        if action_name.endswith(WAIT):
            self._report(self._clock() - self._began)
        self.inner.stop(action_name)

    def setup(self, *args: Any, **kwargs: Any) -> None:
        self.inner.setup(*args, **kwargs)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        self.inner.teardown(*args, **kwargs)

    def describe(self) -> None:
        self.inner.describe()

    def summary(self) -> str:
        return self.inner.summary()


def _add(sums: dict[str, Tensor | float], name: str, value: Tensor | float) -> None:
    total = sums.get(name, 0.0)
    if isinstance(total, Tensor) and isinstance(value, Tensor):
        total = total.to(value.device)
    sums[name] = total + value


def _plain(value: Tensor | float) -> Tensor | float:
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value


def _fetch(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """All values as floats, with one copy from each device."""
    held = {k: v for k, v in values.items() if isinstance(v, Tensor)}
    devices = {v.device for v in held.values()}
    out = {k: v for k, v in values.items() if not isinstance(v, Tensor)}
    for device in devices:
        names = [k for k, v in held.items() if v.device == device]
        dtype = torch.float32 if device.type == "mps" else torch.float64
        out |= zip(names, torch.stack([held[k].reshape(()).to(dtype) for k in names]).tolist(), strict=True)
    return {k: out[k] for k in values}
