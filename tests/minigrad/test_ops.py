"""Every op against PyTorch: recorded values on every machine, live ones where PyTorch is installed, and numerically.

The cases and wrong calls are in op_tables, what is compared and how in op_harness.py.
"""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import CASES, MISTAKES, TABLES
from op_harness import (
    COMPARED,
    Case,
    Draw,
    Dtype,
    Layer,
    Mistake,
    Parts,
    as_function,
    call,
    differences,
    filled,
    find,
    of_case,
    run,
    tensor,
    tolerance_of,
)
from op_records import FOLDER, Records, load

import minigrad
from minigrad.nn import functional
from minigrad.ops import arithmetic, elementwise

BY_NAME = {case.name: case for case in CASES}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

# How often the live comparison draws new inputs: once in the profile dev, twice in ci, more in intense.
LIVE_DRAWS = range(1, 1 + max(1, settings().max_examples // 75))


TABLE_OF = {case.name: table for table in TABLES for case in table.cases}


@functools.cache
def records(table: str) -> Records:
    path = FOLDER / f"{table}.npz"
    # What was never recorded is reported by test_records_are_of_these_cases, and not by breaking all other tests.
    return load(path) if path.exists() else Records("", {}, np.empty(0))


def recorded(case: Case, run: int = 0) -> tuple[Parts, dict[str, str]]:
    """What PyTorch returned for the case; nothing if it was not recorded yet."""
    record = records(TABLE_OF[case.name].name)
    return record.parts(case.name, run) if case.name in record.cases else ({}, {})


def of_all_tables(attribute: str) -> set[str]:
    return {op for table in TABLES for op in getattr(table, attribute)}


def compared_with_record(case: Case, dtype: str, variant: int = 0) -> list[str]:
    want, dtypes = recorded(case, case.dtypes.index(dtype))
    got = of_case(case, dtype, variant)
    return differences(got, want, tolerance_of(case, dtype, got), dtypes)


# --- the table --------------------------------------------------------------------------------------------------


def test_cases_have_different_names() -> None:
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


PUBLIC = set(minigrad.ops.__all__) | set(functional.__all__)


def test_every_op_has_cases() -> None:
    covered = {case.op for case in CASES}
    assert covered >= PUBLIC
    layers = {name for name in minigrad.nn.__all__ if isinstance(getattr(minigrad.nn, name), type)}
    assert layers - HOLD_OTHERS <= covered


# Modules that compute nothing of their own; test_nn.py is about them.
HOLD_OTHERS = {
    "Module", "ModuleDict", "ModuleList", "Parameter", "ParameterDict", "ParameterList", "Sequential",
}  # fmt: skip


def test_every_op_has_a_wrong_call() -> None:
    refused = {mistake.says[0].split(":")[0] for mistake in MISTAKES}
    assert PUBLIC - of_all_tables("never_wrong") - refused == set()


def test_every_function_that_makes_tensors_has_cases() -> None:
    made = {name for name, f in vars(minigrad).items() if inspect.isfunction(f) and f.__module__ == "minigrad.creation"}
    # The seed itself returns no tensor; test_mistakes calls it.
    assert made - {"manual_seed"} <= {case.op for case in CASES}
    assert len(made) > 10


def test_every_differentiable_op_has_second_gradients_recorded() -> None:
    """A case could silently lose its gradients, for example when its inputs become integers."""
    without = PUBLIC - of_all_tables("not_differentiable") - of_all_tables("once")
    for case in CASES:
        parts, _ = recorded(case)
        if any(part.startswith("second") and array.size for part, array in parts.items()):
            without.discard(case.op)
    assert without == set()


def test_records_are_of_these_cases() -> None:
    assert {p.stem for p in FOLDER.glob("*.npz")} == {table.name for table in TABLES}
    for table in TABLES:
        names = {case.name for case in table.cases}
        missing, stale = sorted(names - set(records(table.name).cases)), sorted(set(records(table.name).cases) - names)
        assert (missing, stale) == ([], []), "run python tests/reference/record_ops.py, where PyTorch is installed"


# --- values, gradients, second gradients --------------------------------------------------------------------------


@each_case
def test_recorded(case: Case) -> None:
    for dtype in case.dtypes:
        assert compared_with_record(case, dtype) == []


@pytest.mark.torch
@each_case
def test_live(case: Case) -> None:
    torch = pytest.importorskip("torch", reason="the live comparison needs PyTorch; recorded values were compared")
    for dtype in case.dtypes:
        for variant in LIVE_DRAWS:
            want = run(case, torch, dtype, variant)
            assert differences(of_case(case, dtype, variant), want, tolerance_of(case, dtype, want)) == []


DRAWN = [(op, strategy) for table in TABLES for op, strategy in table.strategies]
REFUSALS = (ArithmeticError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)


@pytest.mark.torch
@pytest.mark.parametrize(("op", "strategy"), DRAWN, ids=[op for op, _ in DRAWN])
@settings(max_examples=max(5, settings().max_examples // 5))
@given(data=st.data())
def test_drawn(op: str, strategy: Any, data: st.DataObject) -> None:
    """Hypothesis-drawn arguments, in both libraries: the same results, or an error from both."""
    torch = pytest.importorskip("torch", reason="drawn arguments can only be compared with PyTorch itself")
    case = data.draw(strategy)
    for dtype in case.dtypes:
        try:
            want = run(case, torch, dtype)
        except REFUSALS:
            with pytest.raises((minigrad.MinigradError, NotImplementedError)):
                of_case(case, dtype)
            continue
        assert differences(of_case(case, dtype), want, tolerance_of(case, dtype, want)) == []
        COMPARED["drawn calls"] += 1


TENSOR_ELSEWHERE = {"polygamma", "where"}  # functions whose first argument is not the tensor of the method
AS_METHODS = [
    case
    for case in CASES
    if case.call is None and case.args and isinstance(case.args[0], Draw) and hasattr(minigrad.Tensor, case.op)
    if case.op not in TENSOR_ELSEWHERE
]


@pytest.mark.parametrize("case", AS_METHODS, ids=lambda case: case.name)
def test_method_is_the_function(case: Case) -> None:
    def by_method(library: Any, first: Any, *rest: Any, **kwargs: Any) -> Any:
        return getattr(first, case.op)(*rest, **kwargs)

    method = replace(case, call=by_method)
    assert differences(of_case(method), of_case(case), tolerance=0) == []


def test_all_methods_were_compared() -> None:
    methods = {name for name in minigrad.ops.__all__ if hasattr(minigrad.Tensor, name)}
    # The cases of x[...] have a call of their own.
    assert methods - {case.op for case in AS_METHODS} == {"getitem", *TENSOR_ELSEWHERE}


def test_methods_whose_tensor_is_not_the_first_argument() -> None:
    x, y = minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0])
    assert x.where(x > 1, y).tolist() == [3.0, 2.0]
    assert minigrad.equal(x.polygamma(1), minigrad.polygamma(1, x))


def by_name(case: Case) -> Case | None:
    """The case with all its arguments named as minigrad names them; None where sizes come one by one."""
    function = find(minigrad, case.op)
    parameters = inspect.signature(getattr(function, "forward", function)).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    named = dict(zip([p.name for p in parameters], case.args, strict=False))
    return replace(case, args=(), kwargs={**named, **case.kwargs})


# One case of each op, in which every parameter that a case gives without its name is a tensor or an option.
NAMED = {case.op: case for case in reversed(CASES) if case.call is None and case.args and by_name(case)}


@pytest.mark.torch
@pytest.mark.parametrize("op", sorted(set(NAMED) - of_all_tables("other_names")))
def test_parameters_have_the_names_of_torch(op: str) -> None:
    torch = pytest.importorskip("torch", reason="the names of the parameters can only be compared with PyTorch")
    case = by_name(NAMED[op])
    assert case is not None
    want = run(case, torch, "float64")
    assert differences(run(case, minigrad, "float64"), want, tolerance_of(case, "float64", want)) == []


# --- layers -------------------------------------------------------------------------------------------------------

LAYERS = [case for case in CASES if isinstance(case.call, Layer)]


@pytest.mark.torch
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_layers_print_as_in_torch(case: Case) -> None:
    """So the defaults and the names of all options are PyTorch's."""
    torch = pytest.importorskip("torch", reason="what PyTorch prints can only be asked where it is installed")
    assert isinstance(case.call, Layer)
    assert repr(case.call.module(minigrad)) == repr(case.call.module(torch))


# --- numerical gradients ------------------------------------------------------------------------------------------


def has_numerical_gradients(case: Case) -> bool:
    """Smooth, in float64 alone, and with recorded gradients that do not vanish, so that a wrong one is seen."""
    plain = not any(isinstance(v, Dtype) for v in (*case.args, *case.kwargs.values()))
    if not (case.smooth and plain and all(d.dtype is None for d in case.draws if d.floating)):
        return False
    parts, _ = recorded(case)
    gradients = [a for part, a in parts.items() if part.startswith("gradient")]
    return bool(gradients) and all(np.isfinite(g).all() and g.any() for g in gradients)


# Numerical derivatives take their time: one case of each function in the profile dev, two in ci, all in intense.
NUMERICAL_CASES = {30: 1, 150: 2}.get(settings().max_examples, len(CASES))


def numerical_cases() -> list[Case]:
    """Small cases first: the effort grows with the square of the number of elements."""
    by_op: dict[str, list[Case]] = {}
    for case in sorted(CASES, key=lambda case: sum(math.prod(d.shape) for d in case.draws) > 40):
        found = by_op.setdefault(case.op, [])
        if len(found) < NUMERICAL_CASES and has_numerical_gradients(case):
            found.append(case)
    return [case for found in by_op.values() for case in found]


NUMERICAL = numerical_cases()


@pytest.mark.parametrize("case", NUMERICAL, ids=lambda case: case.name)
def test_numerically(case: Case) -> None:
    function, leaves = as_function(case)
    minigrad.gradcheck(function, leaves)
    minigrad.gradgradcheck(function, leaves)
    COMPARED["numerical gradients"] += len(leaves)


def test_every_differentiable_op_was_checked_numerically() -> None:
    checked = {case.op for case in NUMERICAL}
    assert PUBLIC - of_all_tables("not_differentiable") - checked == of_all_tables("flat")


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_mistakes(mistake: Mistake) -> None:
    with pytest.raises(mistake.error) as caught:
        mistake.call(minigrad)
    assert [words for words in mistake.says if words not in str(caught.value)] == []


ASKED = [mistake for mistake in MISTAKES if mistake.torch_allows is not None]


@pytest.mark.torch
@pytest.mark.parametrize("mistake", ASKED, ids=lambda mistake: mistake.name)
def test_torch_refuses_the_same(mistake: Mistake) -> None:
    torch = pytest.importorskip("torch", reason="what PyTorch refuses can only be asked where it is installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused = False
        try:
            mistake.call(torch)
        except (*REFUSALS, AssertionError, AttributeError):
            refused = True
    assert refused is not mistake.torch_allows


# --- the comparison itself can fail -------------------------------------------------------------------------------


def first_case(op: str) -> Case:
    return next(case for case in CASES if case.op == op)


def wrong_parts(op: str) -> str:
    """What the comparison with the recorded values says about the first case of an op, in one string."""
    return "; ".join(compared_with_record(first_case(op), "float64"))


Vjp = Callable[..., Any]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace vjps of an op for one test."""

    def planted(op: Any, *vjps: Vjp, joint: Vjp | None = None) -> None:
        monkeypatch.setattr(op, "vjps", vjps or None)
        monkeypatch.setattr(op, "joint_vjp", joint)

    return planted


def test_nothing_is_reported_about_right_vjps() -> None:
    for op in ("mul", "tanh", "batch_norm"):
        assert wrong_parts(op) == ""


def test_a_wrong_vjp_is_reported(plant: Callable[..., None]) -> None:
    plant(arithmetic.mul, lambda g, out, x, y: g * x, lambda g, out, x, y: g * x)
    report = wrong_parts("mul")
    assert "gradient 0[0, 0]" in report
    assert "gradient 1" not in report.replace("second gradient 1", "")
    with pytest.raises(minigrad.errors.GradcheckError, match="input 0"):
        minigrad.gradcheck(*as_function(first_case("mul")))


def test_a_wrong_second_derivative_alone_is_reported(plant: Callable[..., None]) -> None:
    plant(elementwise.tanh, lambda g, out, x: g * (1 - out.detach() * out.detach()))
    report = wrong_parts("tanh")
    assert report.startswith("second gradient 0")
    assert minigrad.gradcheck(*as_function(first_case("tanh")))
    with pytest.raises(minigrad.errors.GradcheckError):
        minigrad.gradgradcheck(*as_function(first_case("tanh")))


def test_a_missing_gradient_is_reported(plant: Callable[..., None]) -> None:
    plant(elementwise.tanh, lambda g, out, x: None)
    assert "gradient 0" in wrong_parts("tanh")


def planted_batch_norm(dx: Callable[..., Any]) -> Vjp:
    """The vjp of batch norm with another gradient of the input; `dx` gets dy, x_hat, scale, sum1, sum2 and N."""

    def joint(g: Any, out: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
        dims = [0, *range(2, x.ndim)]
        channel = [-1 if i == 1 else 1 for i in range(x.ndim)]
        x_hat = (x - x.mean(dims, keepdim=True)) * (x.var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
        scale = weight.reshape(channel) * (x.var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
        dy, count = g[0], x.numel() // x.shape[1]
        sums = dy.sum(dims, keepdim=True), (dy * x_hat).sum(dims, keepdim=True)
        return dx(dy, x_hat, scale, *sums, count), (dy * x_hat).sum(dims), dy.sum(dims)

    return joint


PLANTED_DX = {
    "zeros": lambda dy, x_hat, scale, sum1, sum2, n: dy * 0.0,
    "without the mean": lambda dy, x_hat, scale, sum1, sum2, n: scale * (dy - x_hat * sum2 / n),
    "without the variance": lambda dy, x_hat, scale, sum1, sum2, n: scale * (dy - sum1 / n),
    "a sign flipped": lambda dy, x_hat, scale, sum1, sum2, n: scale * (dy - sum1 / n + x_hat * sum2 / n),
    "N - 1 for N": lambda dy, x_hat, scale, sum1, sum2, n: scale * (dy - sum1 / n - x_hat * sum2 / (n - 1)),
}


@pytest.mark.parametrize("planted", PLANTED_DX)
def test_a_wrong_batch_norm_backward_is_reported(planted: str, plant: Callable[..., None]) -> None:
    plant(functional.normalization._batch_norm, joint=planted_batch_norm(PLANTED_DX[planted]))
    assert "gradient 0" in wrong_parts("batch_norm")
    with pytest.raises(minigrad.errors.GradcheckError, match="input 0"):
        minigrad.gradcheck(*as_function(first_case("batch_norm")))


def test_the_right_batch_norm_backward_planted_is_not_reported(plant: Callable[..., None]) -> None:
    """Otherwise the tests above would pass for a reason of their own."""
    right = planted_batch_norm(lambda dy, x_hat, scale, sum1, sum2, n: scale * (dy - sum1 / n - x_hat * sum2 / n))
    plant(functional.normalization._batch_norm, joint=right)
    assert wrong_parts("batch_norm") == ""


def test_other_inputs_are_reported() -> None:
    case = first_case("mul")
    assert compared_with_record(case, "float64", variant=0) == []
    assert compared_with_record(case, "float64", variant=1) != []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda parts: {**parts, "output 0": parts["output 0"] * (1 + 1e-9)}, "output 0"),
        (lambda parts: {**parts, "output 0": parts["output 0"].astype(np.float32)}, "dtype float32, wanted float64"),
        (lambda parts: {**parts, "output 0": parts["output 0"][None]}, "shape (1, 2, 3), wanted (2, 3)"),
        (lambda parts: {**parts, "output 0": parts["output 0"] * np.nan}, "nan, wanted"),
        (lambda parts: {k: v for k, v in parts.items() if "second" not in k}, "wanted"),
    ],
)
def test_changed_results_are_reported(change: Callable[[Parts], Parts], said: str) -> None:
    case = first_case("add")
    parts = of_case(case)
    assert differences(parts, parts, tolerance=0) == []
    assert said in "; ".join(differences(change(parts), parts, tolerance_of(case, "float64", parts)))


def test_nan_is_compared() -> None:
    nan, one = {"output 0": np.array(np.nan)}, {"output 0": np.array(1.0)}
    assert differences(nan, nan, 1.0) == []
    assert differences(nan, one, 1.0) != []
    assert differences(one, nan, 1.0) != []


# --- memory -------------------------------------------------------------------------------------------------------


def test_layouts_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    assert not Draw((3, 2)).strided.draw(rng, "float64").flags.c_contiguous
    assert Draw((3, 2)).transposed.draw(rng, "float64").flags.f_contiguous
    shared = tensor(minigrad, Draw((3, 2)).strided.draw(rng, "float64"))
    assert not shared._array.flags.c_contiguous


def test_no_op_changes_its_inputs() -> None:
    """Running statistics are meant to change; everything else is read only."""
    for case in CASES:
        if case.op == "batch_norm":
            continue
        rng = np.random.default_rng(case.seed())
        made: list[tuple[Any, np.ndarray]] = []

        def actual(value: Any, rng: np.random.Generator = rng, made: list[Any] = made) -> Any:
            if isinstance(value, Dtype):
                return getattr(minigrad, value.name)
            if not isinstance(value, Draw):
                return value
            array = value.draw(rng, "float64")
            made.append((tensor(minigrad, array), array.copy()))
            return made[-1][0]

        args, kwargs = filled(case.args, actual), filled(case.kwargs, actual)
        call(case, minigrad, args, kwargs)
        for leaf, before in made:
            assert np.array_equal(leaf._array, before, equal_nan=before.dtype.kind == "f"), case.name
