"""What is random in dropout, RReLU and the Gumbel softmax: which elements, how many, and their gradients.

The numbers themselves are not PyTorch's; what is dropped together, the probabilities and the moments are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as m
from minigrad import nn
from minigrad.nn import functional as F

KEEPS_MEAN = ("dropout", "dropout1d", "dropout2d", "dropout3d")
SHAPES = {
    "dropout": (40, 50), "dropout1d": (20, 50, 3), "dropout2d": (20, 50, 3, 2), "dropout3d": (20, 50, 2, 2, 2),
    "alpha_dropout": (40, 50), "feature_alpha_dropout": (20, 50, 3),
}  # fmt: skip
MODULES = {
    "dropout": nn.Dropout, "dropout1d": nn.Dropout1d, "dropout2d": nn.Dropout2d, "dropout3d": nn.Dropout3d,
    "alpha_dropout": nn.AlphaDropout, "feature_alpha_dropout": nn.FeatureAlphaDropout,
}  # fmt: skip
each_op = pytest.mark.parametrize("name", SHAPES)


def seeded(seed: int = 0) -> m.Generator:
    return m.Generator().manual_seed(seed)


def dropped(name: str, x: Any, p: float, seed: int = 0) -> Any:
    return getattr(F, name)(x, p, True, generator=seeded(seed))


def values_of_ones(name: str, p: float) -> np.ndarray:
    return dropped(name, m.ones(SHAPES[name], dtype=m.float64), p).numpy()


@each_op
@pytest.mark.parametrize("p", [0.2, 0.7])
def test_the_share_that_is_dropped(name: str, p: float) -> None:
    out = values_of_ones(name, p)
    low = np.unique(out)[0]
    assert len(np.unique(out)) == 2
    assert (out == low).mean() == pytest.approx(p, abs=0.05)


@pytest.mark.parametrize("name", KEEPS_MEAN)
def test_kept_elements_are_scaled_by_the_probability_to_be_kept(name: str) -> None:
    assert np.unique(values_of_ones(name, 0.2)).tolist() == [0.0, 1.25]


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
@pytest.mark.parametrize("p", [0.2, 0.7])
def test_alpha_dropout_has_the_values_of_torch(name: str, p: float) -> None:
    torch = pytest.importorskip("torch", reason="the two values are PyTorch's")
    torch.manual_seed(0)
    want = getattr(torch.nn.functional, name)(torch.ones(SHAPES[name], dtype=torch.float64), p, True)
    np.testing.assert_allclose(np.unique(values_of_ones(name, p)), np.unique(want.numpy()), rtol=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    out = dropped("alpha_dropout", m.randn(200_000, generator=seeded(1)), p).numpy()
    assert out.mean() == pytest.approx(0, abs=0.01)
    assert out.var() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"])
def test_channels_are_dropped_whole_and_independently(name: str) -> None:
    out = values_of_ones(name, 0.5)
    channels = out.reshape(*out.shape[:2], -1)
    assert (channels == channels[:, :, :1]).all()
    assert len({row.tobytes() for row in channels[:, :, 0]}) > 10


@pytest.mark.parametrize(
    ("name", "shape", "leading"),
    [("dropout1d", (60, 3), 1), ("dropout2d", (20, 30, 3), 2), ("dropout3d", (60, 2, 2, 2), 1)],
)
def test_channels_without_a_batch(name: str, shape: tuple[int, ...], leading: int) -> None:
    """dropout2d alone takes the input without a batch for one that has a batch, as PyTorch does."""
    out = dropped(name, m.ones(shape), 0.5).numpy().reshape(*shape[:leading], -1)
    assert (out == out[..., :1]).all()
    assert set(np.unique(out[..., 0])) == {0.0, 2.0}


@each_op
def test_the_gradient_is_that_of_the_elements_kept(name: str) -> None:
    x = m.randn(SHAPES[name], generator=seeded(1), dtype=m.float64).requires_grad_()
    kept = values_of_ones(name, 0.4) != np.unique(values_of_ones(name, 0.4))[0]
    out = dropped(name, x, 0.4)
    (g,) = m.grad(out.sum(), x)
    assert ((g.numpy() != 0) == kept).all()
    at_kept = (out.detach().numpy() - dropped(name, x.detach() * 0, 0.4).numpy())[kept]
    np.testing.assert_allclose(g.numpy()[kept] * x.detach().numpy()[kept], at_kept)


@each_op
def test_gradients_and_second_gradients_numerically(name: str) -> None:
    shape = tuple(min(n, 3) for n in SHAPES[name])
    x = m.randn(shape, generator=seeded(1), dtype=m.float64).requires_grad_()
    assert m.gradcheck(lambda x: dropped(name, x, 0.4), [x])
    assert m.gradgradcheck(lambda x: dropped(name, x, 0.4), [x])


@each_op
def test_the_generator_decides(name: str) -> None:
    x = m.ones(SHAPES[name])
    assert (dropped(name, x, 0.5, seed=1) == dropped(name, x, 0.5, seed=1)).all()
    assert not (dropped(name, x, 0.5, seed=1) == dropped(name, x, 0.5, seed=2)).all()
    m.manual_seed(3)
    first = getattr(F, name)(x, 0.5, True)
    second = getattr(F, name)(x, 0.5, True)
    m.manual_seed(3)
    assert (getattr(F, name)(x, 0.5, True) == first).all()
    assert not (first == second).all()


@each_op
def test_modules_follow_train_and_eval(name: str) -> None:
    x = m.ones(SHAPES[name])
    module = MODULES[name](0.3, generator=seeded(5))
    assert (module(x) == dropped(name, x, 0.3, seed=5)).all()
    assert module.eval()(x) is x


@each_op
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(name: str, dtype: str) -> None:
    x = m.ones(SHAPES[name], dtype=dtype)
    assert dropped(name, x, 0.5).dtype == dtype
    assert dropped(name, x, 1.0).dtype == dtype


def test_nothing_is_dropped_from_integers_outside_training() -> None:
    x = m.tensor([1, 2])
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x


def test_nan_and_inf_become_nan_where_they_are_dropped() -> None:
    """As in PyTorch, which multiplies by 0 too: a network that has diverged does not look healthy."""
    out = dropped("dropout", m.full((100,), float("inf")), 0.5).numpy()
    assert np.isnan(out).any()
    assert np.isinf(out).any()


def test_rrelu_draws_a_slope_for_each_element() -> None:
    x = -m.ones(1000, dtype=m.float64)
    slopes = -F.rrelu(x, 0.2, 0.6, training=True, generator=seeded()).numpy()
    assert len(np.unique(slopes)) == 1000
    assert 0.2 <= slopes.min() < 0.21
    assert 0.59 < slopes.max() < 0.6
    assert (F.rrelu(-x, 0.2, 0.6, training=True) == -x).all()
    module = nn.RReLU(0.2, 0.6, generator=seeded())
    assert (-module(x).numpy() == slopes).all()
    assert (module.eval()(x) == -0.4).all()


def test_gradient_of_rrelu_is_the_slope() -> None:
    x = m.tensor([-2.0, 3.0, -1.0, 0.0], dtype=m.float64, requires_grad=True)
    out = F.rrelu(x, training=True, generator=seeded())
    (g,) = m.grad(out.sum(), x)
    np.testing.assert_allclose((g * x).detach().numpy(), out.detach().numpy())
    assert g[1].item() == 1
    assert 1 / 8 <= g[3].item() < 1 / 3


def test_gumbel_softmax_samples_from_the_softmax() -> None:
    logits = m.tensor([0.0, 1.0, 2.0, -1.0])
    samples = F.gumbel_softmax(logits.expand(20_000, 4), hard=True, generator=seeded())
    np.testing.assert_allclose(samples.mean(0).numpy(), logits.softmax(0).numpy(), atol=0.01)
    assert set(np.unique(samples.numpy())) == {0.0, 1.0}
    assert (samples.sum(-1) == 1).all()


def test_gumbel_softmax_noise_has_the_moments_of_the_gumbel_distribution() -> None:
    logs = F.gumbel_softmax(m.zeros(100_000, 2), tau=0.5, generator=seeded()).log().numpy() * 0.5
    # The difference of two Gumbel variables is logistic: mean 0, variance pi^2 / 3.
    difference = logs[:, 0] - logs[:, 1]
    assert difference.mean() == pytest.approx(0, abs=0.03)
    assert difference.var() == pytest.approx(np.pi**2 / 3, rel=0.02)


def test_hard_gumbel_softmax_has_the_gradient_of_the_soft_one() -> None:
    logits = m.randn(3, 4, generator=seeded(1), dtype=m.float64).requires_grad_()
    upstream = m.randn(3, 4, generator=seeded(2), dtype=m.float64)
    gradients = [
        m.grad(F.gumbel_softmax(logits, 0.7, hard, generator=seeded(3)), logits, upstream)[0] for hard in (True, False)
    ]
    np.testing.assert_array_equal(gradients[0].numpy(), gradients[1].numpy())
    assert gradients[0].numpy().any()
    hard, soft = (F.gumbel_softmax(logits, 0.7, hard, generator=seeded(3)) for hard in (True, False))
    np.testing.assert_array_equal(hard.detach().numpy().argmax(-1), soft.detach().numpy().argmax(-1))
