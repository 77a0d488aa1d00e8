"""Where the parameters of linear and normalisation layers start: PyTorch's distributions, from our generators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as m
from minigrad import nn


@pytest.mark.parametrize(
    ("kind", "sizes", "bound"),
    [(nn.Linear, (25, 2000), 0.2), (nn.Bilinear, (25, 4, 500), 0.2)],
)
def test_linear_layers_start_uniform(kind: Any, sizes: tuple[int, ...], bound: float) -> None:
    module = kind(*sizes, generator=m.Generator(0))
    for parameter in (module.weight, module.bias):
        values = parameter.detach().numpy()
        assert -bound <= values.min() < -0.99 * bound
        assert 0.99 * bound < values.max() < bound
        assert values.var() == pytest.approx(bound**2 / 3, rel=0.1)
    again = kind(*sizes, generator=m.Generator(0))
    assert (again.weight == module.weight).all()
    assert (again.bias == module.bias).all()
    m.manual_seed(0)
    assert (kind(*sizes).weight == module.weight).all()
    assert kind(*sizes, dtype=m.float64).bias.dtype == m.float64
    assert kind(*sizes, bias=False).bias is None


@pytest.mark.parametrize(
    "module",
    [
        nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.BatchNorm3d(3), nn.LayerNorm((2, 3)), nn.GroupNorm(1, 3),
        nn.RMSNorm(3),
        nn.InstanceNorm1d(3, affine=True, track_running_stats=True),
        nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        nn.InstanceNorm3d(3, affine=True, track_running_stats=True),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_normalisation_starts_as_the_identity(module: Any) -> None:
    starts = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
    state = module.state_dict()
    for name, value in state.items():
        assert (value == starts[name]).all()
    assert "weight" in state
    assert all(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.InstanceNorm1d])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_statistics_have_the_dtype_of_the_layer(kind: Any, dtype: str) -> None:
    module = kind(2, affine=True, track_running_stats=True, dtype=dtype)
    module(m.randn(3, 2, 4, dtype=dtype))
    assert {t.dtype.name for t in (*module.parameters(), module.running_mean, module.running_var)} == {dtype}
    assert module.num_batches_tracked.dtype == m.int64


def test_prelu_starts_at_its_init() -> None:
    assert nn.PReLU().weight.tolist() == [0.25]
    assert nn.PReLU(3, 0.5, dtype=m.float64).weight.tolist() == [0.5] * 3
    assert nn.PReLU(init=1).weight.dtype == np.float32
