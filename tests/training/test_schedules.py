"""The curves of the learning rate."""

import math

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.training.schedules import Constant, Cosine, Linear, Trapezoid


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Linear(0.1), {0: 0, 0.05: 0.5, 0.1: 1, 0.55: 0.5, 1: 0}),
        (Linear(0.1, floor=0.2), {0: 0, 0.1: 1, 0.55: 0.6, 1: 0.2}),
        (Cosine(0.2, floor=0.1), {0.1: 0.5, 0.2: 1, 0.6: 0.55, 1: 0.1}),
        (Constant(0.5), {0.25: 0.5, 0.5: 1, 1: 1}),
        (Trapezoid(0.1, cooldown=0.4), {0.05: 0.5, 0.1: 1, 0.6: 1, 0.7: 0.5, 1: 0}),
        (Trapezoid(0.1, 0.5, 0.4, "linear"), {0.6: 1, 0.8: 0.75, 1: 0.5}),
        (Linear(10), {0.05: 0.5, 0.1: 1, 1: 0}),
        (Linear(0), {0: 1, 0.5: 0.5}),
        (Linear(0.1), {-1: 0, 2: 0}),
    ],
)
def test_curves(schedule, points):
    for progress, factor in points.items():
        assert math.isclose(schedule.factor(progress, steps=100), factor, abs_tol=1e-12)


def test_the_rate_of_a_step_is_pure_and_never_zero():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": 9.0, "initial_lr": 2.0}])
    schedule, rates = Linear(0.5), []
    for step in (0, 1, 2, 3, 1):
        schedule.apply(optimizer, step, steps=4)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.5, 1.5, 1.5, 0.5, 1.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(1.5), "schedule.warmup is 1.5; give a share below 1 or a whole number of steps."),
        (lambda: Cosine(floor=1.5), "schedule.floor is 1.5; a share of the peak lies between 0 and 1."),
        (lambda: Trapezoid(cooldown=0), "schedule.cooldown is 0; a share of training lies above 0 and not above 1."),
        (lambda: Trapezoid(shape="x"), "schedule.shape is 'x'; choose one of sqrt, linear."),
        (
            lambda: Trapezoid(0.5, cooldown=0.6),
            "schedule.warmup 0.5 and schedule.cooldown 0.6 are more than all of training; lower one.",
        ),
        (
            lambda: Linear(100).check(steps=50),
            "schedule.warmup is 100 steps of only 50; lower it or raise trainer.max_steps.",
        ),
        (
            lambda: Trapezoid(40, cooldown=0.5).check(steps=50),
            "schedule.warmup 40 of 50 steps and schedule.cooldown 0.5 are more than all of training; lower one.",
        ),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(RecipeError) as caught:
        make()
    assert str(caught.value) == message
