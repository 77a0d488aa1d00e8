"""Operators take a short way through the engine where they can: it must lead to the same place as the general call."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Tensor
from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, MutationError, ShapeError

OPS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "add": (operator.add, minigrad.add), "sub": (operator.sub, minigrad.sub), "mul": (operator.mul, minigrad.mul),
    "div": (operator.truediv, minigrad.div), "floor_divide": (operator.floordiv, minigrad.floor_divide),
    "remainder": (operator.mod, minigrad.remainder), "pow": (operator.pow, minigrad.pow),
    "lt": (operator.lt, minigrad.lt), "le": (operator.le, minigrad.le), "gt": (operator.gt, minigrad.gt),
    "ge": (operator.ge, minigrad.ge), "eq": (operator.eq, minigrad.eq), "ne": (operator.ne, minigrad.ne),
    "bitwise_and": (operator.and_, minigrad.bitwise_and), "bitwise_or": (operator.or_, minigrad.bitwise_or),
    "bitwise_xor": (operator.xor, minigrad.bitwise_xor),
}  # fmt: skip


def tensors() -> dict[str, Tensor]:
    made = {
        f"{dtype} {shape}": minigrad.tensor(np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape).astype(dtype))
        for dtype in ("float64", "float32", "float16", "int64", "int8", "bool")
        for shape in ((), (1,), (3,), (2, 3), (0,))
    }
    for name, t in list(made.items()):
        if t.dtype.kind == "f":
            made[f"{name} recorded"] = t.detach().clone().requires_grad_()
    return made


TENSORS = tensors()
NUMBERS = [2, -1, 2.5, 0.0, True, float("nan"), 1e300, 10**400, np.float32(1.5), np.int64(3), np.array([1.0, 2.0, 3.0])]


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """What a call gives: dtype, values and record, or the class and words of its error."""
    try:
        out = function(*args)
    except minigrad.MinigradError as error:
        return type(error), str(error)
    return out.dtype, out.shape, out._array.tobytes(), out.requires_grad, out.grad_fn


@pytest.mark.parametrize("name", OPS)
def test_every_operator_is_its_op(name: str) -> None:
    symbol, op = OPS[name]
    compared = 0
    for x in TENSORS.values():
        for y in TENSORS.values():
            assert outcome(symbol, x, y) == outcome(op, x, y), (x, y)
            compared += 1
        for number in NUMBERS:
            assert outcome(symbol, x, number) == outcome(op, x, number), (x, number)
    assert compared == len(TENSORS) ** 2


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "floor_divide", "remainder", "pow"])
def test_every_reflected_operator_is_its_op(name: str) -> None:
    symbol, op = OPS[name]
    for x in TENSORS.values():
        for number in NUMBERS:
            if name == "pow" and isinstance(number, np.ndarray) and x.numel() == 1:
                continue  # older versions of NumPy answer themselves, taking an integer exponent for an index
            assert outcome(symbol, number, x) == outcome(op, number, x), (number, x)


def test_nothing_is_recorded_without_grad() -> None:
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    with minigrad.no_grad():
        assert not (x * x).requires_grad
        assert (2.0 * x).grad_fn is None
    assert (x * x).requires_grad


def test_a_number_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match=r"add: .*range of int8"):
        minigrad.tensor([1], dtype=minigrad.int8) + 1000
    with pytest.raises(ArgumentTypeError, match=r"mul: .*a real number"):
        minigrad.tensor(1.0) * "2"
    with pytest.raises(ShapeError, match=r"add: .*do not broadcast"):
        minigrad.ones(2) + minigrad.ones(3)
    with pytest.raises(DtypeError, match="bitwise_and"):
        minigrad.ones(2) & minigrad.ones(2)


def test_errors_do_not_show_the_way_they_took() -> None:
    with pytest.raises(ShapeError) as caught:
        minigrad.ones(2) + minigrad.ones(3)
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.__cause__.__context__ is None


def polynomial(x: Any, y: Any, z: Any) -> Any:
    shared = x * y - z / (y + 2.0)
    return ((shared + shared * x) / (1.0 + y * y) - (3 - z) * shared).sum()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("shapes", [((), (), ()), ((2, 3), (), (3,)), ((2, 1), (1, 3), ()), ((1,), (), (0,))])
def test_backward_on_arrays_is_backward_on_tensors(dtype: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(0)
    leaves = [minigrad.tensor(rng.uniform(0.5, 1.5, s).astype(dtype)).requires_grad_() for s in shapes]
    recorded = minigrad.grad(polynomial(*leaves), leaves, create_graph=True)
    plain = minigrad.grad(polynomial(*leaves), leaves)
    polynomial(*leaves).backward()
    tolerance = {"float64": 1e-13, "float32": 1e-5, "float16": 1e-2}[dtype]
    for leaf, g, want in zip(leaves, plain, recorded, strict=True):
        assert want is not None
        assert g is not None
        assert leaf.grad is not None
        assert (g.dtype, g.shape, g.requires_grad) == (want.dtype, want.shape, False)
        assert np.allclose(g.numpy(), want.detach().numpy(), tolerance, tolerance)
        assert np.array_equal(leaf.grad.numpy(), g.numpy())


def test_gradients_do_not_share_memory() -> None:
    x, y = minigrad.ones(2).requires_grad_(), minigrad.ones(2).requires_grad_()
    seed = minigrad.tensor([1.0, 2.0])
    gx, gy = minigrad.grad(x + y, [x, y], seed)
    assert gx is not None
    assert gy is not None
    gx.add_(5.0)
    assert gy.tolist() == [1.0, 2.0]
    assert seed.tolist() == [1.0, 2.0]


def test_options_of_an_op_are_not_lost_on_the_way_back() -> None:
    x, y = minigrad.tensor(1.0, requires_grad=True), minigrad.tensor(2.0, requires_grad=True)
    minigrad.add(x, y, alpha=3).backward()
    assert (x.grad.item(), y.grad.item()) == (1.0, 3.0)  # type: ignore[union-attr]


def test_a_changed_operand_is_noticed_on_arrays_too() -> None:
    x, y = minigrad.tensor(1.0, requires_grad=True), minigrad.tensor(2.0)
    product = x * y
    y.add_(1.0)
    with pytest.raises(MutationError, match=r"mul: its input 1"):
        product.backward()


def test_a_wrong_vjp_is_named() -> None:
    @minigrad.op(broadcasts=False)
    def glue(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x + y

    glue.defvjp(lambda g, out, x, y: g * 1, lambda g, out, x, y: g[:1], on_arrays=True)
    x = minigrad.ones(2).requires_grad_()
    with pytest.raises(minigrad.errors.VjpError, match=r"glue: the vjp of input 1 returned shape \(1,\)"):
        glue(x, x).backward(minigrad.ones(2))


def test_a_gradient_does_not_share_the_memory_of_its_tensor() -> None:
    @minigrad.op
    def half_square(x: np.ndarray) -> np.ndarray:
        return x * x / 2

    half_square.defvjp(lambda g, out, x: x)  # right for g = 1, and the input itself
    x = minigrad.tensor([1.0], requires_grad=True)
    half_square(x).backward()
    assert x.grad is not None
    x.grad.zero_()
    assert x.tolist() == [1.0]
