"""Learning rate schedules: against formulas, against recorded rates, and against PyTorch step for step."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.optim import SGD, Adagrad, Adam, lr_scheduler

STEPS = 300
RECORD = Path(__file__).resolve().parents[1] / "reference" / "schedules.npz"
RECORDED = slice(None, None, 7)  # of the steps: periods of 7 and its multiples are rare in the options

Make = Callable[..., Any]  # of the module lr_scheduler of either library, an optimiser, and further options


class Decay:
    """A callable object, whose attributes belong to the state."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, step: float) -> float:
        return self.by**step


def options(name: str, *args: Any, **kwargs: Any) -> tuple[str, Make]:
    described = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    return f"{name}({', '.join(described)})", lambda s, o, **more: getattr(s, name)(o, *args, **kwargs, **more)


SIMPLE: dict[str, Make] = dict([
    options("StepLR", 30),
    options("StepLR", step_size=7, gamma=0.9),
    options("StepLR", 1, 1.01),
    options("MultiStepLR", [20, 80, 80, 150]),
    options("MultiStepLR", milestones=[0, 100], gamma=0.5),
    options("MultiStepLR", [150, 20], 2.0),
    options("ConstantLR"),
    options("ConstantLR", factor=0.5, total_iters=40),
    options("ConstantLR", 1.0, 0),
    options("ConstantLR", 0.25, 0),
    options("LinearLR"),
    options("LinearLR", start_factor=0.1, end_factor=0.7, total_iters=100),
    options("LinearLR", 1.0, 0.0, 250),
    options("LinearLR", total_iters=1),
    options("ExponentialLR", 0.97),
    options("ExponentialLR", gamma=1.005),
    options("PolynomialLR"),
    options("PolynomialLR", total_iters=200, power=2.0),
    options("PolynomialLR", 299, 0.5),
    options("CosineAnnealingLR", 50),
    options("CosineAnnealingLR", T_max=299, eta_min=0.01),
    options("CosineAnnealingLR", 37.5, 0.7),
    options("CosineAnnealingLR", 1),
    options("CosineAnnealingLR", 20, eta_min=0.015),
    options("CosineAnnealingWarmRestarts", 40),
    options("CosineAnnealingWarmRestarts", T_0=10, T_mult=2, eta_min=0.005),
    options("CosineAnnealingWarmRestarts", 7, 3),
])  # fmt: skip
CYCLING: dict[str, Make] = dict([
    options("OneCycleLR", 0.9, STEPS),
    options("OneCycleLR", max_lr=[0.9, 0.1], epochs=31, steps_per_epoch=10, anneal_strategy="linear"),
    options("OneCycleLR", 0.9, 301, pct_start=0.4, three_phase=True, div_factor=10.0, final_div_factor=100.0),
    options("OneCycleLR", 0.9, 350, pct_start=0.0, base_momentum=0.5, max_momentum=[0.7, 0.8]),
    options("OneCycleLR", 0.9, 301, pct_start=0.2, three_phase=True, anneal_strategy="linear", cycle_momentum=False),
    options("CyclicLR", 0.01, 0.3, 20),
    options("CyclicLR", base_lr=[0.01, 0.02], max_lr=[0.3, 0.1], step_size_up=9, step_size_down=31, mode="triangular2"),
    options("CyclicLR", 0.01, 0.3, 25, mode="exp_range", gamma=0.99, base_momentum=0.3, max_momentum=0.6),
    options("CyclicLR", 0.01, 0.3, 25, cycle_momentum=False),
])  # fmt: skip
CYCLING["CyclicLR by cycle"] = lambda s, o, **more: s.CyclicLR(o, 0.01, 0.3, 11, scale_fn=lambda c: 1 / c, **more)
CYCLING["CyclicLR by step"] = lambda s, o, **more: s.CyclicLR(
    o, 0.01, 0.3, 11, 7, "no mode", scale_fn=Decay(0.98), scale_mode="iterations", **more
)
FUNCTIONS: dict[str, Make] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda step: 1 / (1 + step)),
    "LambdaLR of two": lambda s, o: s.LambdaLR(o, lr_lambda=[lambda step: 0.9**step, Decay(0.95)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda step: 0.99),
    "MultiplicativeLR of two": lambda s, o: s.MultiplicativeLR(o, [lambda step: 1 - 1 / (step + 9), Decay(0.999)]),
}
COMBINED: dict[str, Make] = {
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.99)]),
    "ChainedScheduler of three": lambda s, o: s.ChainedScheduler(
        (s.StepLR(o, 20, 0.5), s.LinearLR(o, 0.2, 1.0, 50), s.CosineAnnealingLR(o, 90)), optimizer=o
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.99)], [20]),
    "SequentialLR with warm-up": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.01, total_iters=30), s.CosineAnnealingLR(o, 270, 0.001)], milestones=[30]
    ),
    "SequentialLR of four": lambda s, o: s.SequentialLR(
        o,
        [s.StepLR(o, 20), s.CosineAnnealingWarmRestarts(o, 30), s.PolynomialLR(o, 60), s.MultiStepLR(o, [5, 50])],
        [50, 120, 200],
    ),
    "SequentialLR of functions": lambda s, o: s.SequentialLR(
        o, [s.LambdaLR(o, lambda i: i / 10), s.LambdaLR(o, lambda i: 0.97**i)], [10]
    ),
    "SequentialLR from 0": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 3), s.ExponentialLR(o, 0.9)], [0]),
    "SequentialLR of one": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 3)], []),
}
COMBINED["CyclicLR after StepLR"] = lambda s, o: (s.StepLR(o, 3), s.CyclicLR(o, 0.01, 0.3, 11))[1]
NESTED: dict[str, Make] = {
    "ChainedScheduler of SequentialLR": lambda s, o: s.ChainedScheduler(
        [s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 10), s.StepLR(o, 30)], [10]), s.ExponentialLR(o, 0.999)]
    ),
    "SequentialLR of ChainedScheduler": lambda s, o: s.SequentialLR(
        o, [s.ChainedScheduler([s.LinearLR(o, 0.1), s.ExponentialLR(o, 0.99)]), s.StepLR(o, 40)], [60]
    ),
    "SequentialLR of SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.SequentialLR(o, [s.LinearLR(o), s.StepLR(o, 9)], [5]), s.ExponentialLR(o, 0.95)], [60]
    ),
}
ALL: dict[str, Make] = {**SIMPLE, **CYCLING, **FUNCTIONS, **COMBINED, **NESTED}

PLATEAU: dict[str, dict[str, Any]] = {
    "defaults": {},
    "max": {"mode": "max", "factor": 0.5, "patience": 2},
    "abs": {"threshold_mode": "abs", "threshold": 0.05, "patience": 3},
    "max abs": {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "patience": 0, "cooldown": 4},
    "patience": {"patience": 1, "cooldown": 3, "factor": 0.8, "threshold": 0.2},
    "limits": {"patience": 0, "factor": 0.5, "min_lr": [0.05, 0.001]},
    "limit": {"patience": 0, "factor": 0.9, "min_lr": 0.01, "eps": 1e-3},
}


def optimizer_of(m: Any, kind: str = "SGD", **options: Any) -> Any:
    """Two groups with rates of their own."""
    a, b = (m.ones(n, requires_grad=True) for n in (2, 3))
    options = options or ({"momentum": 0.9} if kind == "SGD" else {})
    return getattr(m.optim, kind)([{"params": [a]}, {"params": [b], "lr": 0.02}], lr=0.5, **options)


def settings(optimizer: Any) -> list[float]:
    """The rates and momenta of the groups."""
    rates = [group["lr"] for group in optimizer.param_groups]
    momenta = [group["betas"][0] if "betas" in group else group.get("momentum", 0) for group in optimizer.param_groups]
    return rates + momenta


def advance(optimizer: Any, scheduler: Any, steps: int) -> np.ndarray:
    found = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == settings(optimizer)[:2]
        found.append(settings(optimizer))
    return np.array(found)


def course(m: Any, make: Make, kind: str = "SGD") -> np.ndarray:
    """Rates and momenta in each step, the settings before the first step included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # schedules within others are stepped before the optimiser
        optimizer = optimizer_of(m, kind)
        scheduler = make(m.optim.lr_scheduler, optimizer)
        return np.array([settings(optimizer), *advance(optimizer, scheduler, STEPS - 1)])


# --- values -------------------------------------------------------------------------------------------------------

FORMULAS: dict[str, Callable[[int], float]] = {
    "StepLR(30)": lambda t: 0.1 ** (t // 30),
    "MultiStepLR([20, 80, 80, 150])": lambda t: 0.1 ** sum(t >= m for m in (20, 80, 80, 150)),
    "ConstantLR(factor=0.5, total_iters=40)": lambda t: 0.5 if t < 40 else 1.0,
    "LinearLR(start_factor=0.1, end_factor=0.7, total_iters=100)": lambda t: 0.1 + 0.6 * min(t / 100, 1),
    "ExponentialLR(0.97)": lambda t: 0.97**t,
    "PolynomialLR(total_iters=200, power=2.0)": lambda t: max(1 - t / 200, 0) ** 2,
    "CosineAnnealingLR(50)": lambda t: (1 + math.cos(math.pi * t / 50)) / 2,
    "CosineAnnealingWarmRestarts(40)": lambda t: (1 + math.cos(math.pi * (t % 40) / 40)) / 2,
    "LambdaLR": lambda t: 1 / (1 + t),
    "MultiplicativeLR": lambda t: 0.99**t,
    "SequentialLR": lambda t: 0.1 if t < 20 else 0.99 ** (t - 20),
    "ChainedScheduler": lambda t: (0.1 if t < 20 else 1) * 0.99**t,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_rates_follow_the_formula(name: str) -> None:
    factors = np.array([FORMULAS[name](t) for t in range(STEPS)])
    assert np.allclose(course(mg, ALL[name])[:, :2], factors[:, None] * [0.5, 0.02], rtol=1e-9, atol=1e-12)


def test_one_cycle_goes_up_and_down_with_the_momentum_against_it() -> None:
    rates, _, momenta, _ = course(mg, options("OneCycleLR", 0.9, STEPS)[1]).T
    peak = int(rates.argmax())
    assert peak == 0.3 * STEPS - 1
    assert np.allclose([rates[0], rates[peak], rates[-1]], [0.9 / 25, 0.9, 0.9 / 25 / 1e4])
    assert np.allclose([momenta[0], momenta[peak], momenta[-1]], [0.95, 0.85, 0.95])
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert (np.diff(momenta[: peak + 1]) < 0).all()


def test_a_cycle_is_a_triangle() -> None:
    rates, _, momenta, _ = course(mg, options("CyclicLR", 0.01, 0.3, 20)[1]).T
    triangle = 1 - np.abs(np.arange(STEPS) % 40 - 20) / 20
    assert np.allclose(rates, 0.01 + 0.29 * triangle)
    assert np.allclose(momenta, 0.9 - 0.1 * triangle)


@pytest.mark.parametrize("name", ALL)
def test_the_rates_are_those_recorded_from_pytorch(name: str) -> None:
    with np.load(RECORD, allow_pickle=False) as record:
        assert np.allclose(course(mg, ALL[name])[RECORDED], record[name], rtol=1e-9, atol=1e-14)


def test_nothing_else_was_recorded() -> None:
    with np.load(RECORD, allow_pickle=False) as record:
        assert set(record.files) == {*ALL, "torch"}


@pytest.mark.torch
@pytest.mark.parametrize("name", ALL)
def test_the_rates_are_pytorchs_in_every_step(name: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours, theirs = course(mg, ALL[name]), course(torch, ALL[name])
    assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-15)
    if name in CYCLING:  # the momentum of Adam is its beta1
        ours, theirs = course(mg, ALL[name], "Adam"), course(torch, ALL[name], "Adam")
        assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-15)


@pytest.mark.torch
@pytest.mark.parametrize("name", SIMPLE)
def test_steps_to_an_epoch_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    found = []
    for m in (mg, torch):
        optimizer = optimizer_of(m)
        scheduler = SIMPLE[name](m.optim.lr_scheduler, optimizer)
        optimizer.step()
        rates = []
        for epoch in [0, 5, 3, 40, 41, 39, None, 200, None, None]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                scheduler.step(epoch)
            rates.append([*settings(optimizer), scheduler.last_epoch])
        found.append(rates)
    assert np.allclose(*found, rtol=1e-10, atol=1e-15)


@pytest.mark.torch
@pytest.mark.parametrize("restarts", [(10, 1), (10, 2), (3, 3)])
def test_warm_restarts_between_epochs_are_pytorchs(restarts: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    found = []
    for m in (mg, torch):
        optimizer = optimizer_of(m)
        scheduler = m.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, *restarts)
        rates = []
        for epoch in [*np.arange(0, 60, 0.3).tolist(), None, 12, None, 0, None]:
            scheduler.step(epoch)
            rates.append([*settings(optimizer), scheduler.last_epoch, scheduler.T_cur, scheduler.T_i])
        found.append(rates)
    assert np.allclose(*found, rtol=1e-12, atol=1e-15)


# --- plateaus -----------------------------------------------------------------------------------------------------


def measures() -> np.ndarray:
    """Falling, stuck, rising, with a gap."""
    rng = np.random.default_rng(3)
    values = np.concatenate([np.linspace(5, 1, 30), np.full(40, 1.0), np.linspace(1, 3, 30)]) + rng.normal(size=100) / 5
    values[[50, 70]] = math.nan, math.inf
    return values


def plateau_course(m: Any, options: dict[str, Any]) -> np.ndarray:
    optimizer = optimizer_of(m)
    scheduler = m.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    found = []
    for value in measures():
        scheduler.step(m.tensor(value))
        assert scheduler.get_last_lr() == settings(optimizer)[:2]
        state = [scheduler.best, scheduler.num_bad_epochs, scheduler.cooldown_counter, scheduler.in_cooldown]
        found.append([*settings(optimizer), scheduler.last_epoch, *state])
    return np.array(found)


@pytest.mark.torch
@pytest.mark.parametrize("name", PLATEAU)
def test_rates_on_plateaus_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours, theirs = plateau_course(mg, PLATEAU[name]), plateau_course(torch, PLATEAU[name])
    assert np.allclose(ours, theirs, rtol=1e-12)
    assert ours[-1, 0] < 0.5, "the options should lead to a reduction"


def test_the_rate_falls_when_nothing_improves() -> None:
    optimizer = optimizer_of(mg)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, cooldown=1, factor=0.5)
    rates = []
    for loss in [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]:
        scheduler.step(loss)
        rates.append(scheduler.get_last_lr()[0])
    assert rates == [0.5] * 4 + [0.25] * 4 + [0.125] * 3


def test_a_group_added_later_has_the_common_limit() -> None:
    optimizer = optimizer_of(mg)
    common = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.1)
    own = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.1])
    optimizer.add_param_group({"params": mg.ones(1, requires_grad=True), "lr": 7.0})
    common.step(1)
    common.step(2)
    assert common.get_last_lr() == [0.1, 0.02, 0.7000000000000001]
    own.step(1)
    with pytest.raises(errors.ArgumentError, match="min_lr has 2 values, but the optimizer 3 groups"):
        own.step(2)


# --- state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_saved_schedule_continues_exactly(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        optimizer = optimizer_of(mg)
        scheduler = ALL[name](lr_scheduler, optimizer)
        advance(optimizer, scheduler, 13)
        saved, saved_optimizer = scheduler.state_dict(), optimizer.state_dict()
        before = copy.deepcopy(saved)
        expected = advance(optimizer, scheduler, 40)
        assert saved == before, "the saved state changed with the schedule"
        for _ in range(2):  # the saved state serves twice
            other = optimizer_of(mg)
            resumed = ALL[name](lr_scheduler, other)
            other.load_state_dict(saved_optimizer)
            resumed.load_state_dict(saved)
            assert resumed.get_last_lr() == settings(other)[:2]
            assert np.array_equal(advance(other, resumed, 40), expected)


@pytest.mark.parametrize("name", PLATEAU)
def test_a_saved_plateau_continues_exactly(name: str) -> None:
    optimizer = optimizer_of(mg)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **PLATEAU[name])
    values = measures()
    for value in values[:35]:
        scheduler.step(value)
    other = optimizer_of(mg)
    resumed = lr_scheduler.ReduceLROnPlateau(other, factor=0.3)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for value in values[35:]:
        scheduler.step(value)
        resumed.step(value)
        assert resumed.get_last_lr() == scheduler.get_last_lr()


@pytest.mark.torch
@pytest.mark.parametrize("name", [*SIMPLE, *CYCLING])
def test_a_schedule_goes_on_from_last_epoch_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    found = []
    for m in (mg, torch):
        schedules = m.optim.lr_scheduler
        before, after = optimizer_of(m), optimizer_of(m)
        advance(before, ALL[name](schedules, before), 13)
        after.load_state_dict(before.state_dict())
        resumed = ALL[name](schedules, after, last_epoch=12)
        assert resumed.last_epoch == 13
        found.append([settings(after), *advance(after, resumed, 30)])
    assert np.allclose(*found, rtol=1e-10, atol=1e-15)


def test_a_saved_state_shares_nothing_with_the_schedule() -> None:
    scheduler = lr_scheduler.CyclicLR(optimizer_of(mg), 0.1, 0.2)
    saved = scheduler.state_dict()
    saved["base_lrs"][0] = 99.0
    assert scheduler.base_lrs == [0.1, 0.1]
    scheduler.load_state_dict(saved)
    saved["base_lrs"][0] = 0.0
    assert scheduler.base_lrs == [99.0, 0.1]


def test_the_state_of_callable_objects_is_saved_but_functions_are_not() -> None:
    for make in (lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR):
        first = make(optimizer_of(mg), [Decay(0.5), lambda step: 1.0])
        assert first.state_dict()["lr_lambdas"] == [{"by": 0.5}, None]
        other = make(optimizer_of(mg), [Decay(0.9), math.sqrt])
        other.load_state_dict(first.state_dict())
        assert other.lr_lambdas[0].by == 0.5
        assert other.lr_lambdas[1] is math.sqrt
    cyclic = lr_scheduler.CyclicLR(optimizer_of(mg), 0.1, 0.2, scale_fn=Decay(0.5))
    assert cyclic.state_dict()["_scale_fn_custom"] == {"by": 0.5}
    other_cyclic = lr_scheduler.CyclicLR(optimizer_of(mg), 0.1, 0.2, scale_fn=Decay(0.9))
    other_cyclic.load_state_dict(cyclic.state_dict())
    assert other_cyclic.scale_fn(2) == 0.25


def test_a_deep_copy_continues_on_its_own() -> None:
    optimizer = optimizer_of(mg)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    twin_optimizer, twin = copy.deepcopy((optimizer, scheduler))
    advance(twin_optimizer, twin, 4)
    assert settings(optimizer)[0] == 0.5
    assert twin.get_last_lr()[0] == pytest.approx(0.005)


@pytest.mark.torch
@pytest.mark.parametrize("name", ALL)
def test_the_state_has_pytorchs_names(name: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ours, theirs = (ALL[name](m.optim.lr_scheduler, optimizer_of(m)).state_dict() for m in (mg, torch))
    theirs.pop("_get_lr_called_within_step", None)  # we do not warn of calls of get_lr()
    theirs.pop("use_beta1", None)  # we look at the groups
    assert set(ours) == set(theirs)
    for entry in set(ours) - {"_schedulers", "_schedule_phases", "lr_lambdas", "_scale_fn_custom"}:
        assert ours[entry] == theirs[entry], entry


@pytest.mark.torch
@pytest.mark.parametrize("name", lr_scheduler.__all__)
def test_names_and_parameters_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours, theirs = (getattr(m.optim.lr_scheduler, name) for m in (mg, torch))
    for function in ("__init__", "step"):
        a, b = (inspect.signature(getattr(c, function)).parameters.values() for c in (ours, theirs))
        assert [(p.name, p.default, p.kind) for p in a] == [(p.name, p.default, p.kind) for p in b]
    for public in (n for n in vars(theirs) if not n.startswith("_") and n != "recursive_undo"):
        assert hasattr(ours, public)


@pytest.mark.torch
def test_no_schedule_is_missing() -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    assert set(lr_scheduler.__all__) == set(torch.optim.lr_scheduler.__all__)


# --- use ----------------------------------------------------------------------------------------------------------


def test_a_schedule_before_the_optimiser_warns_once() -> None:
    optimizer = optimizer_of(mg)
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"StepLR: step\(\) was called before optimizer.step\(\)") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    scheduler.step()


def test_there_is_no_warning_without_reason() -> None:
    class Own(SGD):
        def step(self, closure: Any = None) -> Any:
            """Not asked whether it was called."""

    own = Own([mg.ones(1, requires_grad=True)], lr=0.1)
    lr_scheduler.StepLR(own, 3).step()
    optimizer = optimizer_of(mg)
    first, second = lr_scheduler.StepLR(optimizer, 3), lr_scheduler.ExponentialLR(optimizer, 0.9)
    optimizer.step()
    first.step()
    second.step()


def test_steps_to_an_epoch_warn_as_in_pytorch() -> None:
    optimizer = optimizer_of(mg)
    optimizer.step()
    with pytest.warns(UserWarning, match=r"StepLR: step\(epoch\) is deprecated") as caught:
        lr_scheduler.StepLR(optimizer, 3).step(4)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"ReduceLROnPlateau: step\(epoch\) is deprecated"):
        lr_scheduler.ReduceLROnPlateau(optimizer).step(1.0, 4)


def test_a_schedule_of_ones_own() -> None:
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optimizer_of(mg)
    rates = advance(optimizer, Halving(optimizer), 3)[:, 0]
    assert rates.tolist() == [0.25, 0.125, 0.0625]
    with pytest.raises(NotImplementedError, match=r"LRScheduler does not define get_lr\(\)"):
        lr_scheduler.LRScheduler(optimizer)
    wrong = type("Wrong", (lr_scheduler.LRScheduler,), {"get_lr": lambda self: [0.1]})
    with pytest.raises(
        errors.ArgumentError, match="Wrong: the schedule has rates for 1 groups, but the optimizer has 2"
    ):
        wrong(optimizer)


def test_the_list_of_last_rates_is_a_copy() -> None:
    optimizer = optimizer_of(mg)
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    scheduler.get_last_lr()[0] = 99.0
    assert scheduler.get_last_lr() == [0.5, 0.02]


def test_training_with_a_schedule() -> None:
    w = mg.tensor([5.0], requires_grad=True)
    optimizer = SGD([w], lr=1.9)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    for _ in range(30):
        optimizer.zero_grad()
        (w * w / 2).sum().backward()
        optimizer.step()
        scheduler.step()
    assert abs(w.item()) < 1e-6
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    optimizer = optimizer_of(mg)
    step, chain = lr_scheduler.StepLR(optimizer, 3), lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 3)])
    with pytest.raises(errors.ArgumentError, match=r"load_state_dict: entries \[.*\] are not those of StepLR"):
        step.load_state_dict(lr_scheduler.ExponentialLR(optimizer, 0.1).state_dict())
    with pytest.raises(errors.ArgumentError, match="the states of 0 schedules do not match ChainedScheduler with 1"):
        chain.load_state_dict(step.state_dict())
    assert step.gamma == 0.1


def test_momentum_is_cycled_only_where_there_is_one() -> None:
    optimizer = Adagrad([mg.ones(1, requires_grad=True)], lr=0.1)
    lr_scheduler.OneCycleLR(optimizer, 0.1, 9, cycle_momentum=False)
    assert "momentum" not in optimizer.param_groups[0]
    adam = Adam([mg.ones(1, requires_grad=True)], betas=(0.5, 0.7))
    lr_scheduler.OneCycleLR(adam, 0.1, 9)
    assert adam.param_groups[0]["betas"] == (0.95, 0.7)
