"""The straight-through training path of the binary convolution; op_tables/binarization.py compares its values."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from kernels import xnor
from minigrad.nn import functional as F


@minigrad.op
def straight_sign(x):
    return np.where(x < 0, -1, 1).astype(x.dtype)


straight_sign.defvjp(lambda g, out, x: g * (x.abs() <= 1).to(x.dtype))


def composed(x, weight, stride, padding, dilation, scale_input):
    """The formula, of ordinary ops and a straight-through sign."""
    alpha = weight.abs().mean((1, 2, 3), keepdim=True)
    y = F.conv2d(straight_sign(x), alpha * straight_sign(weight), None, stride, padding, dilation)
    if not scale_input:
        return y
    box = minigrad.ones(1, 1, *weight.shape[2:], dtype=x.dtype) / weight[0, 0].numel()
    return y * F.conv2d(x.abs().mean(1, keepdim=True), box, None, stride, padding, dilation)


def leaves(seed=0, channels=5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = (2, channels, 6, 7), (4, channels, 3, 2)
    return [minigrad.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("scale_input", [False, True])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (1, 1, 1), (2, 2, (1, 3)), ((3, 1), (0, 4), 2)])
def test_gradients_are_those_of_the_formula(stride, padding, dilation, scale_input):
    x, weight = leaves()
    options = stride, padding, dilation, scale_input
    y, want = F.binary_conv2d(x, weight, None, *options), composed(x, weight, *options)
    g = minigrad.tensor(np.random.default_rng(1).standard_normal(y.shape), requires_grad=True)
    first, wanted = (minigrad.grad([out], [x, weight], [g], create_graph=True) for out in (y, want))
    second, wanted_second = (
        minigrad.grad([(d * d).sum() for d in gradients], [x, weight, g]) for gradients in (first, wanted)
    )
    for got, expected in zip((y, *first, *second), (want, *wanted, *wanted_second), strict=True):
        scale = np.abs(expected.detach().numpy()).max()
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), atol=1e-13 * scale, rtol=1e-13)


def test_the_paper_s_weight_gradient_is_another():
    """h (1/n + alpha dsign) keeps one of the n terms that alpha contributes."""
    x, weight = leaves()
    F.binary_conv2d(x, weight, padding=1).square().sum().backward()
    signs, w = np.where(weight.detach().numpy() < 0, -1.0, 1.0), weight.detach().numpy()
    alpha = np.abs(w).mean((1, 2, 3), keepdims=True)
    binary = minigrad.tensor(alpha * signs, requires_grad=True)
    F.conv2d(straight_sign(x.detach()), binary, padding=1).square().sum().backward()
    h = binary.grad.numpy()
    straight = h * alpha * (np.abs(w) <= 1)
    ours = signs * (h * signs).mean((1, 2, 3), keepdims=True) + straight
    np.testing.assert_allclose(weight.grad.numpy(), ours, rtol=1e-11, atol=1e-11)
    printed = h / w[0].size + straight
    assert np.abs(printed - ours).max() > 0.01 * np.abs(ours).max()


def test_gradients_pass_up_to_one_and_no_further():
    x = minigrad.tensor([[[[-1.5, -1.0, -0.0, 0.0, 1.0, 1.5]]]], requires_grad=True)
    F.binary_conv2d(x, minigrad.ones(1, 1, 1, 1)).sum().backward()
    assert x.grad.tolist() == [[[[0.0, 1.0, 1.0, 1.0, 1.0, 0.0]]]]


def test_the_layer_learns(monkeypatch):
    """A binary filter finds the signs of another, from its outputs alone; compiled, as larger layers are."""
    monkeypatch.setattr(xnor, "SMALL", 1)
    rng = np.random.default_rng(0)
    layer = minigrad.nn.BinaryConv2d(3, 4, 3, padding=1, bias=False, generator=minigrad.Generator().manual_seed(0))
    teacher = minigrad.tensor(rng.standard_normal((4, 3, 3, 3)).astype(np.float32))
    optimizer = minigrad.optim.Adam(layer.parameters(), lr=0.03)
    losses = []
    for _ in range(60):
        x = minigrad.tensor(rng.standard_normal((8, 3, 8, 8)).astype(np.float32))
        loss = (layer(x) - F.binary_conv2d(x, teacher, padding=1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_the_layer_prints_its_options():
    layer = minigrad.nn.BinaryConv2d(3, 4, (3, 2), stride=2, padding=1, bias=False, scale_input=True)
    assert repr(layer) == (
        "BinaryConv2d(3, 4, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), bias=False, scale_input=True)"
    )
    assert layer(minigrad.ones(1, 3, 5, 5)).shape == (1, 4, 3, 3)
