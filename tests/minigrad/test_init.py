"""Starting values: limits, moments, structure, and the same refusals as PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, InPlaceError, MinigradError, ShapeError
from minigrad.nn import init

RANDOM: dict[str, Callable[..., Any]] = {
    "uniform_": init.uniform_,
    "normal_": init.normal_,
    "trunc_normal_": init.trunc_normal_,
    "xavier_uniform_": init.xavier_uniform_,
    "xavier_normal_": init.xavier_normal_,
    "kaiming_uniform_": init.kaiming_uniform_,
    "kaiming_normal_": init.kaiming_normal_,
    "orthogonal_": init.orthogonal_,
    "sparse_": lambda tensor, **options: init.sparse_(tensor, 0.3, **options),
}
FIXED: dict[str, Callable[..., Any]] = {
    "constant_": lambda tensor: init.constant_(tensor, 0.5),
    "ones_": init.ones_,
    "zeros_": init.zeros_,
    "eye_": init.eye_,
}


def seeded(seed: int = 0) -> mg.Generator:
    return mg.Generator().manual_seed(seed)


def filled(name: str, *shape: int, seed: int = 0, **options: Any) -> np.ndarray:
    return RANDOM[name](mg.zeros(*shape), generator=seeded(seed), **options).numpy()


def test_every_name_is_tested_here() -> None:
    assert {*RANDOM, *FIXED, "dirac_", "calculate_gain"} == set(init.__all__)


@pytest.mark.parametrize("name", RANDOM)
def test_the_generator_decides(name: str) -> None:
    assert np.array_equal(filled(name, 6, 5), filled(name, 6, 5))
    assert not np.array_equal(filled(name, 6, 5), filled(name, 6, 5, seed=1))


@pytest.mark.parametrize("name", RANDOM)
def test_without_a_generator_the_default_one_decides(name: str) -> None:
    mg.manual_seed(3)
    first, second = RANDOM[name](mg.zeros(6, 5)).numpy(), RANDOM[name](mg.zeros(6, 5)).numpy()
    mg.manual_seed(3)
    assert np.array_equal(first, RANDOM[name](mg.zeros(6, 5)).numpy())
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", RANDOM | FIXED)
@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
def test_in_place_without_a_record(name: str, dtype: Any) -> None:
    tensor = mg.full((4, 3), 7.0, dtype=dtype).requires_grad_()
    assert (RANDOM | FIXED)[name](tensor) is tensor
    assert tensor.dtype == dtype
    assert tensor.requires_grad
    assert tensor.is_leaf
    assert not (tensor.detach().numpy() == 7.0).any()


@pytest.mark.parametrize("name", RANDOM | FIXED)
def test_a_tensor_without_elements_stays(name: str) -> None:
    assert (RANDOM | FIXED)[name](mg.zeros(0, 3)).shape == (0, 3)
    assert (RANDOM | FIXED)[name](mg.zeros(3, 0)).shape == (3, 0)


def test_a_weight_in_use_is_not_changed_unseen() -> None:
    x = mg.ones(3, requires_grad=True)
    y = (x * x).sum()
    init.uniform_(x)
    with pytest.raises(mg.errors.MutationError, match="mul"):
        y.backward()
    with pytest.raises(InPlaceError):
        init.zeros_(mg.ones(2).expand(3, 2))


# --- distributions --------------------------------------------------------------------------------------------------


def has_moments(values: np.ndarray, mean: float, std: float) -> bool:
    """Within 5 standard errors; the spread of the sample deviation is that of a normal, the largest among these."""
    error = std / math.sqrt(values.size)
    return bool(abs(values.mean() - mean) < 5 * error and abs(values.std() - std) < 5 * error)


def test_uniform() -> None:
    values = filled("uniform_", 200, 100, a=-1.0, b=3.0)
    assert values.min() >= -1
    assert values.max() < 3
    assert has_moments(values, 1.0, 4 / math.sqrt(12))


def test_normal() -> None:
    values = filled("normal_", 200, 100, mean=2.0, std=0.5)
    assert has_moments(values, 2.0, 0.5)
    assert abs((np.abs(values - 2) < 0.5).mean() - 0.6827) < 0.02


def of_truncated_normal(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Mean and deviation by numerical integration."""
    x = np.linspace(a, b, 100_001)
    density = np.exp(-0.5 * ((x - mean) / std) ** 2 + 0.5 * ((np.clip(mean, a, b) - mean) / std) ** 2)
    density /= density.sum()
    centre = (x * density).sum()
    return centre, math.sqrt(((x - centre) ** 2 * density).sum())


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, -2.0, 2.0), (1.0, 0.5, 0.5, 3.0), (0.0, 1.0, 4.0, 6.0), (0.0, 0.02, -2.0, 2.0), (5.0, 1.0, -1.0, 1.0),
     (0.0, 1.0, -math.inf, 1.0)],
)  # fmt: skip
def test_truncated_normal(mean: float, std: float, a: float, b: float) -> None:
    values = filled("trunc_normal_", 100, 100, mean=mean, std=std, a=a, b=b).astype(np.float64)
    assert values.min() >= a
    assert values.max() <= b
    assert has_moments(values, *of_truncated_normal(mean, std, max(a, mean - 12 * std), b))


@pytest.mark.parametrize("shape", [(30, 60), (20, 10, 5, 3)])
def test_xavier(shape: tuple[int, ...]) -> None:
    kernel = math.prod(shape[2:])
    std = 1.5 * math.sqrt(2 / ((shape[0] + shape[1]) * kernel))
    uniform, normal = filled("xavier_uniform_", *shape, gain=1.5), filled("xavier_normal_", *shape, gain=1.5)
    assert has_moments(uniform, 0.0, std)
    assert 0.99 < np.abs(uniform).max() / (math.sqrt(3) * std) <= 1
    assert has_moments(normal, 0.0, std)
    assert np.abs(normal).max() > 2 * std


@pytest.mark.parametrize("shape", [(30, 60), (20, 10, 5, 3)])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(("nonlinearity", "gain"), [("leaky_relu", math.sqrt(2 / 1.25)), ("relu", math.sqrt(2))])
def test_kaiming(shape: tuple[int, ...], mode: str, nonlinearity: str, gain: float) -> None:
    fan = shape[1 if mode == "fan_in" else 0] * math.prod(shape[2:])
    options = {"a": 0.5, "mode": mode, "nonlinearity": nonlinearity}
    uniform, normal = filled("kaiming_uniform_", *shape, **options), filled("kaiming_normal_", *shape, **options)
    assert has_moments(uniform, 0.0, gain / math.sqrt(fan))
    assert 0.99 < np.abs(uniform).max() / (math.sqrt(3 / fan) * gain) <= 1
    assert has_moments(normal, 0.0, gain / math.sqrt(fan))
    assert np.abs(normal).max() > 2 * gain / math.sqrt(fan)


# --- structure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3), (8, 2, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    values = filled("orthogonal_", *shape, gain=2.0).reshape(shape[0], -1)
    gram = values @ values.T if shape[0] <= values.shape[1] else values.T @ values
    assert np.allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_orthogonal_matrices_are_evenly_distributed() -> None:
    """Each element of an orthogonal matrix is as often negative as positive, which plain QR does not give."""
    generator = seeded()
    corners = [init.orthogonal_(mg.zeros(2, 2), generator=generator)[0, 0].item() for _ in range(400)]
    assert abs(np.mean(np.sign(corners))) < 0.25
    assert abs(np.mean(np.square(corners)) - 0.5) < 0.1


def test_sparse() -> None:
    values = filled("sparse_", 10, 50, std=0.5) / 0.5
    assert ((values == 0).sum(axis=0) == 3).all()
    assert has_moments(values[values != 0], 0.0, 1.0)
    assert len({tuple(np.flatnonzero(column == 0)) for column in values.T}) > 20
    assert (init.sparse_(mg.ones(7, 2), 0.3).numpy() == 0).sum() == 6  # rounded up


def test_constants() -> None:
    assert init.constant_(mg.zeros(2), 2.5).tolist() == [2.5, 2.5]
    assert init.ones_(mg.zeros(2, dtype=mg.int64)).tolist() == [1, 1]
    assert init.zeros_(mg.ones(2)).tolist() == [0.0, 0.0]
    assert init.eye_(mg.ones(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("shape", "groups"), [((3, 2, 5), 1), ((4, 2, 3, 4), 2), ((6, 3, 2, 3, 1), 3), ((2, 5, 1), 1), ((4, 1, 3, 3), 4)]
)
def test_dirac_is_that_of_torch(shape: tuple[int, ...], groups: int) -> None:
    torch = pytest.importorskip("torch")
    assert init.dirac_(mg.ones(*shape), groups).tolist() == torch.nn.init.dirac_(torch.ones(*shape), groups).tolist()


def test_dirac_passes_channels_on() -> None:
    x = mg.randn(1, 3, 5, 5, generator=seeded())
    assert mg.equal(mg.nn.functional.conv2d(x, init.dirac_(mg.zeros(3, 3, 3, 3)), padding=1), x)


@pytest.mark.torch
def test_gains_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    for name in init._GAINS:
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    for param in (None, 0, 0.2, 3):
        ours, theirs = (i.calculate_gain("leaky_relu", param) for i in (init, torch.nn.init))
        assert ours == pytest.approx(theirs)


# --- wrong calls ----------------------------------------------------------------------------------------------------

WRONG: list[tuple[type[MinigradError], Callable[[Any], Any], str]] = [
    (ArgumentError, lambda m: m.nn.init.uniform_(m.zeros(2), 1.0, 0.0), "uniform_: needs a <= b, got a=1.0"),
    (ArgumentError, lambda m: m.nn.init.normal_(m.zeros(2), 0.0, -1.0), "normal_: std must be >= 0, got -1.0"),
    (ShapeError, lambda m: m.nn.init.eye_(m.zeros(2)), r"eye_: needs a matrix, got shape \(2,\)"),
    (ShapeError, lambda m: m.nn.init.sparse_(m.zeros(2), 0.1), r"sparse_: needs a matrix, got shape \(2,\)"),
    (ShapeError, lambda m: m.nn.init.orthogonal_(m.zeros(2)), r"orthogonal_: needs at least 2 dim.* \(2,\)"),
    (ShapeError, lambda m: m.nn.init.dirac_(m.zeros(2, 2)), r"dirac_: needs a weight .* got \(2, 2\)"),
    (ShapeError, lambda m: m.nn.init.dirac_(m.zeros(3, 2, 2), 2), "dirac_: groups must divide the 3 .* groups=2"),
    (ShapeError, lambda m: m.nn.init.xavier_uniform_(m.zeros(2)), r"xavier_uniform_: .* got shape \(2,\)"),
    (ShapeError, lambda m: m.nn.init.xavier_normal_(m.zeros(2)), r"xavier_normal_: .* got shape \(2,\)"),
    (ShapeError, lambda m: m.nn.init.kaiming_uniform_(m.zeros(2)), r"kaiming_uniform_: .* got shape \(2,\)"),
    (ShapeError, lambda m: m.nn.init.kaiming_normal_(m.zeros(2)), r"kaiming_normal_: .* got shape \(2,\)"),
    (ArgumentError, lambda m: m.nn.init.kaiming_normal_(m.zeros(2, 2), mode="fan"), "kaiming_normal_: mode .* 'fan'"),
    (
        ArgumentError,
        lambda m: m.nn.init.kaiming_uniform_(m.zeros(2, 2), nonlinearity="step"),
        "calculate_gain: unknown nonlinearity 'step'; known are leaky_relu, linear",
    ),
    (ArgumentError, lambda m: m.nn.init.calculate_gain("leaky_relu", True), "calculate_gain: param .* True"),
    (ArgumentError, lambda m: m.nn.init.calculate_gain("leaky_relu", "1"), "calculate_gain: param .* '1'"),
    (DtypeError, lambda m: m.nn.init.normal_(m.zeros(2).long()), "normal_: needs a floating tensor, got int64"),
    (DtypeError, lambda m: m.nn.init.orthogonal_(m.zeros(2, 2).long()), "orthogonal_: .* got int64"),
    (ArgumentTypeError, lambda m: m.nn.init.uniform_([0.0]), "uniform_: expected a Tensor to fill, got list"),
    (ArgumentTypeError, lambda m: m.nn.init.zeros_(3), "zeros_: expected a Tensor to fill, got int"),
    (ArgumentTypeError, lambda m: m.nn.init.constant_([1.0], 1), "constant_: expected a Tensor to fill, got list"),
    (ArgumentTypeError, lambda m: m.nn.init.uniform_(m.zeros(2), generator=1), "generator: expected a .*Generator"),
]
# PyTorch fills with anything here, or does not end: it has no rule for these arguments.
STRICTER: list[tuple[type[MinigradError], Callable[[Any], Any], str]] = [
    (ArgumentError, lambda m: m.nn.init.trunc_normal_(m.zeros(2), a=1.0, b=1.0), "trunc_normal_: needs a < b"),
    (ArgumentError, lambda m: m.nn.init.trunc_normal_(m.zeros(2), std=0.0), "trunc_normal_: std must be positive"),
    (ArgumentError, lambda m: m.nn.init.sparse_(m.zeros(2, 2), 1.5), r"sparse_: sparsity must lie in \[0, 1\]"),
]


@pytest.mark.parametrize(("error", "call", "message"), WRONG + STRICTER, ids=[m for *_, m in WRONG + STRICTER])
def test_wrong_calls(error: type[MinigradError], call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(error, match=message):
        call(mg)


@pytest.mark.torch
@pytest.mark.parametrize("call", [call for _, call, _ in WRONG], ids=[m for *_, m in WRONG])
def test_torch_refuses_the_same(call: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises((AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)):
        call(torch)
