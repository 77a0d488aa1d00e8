"""Tensors on the device: the same losses and gradients as on the host, and errors that name the op."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.errors import DeviceError


def losses_and_gradients(device: str, rng: np.random.Generator):
    """A network of every family with a kernel, and what backward() gives."""
    arrays = rng.normal(size=(2, 2, 4, 4)), rng.normal(size=(2, 2, 3, 3)), rng.normal(size=2)
    leaves = [mg.tensor(array).to(device).requires_grad_() for array in arrays]
    y = F.relu(F.batch_norm(F.conv2d(*leaves, padding=1), None, None, training=True))
    theta = mg.tensor([[[0.9, 0.1, 0.0], [-0.1, 1.0, 0.1]]] * 2, dtype=mg.float64)
    y = F.grid_sample(y, F.affine_grid(theta, (2, 2, 3, 3)).to(device))
    loss = (y * y).mean() + (y.abs() + 1).log().sum() * 0.1 - (leaves[1] ** 2).sum().sqrt() / 7
    loss.backward()
    return loss, [leaf.grad for leaf in leaves]


def test_a_network_has_the_same_gradients_on_both_devices():
    (here, ours), (there, theirs) = (losses_and_gradients(d, np.random.default_rng(3)) for d in ("cpu", "cuda"))
    assert (here.device, there.device) == ("cpu", "cuda")
    assert there.item() == pytest.approx(here.item(), rel=1e-12)
    for our, their in zip(ours, theirs, strict=True):
        assert their.device == "cuda"
        np.testing.assert_allclose(their.cpu().numpy(), our.numpy(), rtol=1e-10, atol=1e-13)


def test_gradients_flow_through_the_copies():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x.cuda() * 3).cpu().sum().backward()
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [3, 3]


def test_a_gradient_can_be_differentiated_on_the_device(rng):
    x = mg.tensor(rng.normal(size=(1, 1, 4, 4))).cuda().requires_grad_()
    w = mg.tensor(rng.normal(size=(1, 1, 2, 2))).cuda().requires_grad_()
    (g,) = mg.autograd.grad((F.conv2d(x, w) ** 2).sum(), x, create_graph=True)
    (g**2).sum().backward()
    xs, ws = (t.detach().cpu().requires_grad_() for t in (x, w))
    (gs,) = mg.autograd.grad((F.conv2d(xs, ws) ** 2).sum(), xs, create_graph=True)
    (gs**2).sum().backward()
    np.testing.assert_allclose(w.grad.cpu().numpy(), ws.grad.numpy(), rtol=1e-11)


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, lr=0.05)])
def test_a_module_trains_on_the_device_as_on_the_host(make):
    results = []
    for device in ("cpu", "cuda"):
        mg.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()).double().to(device)
        assert {value.device for value in [*model.parameters(), *model.buffers()] if value.dtype.kind == "f"} == {
            device
        }
        x = mg.tensor(np.random.default_rng(1).normal(size=(2, 2, 5, 5))).to(device)
        optimizer = make(model.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean() + model[0].weight.abs().sum()
            loss.backward()
            optimizer.step()
        results.append([value.detach().cpu().numpy() for value in [*model.parameters(), model[1].running_var]])
    for ours, theirs in zip(*results, strict=True):
        # Adam divides by the root of the mean square, and so makes much of rounding where a gradient is 0 (the bias).
        np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-12)


def test_the_binary_convolution(rng):
    x, w = rng.normal(size=(1, 3, 4, 4)), rng.normal(size=(2, 3, 3, 3))
    for scaled in (False, True):
        want = F.binary_conv2d(mg.tensor(x), mg.tensor(w), padding=1, scale_input=scaled)
        got = F.binary_conv2d(mg.tensor(x).cuda(), mg.tensor(w).cuda(), padding=1, scale_input=scaled)
        np.testing.assert_allclose(got.cpu().numpy(), want.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: x.cos(), "cos: np.cos has no CUDA kernel yet"),
        (lambda x: x + mg.zeros(2, 3), "add: all tensors must be on one device, got (2, 3) on cuda, (2, 3) on cpu"),
        (lambda x: x.numpy(), "x.cpu().numpy()"),
        (lambda x: x.to("mps"), "'mps'"),
        (lambda x: x @ x.reshape(3, 2), "matmul: np.matmul has no CUDA kernel yet"),
        (lambda x: x[0], "getitem: x[...] has no CUDA kernel yet"),
        (lambda x: mg.cat([x, x]), "cat: np.concatenate has no CUDA kernel yet"),
        (
            lambda x: F.conv2d(x.reshape(1, 1, 2, 3), mg.zeros(1, 1, 1, 1)),
            "convolution: all tensors must be on one device",
        ),
        (lambda x: nn.Linear(2, 2).to("xla:0"), "xla"),
    ],
)
def test_errors_name_the_op(call, said):
    with pytest.raises((DeviceError, mg.errors.DtypeError)) as caught:
        call(mg.zeros(2, 3).cuda())
    assert said in str(caught.value)


def test_what_a_tensor_on_the_device_looks_like():
    x = mg.tensor([1.0, 2.0]).cuda()
    assert repr(x) == "tensor([1., 2.], device='cuda')"
    assert x.tolist() == [1, 2]
    assert (x.sum() * 2).item() == 6
    assert x.to("cuda") is x
    assert mg.zeros_like(x).device == mg.ones_like(x).device == "cuda"
    assert x.cpu().cpu().device == "cpu"


def test_changing_a_tensor_in_place_is_noticed():
    x = mg.tensor([1.0, 2.0]).cuda().requires_grad_()
    y = x * 1
    z = y * y
    with mg.no_grad():
        y.detach().add_(1)
    with pytest.raises(mg.errors.MutationError):
        z.sum().backward()
