"""vjp, jvp, hvp, vhp, jacobian and hessian against closed forms, and against PyTorch's where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

RNG = np.random.default_rng(3)
A = RNG.normal(size=(4, 3))
X, Y, V, W, U = (RNG.normal(size=n) for n in (3, 4, 3, 4, 4))


def t(array: Any, **options: Any) -> mg.Tensor:
    return mg.tensor(np.asarray(array, np.float64), **options)


def close(have: Any, want: Any) -> bool:
    return have.shape == np.shape(want) and np.allclose(have.detach().numpy(), want, rtol=1e-12, atol=1e-12)


def tanh_layer(x: Any) -> Any:
    """R^3 -> R^4 with Jacobian diag(1 - y^2) A."""
    return (t(A) @ x).tanh()


def tanh_jacobian(x: np.ndarray) -> np.ndarray:
    return (1 - np.tanh(A @ x) ** 2)[:, None] * A


def quartic(x: Any) -> Any:
    """sum (A x)^4, with Hessian A^T diag(12 (A x)^2) A."""
    return ((t(A) @ x) ** 4).sum()


def quartic_hessian(x: np.ndarray) -> np.ndarray:
    return A.T @ (12 * (A @ x)[:, None] ** 2 * A)


def test_vjp_is_the_vector_times_the_jacobian() -> None:
    out, product = vjp(tanh_layer, t(X), t(U))
    assert close(out, np.tanh(A @ X))
    assert close(product, U @ tanh_jacobian(X))


def test_jvp_is_the_jacobian_times_the_vector() -> None:
    out, product = jvp(tanh_layer, t(X), t(V))
    assert close(out, np.tanh(A @ X))
    assert close(product, tanh_jacobian(X) @ V)


@pytest.mark.parametrize("product", [hvp, vhp])
def test_hvp_is_the_hessian_times_the_vector(product: Any) -> None:
    value, found = product(quartic, t(X), t(V))
    assert close(value, ((A @ X) ** 4).sum())
    assert close(found, quartic_hessian(X) @ V)


def test_jacobian_and_hessian_of_one_input() -> None:
    assert close(jacobian(tanh_layer, t(X)), tanh_jacobian(X))
    assert close(hessian(quartic, t(X)), quartic_hessian(X))


def test_shapes_of_matrices() -> None:
    x = t(RNG.normal(size=(2, 3)))
    j = jacobian(lambda x: x.t() * 2, x)
    assert j.shape == (3, 2, 2, 3)
    assert j[1, 0, 0, 1].item() == 2.0
    assert j.sum().item() == 12.0
    h = hessian(lambda x: (x**2).sum(), x)
    assert h.shape == (2, 3, 2, 3)
    assert close(h.reshape(6, 6), 2 * np.eye(6))


def test_jacobian_of_tuples() -> None:
    def f(x: Any, y: Any) -> Any:
        return x.sum() * y, x * 3

    j = jacobian(f, (t(X), t(Y)))
    assert [[b.shape for b in row] for row in j] == [[(4, 3), (4, 4)], [(3, 3), (3, 4)]]
    assert close(j[0][0], np.outer(Y, np.ones(3)))
    assert close(j[0][1], X.sum() * np.eye(4))
    assert close(j[1][0], 3 * np.eye(3))
    assert close(j[1][1], np.zeros((3, 4)))


def test_hessian_of_tuples_is_a_table_of_blocks() -> None:
    h = hessian(lambda x, y: x.sum() * (y**2).sum(), (t(X), t(Y)))
    assert [[b.shape for b in row] for row in h] == [[(3, 3), (3, 4)], [(4, 3), (4, 4)]]
    assert close(h[0][0], np.zeros((3, 3)))
    assert close(h[0][1], np.outer(np.ones(3), 2 * Y))
    assert close(h[1][0], np.outer(2 * Y, np.ones(3)))
    assert close(h[1][1], 2 * X.sum() * np.eye(4))


def test_products_of_tuples() -> None:
    def f(x: Any, y: Any) -> Any:
        return (t(A) @ x) * y, x * 2

    _, (gx, gy) = vjp(f, (t(X), t(Y)), (t(U), t(V)))
    assert close(gx, A.T @ (U * Y) + 2 * V)
    assert close(gy, U * (A @ X))
    _, (first, second) = jvp(f, (t(X), t(Y)), (t(V), t(W)))
    assert close(first, (A @ V) * Y + (A @ X) * W)
    assert close(second, 2 * V)
    _, (hx, hy) = hvp(lambda x, y: ((t(A) @ x) * y).sum(), (t(X), t(Y)), (t(V), t(W)))
    assert close(hx, A.T @ W)
    assert close(hy, A @ V)


def test_a_scalar_function_needs_no_vector() -> None:
    _, g = vjp(quartic, t(X))
    assert close(g, A.T @ (4 * (A @ X) ** 3))
    with pytest.raises(errors.ShapeError, match=r"vjp: v may be left out only for a single element, .*\(4,\)"):
        vjp(tanh_layer, t(X))
    with pytest.raises(errors.ShapeError, match="jvp: v may be left out"):
        jvp(tanh_layer, t(X))


def test_linear_and_constant_functions_have_zero_second_derivatives() -> None:
    assert close(hessian(lambda x: x.sum(), t(X)), np.zeros((3, 3)))
    assert close(hvp(lambda x: x.sum(), t(X), t(V))[1], np.zeros(3))
    assert close(jacobian(lambda x: t([1.0, 2.0]), t(X)), np.zeros((2, 3)))
    assert close(jvp(lambda x: t([1.0, 2.0]), t(X), t(V))[1], np.zeros(2))
    for call in (
        lambda: vjp(lambda x: t(1.0), t(X), strict=True),
        lambda: jacobian(lambda x: t([1.0]), t(X), strict=True),
    ):
        with pytest.raises(errors.NoGraphError, match="does not depend on an input; pass strict=False"):
            call()


@pytest.mark.parametrize("create_graph", [False, True])
def test_create_graph_connects_the_results_with_the_inputs(create_graph: bool) -> None:
    x = t(X, requires_grad=True)
    results = {
        "vjp": vjp(tanh_layer, x, t(U), create_graph=create_graph)[1],
        "jvp": jvp(tanh_layer, x, t(V), create_graph=create_graph)[1],
        "hvp": hvp(quartic, x, t(V), create_graph=create_graph)[1],
        "jacobian": jacobian(tanh_layer, x, create_graph=create_graph),
        "hessian": hessian(quartic, x, create_graph=create_graph),
    }
    assert x.grad is None
    y, s = np.tanh(A @ X), 1 - np.tanh(A @ X) ** 2
    wanted = {  # the gradients of the sums of the results
        "vjp": ((U * -2 * y * s * A.sum(1))[:, None] * A).sum(0),
        "jvp": ((-2 * y * s * (A @ V))[:, None] * A).sum(0),
        "hvp": ((24 * (A @ X) * (A @ V) * A.sum(1))[:, None] * A).sum(0),
        "jacobian": ((-2 * y * s * A.sum(1))[:, None] * A).sum(0),
        "hessian": ((24 * (A @ X) * A.sum(1) ** 2)[:, None] * A).sum(0),
    }
    for name, result in results.items():
        assert result.requires_grad == create_graph, name
        if create_graph:
            assert close(mg.grad(result.sum(), x)[0], wanted[name]), name


def test_the_vector_can_be_differentiated_too() -> None:
    v = t(V, requires_grad=True)
    _, product = jvp(tanh_layer, t(X), v, create_graph=True)
    assert close(mg.grad(product.sum(), v)[0], tanh_jacobian(X).sum(0))


def test_they_work_under_no_grad_and_leave_the_inputs_alone() -> None:
    x = t(X, requires_grad=True)
    with mg.no_grad():
        assert close(jacobian(tanh_layer, x), tanh_jacobian(X))
        assert close(hvp(quartic, x, t(V))[1], quartic_hessian(X) @ V)
    assert x.grad is None
    assert close(x, X)
    assert not t(X).requires_grad


def test_empty_outputs() -> None:
    assert jacobian(lambda x: x[:0], t(X)).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: vjp(tanh_layer, X, t(U)), errors.ArgumentTypeError, "vjp: inputs must be a Tensor .*got ndarray"),
        (lambda: vjp(lambda x: 3.0, t(X)), errors.ArgumentTypeError, "the result of func must be .* got float"),
        (lambda: vjp(tanh_layer, t(X), t(V)), errors.ShapeError, r"vjp: v has shapes \[\(3,\)\], expected \[\(4,\)\]"),
        (lambda: jvp(tanh_layer, t(X), t(U)), errors.ShapeError, r"jvp: v has shapes \[\(4,\)\], expected \[\(3,\)\]"),
        (lambda: hessian(tanh_layer, t(X)), errors.ShapeError, r"hessian: func must return a single .*\(4,\)"),
        (lambda: hvp(tanh_layer, t(X), t(V)), errors.ShapeError, r"func must return a single element, got shape"),
        (lambda: hvp(lambda x: (x.sum(), x.sum()), t(X), t(V)), errors.ShapeError, "single"),
    ],
)
def test_mistakes_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.torch
def test_the_same_as_pytorch_on_a_network() -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    af = torch.autograd.functional
    w1, w2, x, v = (RNG.normal(size=s) for s in ((5, 3), (2, 5), (3,), (3,)))

    def network(m: Any) -> Any:
        a, b = (t(w1), t(w2)) if m is mg else (torch.tensor(w1), torch.tensor(w2))
        return lambda x: (b @ (a @ x).sigmoid().exp()).softmax(0)

    def loss(m: Any) -> Any:
        return lambda x: (network(m)(x) ** 3).sum()

    ours, theirs = (t(x), t(v)), (torch.tensor(x), torch.tensor(v))
    u = RNG.normal(size=2)
    pairs = [
        (vjp(network(mg), ours[0], t(u)), af.vjp(network(torch), theirs[0], torch.tensor(u))),
        (jvp(network(mg), *ours), af.jvp(network(torch), *theirs)),
        (hvp(loss(mg), *ours), af.hvp(loss(torch), *theirs)),
        (vhp(loss(mg), *ours), af.vhp(loss(torch), *theirs)),
        ([jacobian(network(mg), ours[0])], [af.jacobian(network(torch), theirs[0])]),
        ([hessian(loss(mg), ours[0])], [af.hessian(loss(torch), theirs[0])]),
    ]
    for have, want in pairs:
        for a, b in zip(have, want, strict=True):
            assert close(a, b.numpy())
