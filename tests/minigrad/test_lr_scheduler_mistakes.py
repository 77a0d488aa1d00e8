"""Mistakes in the use of schedules: our errors name them, where PyTorch raises too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from test_lr_scheduler import optimizer_of

import minigrad as mg
from minigrad import errors
from minigrad.optim import lr_scheduler


def after_another_group(make: Callable[..., Any]) -> Callable[..., None]:
    """Step a schedule of an optimiser to which a group was added since."""

    def call(s: Any, o: Any, m: Any) -> None:
        scheduler = make(s, o)
        o.add_param_group({"params": [m.ones(1, requires_grad=True)]})
        for _ in range(5):
            o.step()
            scheduler.step()

    return call


def too_many_steps(s: Any, o: Any, m: Any) -> None:
    scheduler = s.OneCycleLR(o, 0.1, 3)
    for _ in range(4):
        o.step()
        scheduler.step()


# (what, function of lr_scheduler, an optimiser with two groups and the library; our message; whether PyTorch raises)
MISTAKES: list[tuple[Callable[..., Any], str, bool]] = [
    (lambda s, o, m: s.StepLR(None, 3), "StepLR: optimizer must be an Optimizer, got NoneType", True),
    (lambda s, o, m: s.LambdaLR(3, abs), "LambdaLR: optimizer must be an Optimizer, got int", True),
    (lambda s, o, m: s.OneCycleLR(3, 0.1, 9), "OneCycleLR: optimizer must be an Optimizer, got int", True),
    (lambda s, o, m: s.CyclicLR(3, 0.1, 0.2), "CyclicLR: optimizer must be an Optimizer, got int", True),
    (lambda s, o, m: s.ReduceLROnPlateau(3), "ReduceLROnPlateau: optimizer must be an Optimizer, got int", True),
    (lambda s, o, m: s.StepLR(o, 3, last_epoch=4), "StepLR: last_epoch=4 goes on .* group 0 .* no 'initial_lr'", True),
    (lambda s, o, m: s.StepLR(o, 3, last_epoch=-2), "StepLR: last_epoch must be an integer >= -1, got -2", True),
    (lambda s, o, m: s.StepLR(o, 0).step(), "StepLR: step_size must be an integer >= 1, got 0", True),
    (lambda s, o, m: s.StepLR(o, 2.5), "StepLR: step_size must be an integer >= 1, got 2.5", False),
    (lambda s, o, m: s.StepLR(o, 1, "0.1").step(), "StepLR: gamma must be a number, got '0.1'", True),
    (lambda s, o, m: s.MultiStepLR(o, 3), "MultiStepLR: milestones must be a list of integers, got 3", True),
    (
        lambda s, o, m: s.MultiStepLR(o, [3.5]),
        r"MultiStepLR: milestones must be a list of integers, got \[3.5\]",
        False,
    ),
    (lambda s, o, m: s.MultiStepLR(o, [0], "1"), "MultiStepLR: gamma must be a number, got '1'", True),
    (lambda s, o, m: s.LambdaLR(o, [abs]), "LambdaLR: lr_lambda must be .* one for each group, got 1 for 2", True),
    (lambda s, o, m: s.LambdaLR(o, 0.5), "LambdaLR: lr_lambda must be a function of the step, got float", True),
    (lambda s, o, m: s.MultiplicativeLR(o, [abs] * 3), "MultiplicativeLR: lr_lambda must be .* got 3 for 2", True),
    (lambda s, o, m: s.MultiplicativeLR(o, 0.5), "MultiplicativeLR: lr_lambda must be a function of the step", True),
    (lambda s, o, m: s.ConstantLR(o, 1.5), "ConstantLR: factor must be a number from 0 to 1, got 1.5", True),
    (lambda s, o, m: s.ConstantLR(o, math.nan), "ConstantLR: factor must be a number from 0 to 1, got nan", False),
    (lambda s, o, m: s.ConstantLR(o, 0), "ConstantLR: factor must be > 0, for the rate is found again", False),
    (lambda s, o, m: s.ConstantLR(o, 0.5, 2.5), "ConstantLR: total_iters must be an integer >= 0, got 2.5", False),
    (lambda s, o, m: s.LinearLR(o, 0), "LinearLR: start_factor must be > 0", True),
    (lambda s, o, m: s.LinearLR(o, 2), "LinearLR: start_factor must be a number from 0 to 1, got 2", True),
    (lambda s, o, m: s.LinearLR(o, 1, -1), "LinearLR: end_factor must be a number from 0 to 1, got -1", True),
    (lambda s, o, m: s.LinearLR(o, total_iters=-1), "LinearLR: total_iters must be an integer >= 0, got -1", False),
    (
        lambda s, o, m: s.LinearLR(o, total_iters=0)._update_lr(0),
        r"LinearLR: step\(epoch\) needs total_iters > 0",
        True,
    ),
    (lambda s, o, m: s.ExponentialLR(o, "1").step(), "ExponentialLR: gamma must be a number, got '1'", True),
    (lambda s, o, m: s.PolynomialLR(o, -1), "PolynomialLR: total_iters must be an integer >= 0, got -1", False),
    (lambda s, o, m: s.PolynomialLR(o, 3, None).step(), "PolynomialLR: power must be a number, got None", True),
    (lambda s, o, m: s.CosineAnnealingLR(o, 0).step(), "CosineAnnealingLR: T_max must be > 0, got 0", True),
    (lambda s, o, m: s.CosineAnnealingLR(o, None).step(), "CosineAnnealingLR: T_max must be a number, got None", True),
    (
        lambda s, o, m: s.CosineAnnealingWarmRestarts(o, 0),
        "CosineAnnealingWarmRestarts: T_0 must be .* >= 1, got 0",
        True,
    ),
    (
        lambda s, o, m: s.CosineAnnealingWarmRestarts(o, 5, 1.5),
        "CosineAnnealingWarmRestarts: T_mult must be an integer >= 1, got 1.5",
        True,
    ),
    (
        lambda s, o, m: s.CosineAnnealingWarmRestarts(o, 5, eta_min="0"),
        "CosineAnnealingWarmRestarts: eta_min must be a number, got '0'",
        True,
    ),
    (
        lambda s, o, m: s.CosineAnnealingWarmRestarts(o, 5).step(-1),
        "CosineAnnealingWarmRestarts: epoch must be >= 0, got -1",
        True,
    ),
    (lambda s, o, m: s.OneCycleLR(o, 0.1), "OneCycleLR: give total_steps, or both epochs and steps_per_epoch", True),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, epochs=3), "OneCycleLR: give total_steps, or both", True),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, 0), "OneCycleLR: total_steps must be an integer >= 1, got 0", True),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, 2.5), "OneCycleLR: total_steps must be an integer >= 1, got 2.5", True),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, None, 0, 3), "OneCycleLR: epochs must be an integer >= 1, got 0", True),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, None, 3, -3), "OneCycleLR: steps_per_epoch must be an integer >= 1", True),
    (
        lambda s, o, m: s.OneCycleLR(o, 0.1, 9, pct_start=1.5),
        "OneCycleLR: pct_start must be a number from 0 to 1",
        True,
    ),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, 10, pct_start=0.1), "OneCycleLR: .* a phase at step 0 has no length", True),
    (
        lambda s, o, m: s.OneCycleLR(o, 0.1, 9, anneal_strategy="sin"),
        "OneCycleLR: anneal_strategy must be one of 'cos', 'linear', got 'sin'",
        True,
    ),
    (lambda s, o, m: s.OneCycleLR(o, [0.1], 9), "OneCycleLR: max_lr must be .* one for each group, got 1 for 2", True),
    (lambda s, o, m: s.OneCycleLR(o, "0.1", 9), "OneCycleLR: max_lr must be a number, got '0.1'", True),
    (lambda s, o, m: s.OneCycleLR(o, 0.1, 9, div_factor=0), "div_factor and final_div_factor must not be 0", True),
    (
        lambda s, o, m: s.OneCycleLR(o, 0.1, 9, max_momentum=[0.1]),
        "OneCycleLR: max_momentum must be .* got 1 for 2",
        True,
    ),
    (
        lambda s, o, m: s.OneCycleLR(optimizer_of(m, "Adagrad"), 0.1, 9),
        "OneCycleLR: Adagrad has neither momentum nor betas to cycle; write cycle_momentum=False",
        True,
    ),
    (too_many_steps, "OneCycleLR: step 4 is beyond total_steps=3", True),
    (
        lambda s, o, m: s.CyclicLR(o, 0.1, 0.2, mode="up"),
        "CyclicLR: mode must be one of 'triangular',.* got 'up'",
        True,
    ),
    (
        lambda s, o, m: s.CyclicLR(o, 0.1, 0.2, scale_fn=abs, scale_mode="x"),
        "CyclicLR: scale_mode must be one of 'cycle', 'iterations', got 'x'",
        False,
    ),
    (lambda s, o, m: s.CyclicLR(o, 0.1, 0.2, scale_fn=1), "CyclicLR: scale_fn must be a function, got int", True),
    (lambda s, o, m: s.CyclicLR(o, [0.1], 0.2), "CyclicLR: base_lr must be .* got 1 for 2", True),
    (lambda s, o, m: s.CyclicLR(o, 0.1, 0.2, 0, 0), "CyclicLR: step_size_up and step_size_down must be > 0", True),
    (lambda s, o, m: s.CyclicLR(o, 0.1, 0.2, "9"), "CyclicLR: step_size_up must be a number, got '9'", False),
    (
        lambda s, o, m: s.CyclicLR(optimizer_of(m, "Adagrad"), 0.1, 0.2),
        "CyclicLR: Adagrad has neither momentum nor betas to cycle",
        True,
    ),
    (
        lambda s, o, m: s.ReduceLROnPlateau(o, factor=1.0),
        r"ReduceLROnPlateau: factor must lie in \[0, 1\), got 1.0",
        True,
    ),
    (lambda s, o, m: s.ReduceLROnPlateau(o, "less"), "ReduceLROnPlateau: mode must be one of 'min', 'max'", True),
    (lambda s, o, m: s.ReduceLROnPlateau(o, threshold_mode="x"), "threshold_mode must be one of 'rel', 'abs'", True),
    (lambda s, o, m: s.ReduceLROnPlateau(o, min_lr=[0.1]), "ReduceLROnPlateau: min_lr must be .* got 1 for 2", True),
    (lambda s, o, m: s.ReduceLROnPlateau(o).step("x"), "ReduceLROnPlateau: metrics must be a number, got str", True),
    (lambda s, o, m: s.ReduceLROnPlateau(o).step(m.ones(2)), "metrics must be a number, got Tensor", True),
    (
        lambda s, o, m: s.SequentialLR(o, [], []),
        "SequentialLR: expected at least one schedule, got an empty list",
        True,
    ),
    (lambda s, o, m: s.SequentialLR(o, [3], []), r"SequentialLR: schedulers\[0\] must be a schedule, got int", True),
    (
        lambda s, o, m: s.SequentialLR(o, s.StepLR(o, 3), []),
        "SequentialLR: schedulers must be a list of schedules",
        True,
    ),
    (
        lambda s, o, m: s.SequentialLR(o, [s.StepLR(o, 3), s.ReduceLROnPlateau(o)], [3]),
        r"SequentialLR: schedulers\[1\] is a ReduceLROnPlateau, which needs a measure in each step",
        True,
    ),
    (
        lambda s, o, m: s.SequentialLR(o, [s.StepLR(o, 3), s.StepLR(optimizer_of(m), 3)], [3]),
        r"SequentialLR: schedulers\[1\] belongs to another optimizer",
        True,
    ),
    (
        lambda s, o, m: s.SequentialLR(o, [s.StepLR(o, 3), s.StepLR(o, 4)], []),
        r"SequentialLR: 2 schedulers need 1 milestones that increase, got \[\]",
        True,
    ),
    (
        lambda s, o, m: s.SequentialLR(o, [s.StepLR(o, 3), s.StepLR(o, 4), s.StepLR(o, 5)], [9, 3]),
        r"SequentialLR: 3 schedulers need 2 milestones that increase, got \[9, 3\]",
        False,
    ),
    (
        lambda s, o, m: s.SequentialLR(o, [s.StepLR(o, 3), s.ChainedScheduler([s.StepLR(o, 3)])], [1]).step(),
        "SequentialLR: ChainedScheduler can only be the first schedule",
        True,
    ),
    (lambda s, o, m: s.ChainedScheduler([]), "ChainedScheduler: expected at least one schedule", True),
    (lambda s, o, m: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), "ChainedScheduler: .* needs a measure", True),
    (
        lambda s, o, m: s.ChainedScheduler([s.StepLR(o, 3), s.StepLR(optimizer_of(m), 3)]),
        r"ChainedScheduler: schedulers\[1\] belongs to another optimizer",
        True,
    ),
    *(
        (after_another_group(make), f"{kind}: the schedule has rates for 2 groups, but the optimizer has 3", True)
        for kind, make in {
            "LambdaLR": lambda s, o: s.LambdaLR(o, lambda step: 1.0),
            "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda step: 1.0),
            "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 3),
            "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3),
            "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, 9),
            "CyclicLR": lambda s, o: s.CyclicLR(o, 0.1, 0.2),
        }.items()
    ),
]


# Where PyTorch stumbles in the middle of a computation, we raise earlier; and a KeyError would print its text quoted.
UNMEANT = (AttributeError, KeyError, TypeError, UnboundLocalError, ZeroDivisionError)


@pytest.mark.filterwarnings("ignore:.*optimizer.step:UserWarning")
@pytest.mark.parametrize(("call", "message"), [(call, message) for call, message, _ in MISTAKES])
def test_mistakes_are_named(call: Callable[..., Any], message: str) -> None:
    with pytest.raises((errors.MinigradError, NotImplementedError), match=message):
        call(lr_scheduler, optimizer_of(mg), mg)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:.*optimizer.step:UserWarning")
@pytest.mark.parametrize(
    ("call", "message"), [(call, message) for call, message, torch_raises in MISTAKES if torch_raises]
)
def test_torch_refuses_the_same(call: Callable[..., Any], message: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        call(torch.optim.lr_scheduler, optimizer_of(torch), torch)
    with pytest.raises((errors.MinigradError, NotImplementedError), match=message) as ours:
        call(lr_scheduler, optimizer_of(mg), mg)
    assert isinstance(ours.value, type(theirs.value)) or type(theirs.value) in UNMEANT, repr(theirs.value)
