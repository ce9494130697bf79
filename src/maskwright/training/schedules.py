"""The learning rate over training, as a factor on each group's own peak: a pure function of progress."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch.optim import Optimizer

from maskwright.errors import RecipeError


class Schedule(ABC):
    """Rises in a straight line during the warm-up, then follows the subclass's `after`.

    warmup: below 1 a share of training, from 1 on a number of steps.
    floor: the share of the peak that the learning rate never falls below after the warm-up.
    """

    def __init__(self, warmup: float = 0.05, floor: float = 0.0) -> None:
        if warmup < 0 or (warmup > 1 and warmup != int(warmup)):
            raise RecipeError(f"schedule.warmup is {warmup}; give a share below 1 or a whole number of steps.")
        if not 0 <= floor <= 1:
            raise RecipeError(f"schedule.floor is {floor}; a share of the peak lies between 0 and 1.")
        self.warmup, self.floor = warmup, floor

    @abstractmethod
    def after(self, progress: float, warmup: float) -> float:
        """The factor in 0..1, without floor, at `progress` once the warm-up, a share of training, is over."""

    def factor(self, progress: float, steps: int) -> float:
        """What the peak learning rate is multiplied by at `progress` (0..1) of a training of `steps` steps."""
        progress = min(max(progress, 0.0), 1.0)
        warmup = self.warmup if self.warmup < 1 else self.warmup / steps
        if progress < warmup:
            return progress / warmup
        return self.floor + (1 - self.floor) * self.after(progress, warmup)

    def check(self, steps: int) -> None:
        """Raises RecipeError when the warm-up, and the cool-down if there is one, do not fit into `steps` steps."""
        if self.warmup >= 1 and self.warmup >= steps:
            raise RecipeError(
                f"schedule.warmup is {self.warmup:g} steps of only {steps}; lower it or raise trainer.max_steps."
            )

    def apply(self, optimizer: Optimizer, step: int, steps: int) -> None:
        """Sets every group's `lr` for step 0..steps-1 from its `initial_lr`.

        The factor is read in the middle of the step, so that neither the first nor the last step is lost to a zero.
        """
        factor = self.factor((step + 0.5) / steps, steps)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


class Linear(Schedule):
    """A straight line from the peak down to the floor (BERT, arXiv 1810.04805)."""

    def after(self, progress: float, warmup: float) -> float:
        return (1 - progress) / (1 - warmup)


class Cosine(Schedule):
    """Half a cosine from the peak down to the floor (arXiv 1608.03983, without restarts)."""

    def after(self, progress: float, warmup: float) -> float:
        return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


class Constant(Schedule):
    """Stays at the peak."""

    def after(self, progress: float, warmup: float) -> float:
        return 1.0


class Trapezoid(Schedule):
    """Stays at the peak, then cools down over the last `cooldown` share of training (arXiv 2405.18392).

    shape: "sqrt" falls as 1 - sqrt(share of the cool-down that is over), "linear" in a straight line.
    """

    def __init__(self, warmup: float = 0.05, floor: float = 0.0, cooldown: float = 0.2, shape: str = "sqrt") -> None:
        super().__init__(warmup, floor)
        if not 0 < cooldown <= 1:
            raise RecipeError(f"schedule.cooldown is {cooldown}; a share of training lies above 0 and not above 1.")
        if shape not in ("sqrt", "linear"):
            raise RecipeError(f"schedule.shape is {shape!r}; choose one of sqrt, linear.")
        if warmup < 1 and warmup + cooldown > 1:
            raise RecipeError(
                f"schedule.warmup {warmup} and schedule.cooldown {cooldown} are more than all of training; lower one."
            )
        self.cooldown, self.shape = cooldown, shape

    def after(self, progress: float, warmup: float) -> float:
        over = max(0.0, (progress - (1 - self.cooldown)) / self.cooldown)
        return 1 - (math.sqrt(over) if self.shape == "sqrt" else over)

    def check(self, steps: int) -> None:
        super().check(steps)
        if self.warmup >= 1 and self.warmup / steps + self.cooldown > 1:
            raise RecipeError(
                f"schedule.warmup {self.warmup:g} of {steps} steps and schedule.cooldown {self.cooldown} "
                "are more than all of training; lower one."
            )
