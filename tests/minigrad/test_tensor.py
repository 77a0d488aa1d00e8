"""Tensors: what they share, what they copy, and that no change of a value gives a wrong gradient silently."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.nn import functional as F

# --- changes between the forward and the backward pass ----------------------------------------------------------


def under_no_grad(change: Callable[[mg.Tensor], object]) -> Callable[[mg.Tensor], object]:
    return mg.no_grad()(change)


def augmented(t: mg.Tensor) -> None:
    t += 1.5


def through_numpy(t: mg.Tensor) -> None:
    t.detach().numpy()[...] += 1.5


def first_of(t: mg.Tensor) -> mg.Tensor:
    return t[0] if t.ndim else t


def step(t: mg.Tensor) -> None:
    t.grad = mg.ones_like(t)
    mg.optim.SGD([t], lr=1.5).step()


# Everything that changes the values of a leaf or of an intermediate result; leaves only where `leaf` is in the name.
CHANGES: dict[str, Callable[[mg.Tensor], object]] = {
    "add_": under_no_grad(lambda t: t.add_(1.5)),
    "sub_": under_no_grad(lambda t: t.sub_(1.5)),
    "mul_": under_no_grad(lambda t: t.mul_(3.0)),
    "div_": under_no_grad(lambda t: t.div_(3.0)),
    "zero_": under_no_grad(lambda t: t.zero_()),
    "fill_": under_no_grad(lambda t: t.fill_(0.25)),
    "copy_": under_no_grad(lambda t: t.copy_(t * 2)),
    "+=": under_no_grad(augmented),
    "data": lambda t: setattr(t, "data", t.detach() * 2),
    "data in place": lambda t: t.data.mul_(2),
    "numpy": through_numpy,
    "asarray": lambda t: np.asarray(t.detach()).__imul__(2),
    "view x[0]": under_no_grad(lambda t: first_of(t).mul_(2)),
    "view reshape": under_no_grad(lambda t: t.reshape(-1).add_(1)),
    "view transpose": under_no_grad(lambda t: t.transpose(0, -1).add_(1)),
    "view detach": lambda t: t.detach().add_(1),
    "view of a view": lambda t: t.detach().reshape(-1)[:1].mul_(7),
    "view numpy": lambda t: t.detach().reshape(-1)[:1].numpy().fill(0.3),
    "init": lambda t: mg.nn.init.uniform_(t, 0.1, 0.2),
    "leaf optimizer": step,
}

UNARY = [
    "abs", "amax", "amin", "clone", "cos", "exp", "expm1", "flatten", "log", "log1p", "max", "mean", "min",
    "reciprocal", "relu", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "square", "squeeze", "std", "sum", "t", "tanh",
    "var",
]  # fmt: skip


def of_one(name: str) -> Callable[..., Any]:
    def function(x: mg.Tensor, y: mg.Tensor) -> Any:
        return getattr(x, name)()

    function.__name__ = name
    return function


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "pow 3": lambda x, y: x**3,
    "rpow": lambda x, y: 3.0**x,
    "neg": lambda x, y: -x,
    "maximum": mg.maximum,
    "minimum": mg.minimum,
    "where": lambda x, y: mg.where(x > y, x, y),
    "masked_fill": lambda x, y: x.masked_fill(y > 1, 2.0),
    "clamp": lambda x, y: x.clamp(0.5, 1.5),
    **{op.__name__: op for op in map(of_one, UNARY)},
    "logsumexp": lambda x, y: x.logsumexp(1),
    "softmax": lambda x, y: x.softmax(1),
    "log_softmax": lambda x, y: x.log_softmax(0),
    "max dim": lambda x, y: x.max(1).values,
    "matmul": lambda x, y: x @ y.t(),
    "linear": lambda x, y: F.linear(x, y, y[:, 0]),
    "reshape": lambda x, y: x.reshape(6),
    "expand": lambda x, y: x.unsqueeze(0).expand(4, 2, 3),
    "getitem": lambda x, y: x[1],
    "getitem mask": lambda x, y: x[x > 1],
    "gather": lambda x, y: x.gather(1, mg.tensor([[0], [2]])),
    "cat": lambda x, y: mg.cat([x, y]),
    "stack": lambda x, y: mg.stack([x, y], 1),
    "float": lambda x, y: x.float(),
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "bce": F.binary_cross_entropy_with_logits,
    "cross entropy": lambda x, y: F.cross_entropy(x, mg.tensor([2, 0])),
    "soft cross entropy": lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
    "batch_norm": lambda x, y: F.batch_norm(x, None, None, y[0], y[1], training=True),
    "batch_norm eval": lambda x, y: F.batch_norm(x, y[0].detach(), y[1].detach(), y[0], y[1]),
    "batch_norm reshaped": lambda x, y: F.batch_norm(x.t(), None, None, training=True),
}

X, Y = np.array([[0.7, 1.9, 1.2], [2.3, 0.4, 1.6]]), np.array([[1.1, 0.8, 2.2], [0.9, 1.7, 0.6]])


def inputs() -> tuple[mg.Tensor, mg.Tensor]:
    return mg.tensor(X, requires_grad=True), mg.tensor(Y, requires_grad=True)


def weights(out: mg.Tensor) -> mg.Tensor:
    return mg.tensor(np.linspace(1.0, 2.0, out.numel()).reshape(out.shape))


def weighted(out: mg.Tensor) -> mg.Tensor:
    return (out * weights(out)).sum()


def gradients(out: mg.Tensor, x: mg.Tensor, y: mg.Tensor) -> list[np.ndarray]:
    """Straight from the op's output, so that no other op can notice a change instead of the one under test."""
    found = mg.grad(out, [x, y], weights(out), allow_unused=True)
    return [np.zeros((2, 3)) if g is None else g.detach().numpy() for g in found]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_changed_value_is_an_error_or_does_not_matter(name: str) -> None:
    function, refused = FUNCTIONS[name], 0
    x, y = inputs()
    expected = gradients(function(x, y), x, y)
    for what, change in CHANGES.items():
        for victim in ("x", "y", "output", "middle"):
            if ("leaf" in what and victim not in ("x", "y")) or (name == "expand" and victim == "output"):
                continue  # an expanded tensor is read-only
            x, y = inputs()
            middle = x * 1
            out = function(middle if victim == "middle" else x, y)
            change({"x": x, "y": y, "output": out, "middle": middle}[victim])
            try:
                found = gradients(out, x, y)
            except errors.MutationError:
                refused += 1
                continue
            for have, want in zip(found, expected, strict=True):
                assert np.allclose(have, want, rtol=1e-12), f"{name}: {what} of {victim} gave a wrong gradient silently"
    assert refused or name in LINEAR, f"{name}: nothing was ever refused, so this test cannot have changed a value"


# Ops whose gradient does not depend on any value, or on none that can be reached: changes never matter.
LINEAR = {
    "add", "sub", "neg", "sign", "clone", "sum", "mean", "t", "flatten", "squeeze", "where", "masked_fill", "max dim",
    "reshape", "expand", "getitem", "getitem mask", "gather", "cat", "stack", "float", "mse", "l1",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LINEAR - {"mean", "max dim", "getitem mask", "expand"}))
@pytest.mark.parametrize("victim", ["x", "output"])
def test_a_change_that_does_not_matter_is_allowed(name: str, victim: str) -> None:
    x, y = inputs()
    expected = gradients(FUNCTIONS[name](x, y), x, y)
    x, y = inputs()
    out = FUNCTIONS[name](x, y)
    CHANGES["add_"](x if victim == "x" else out)
    for have, want in zip(gradients(out, x, y), expected, strict=True):
        assert np.array_equal(have, want)


@pytest.mark.parametrize("name", ["exp", "sqrt", "tanh", "sigmoid", "softmax", "log_softmax", "rsqrt"])
def test_ops_that_need_their_output_do_not_need_their_input(name: str) -> None:
    x, y = inputs()
    expected = gradients(FUNCTIONS[name](x, y), x, y)[0]
    x, y = inputs()
    out = FUNCTIONS[name](x, y)
    CHANGES["add_"](x)
    assert np.array_equal(gradients(out, x, y)[0], expected)
    x, y = inputs()
    out = FUNCTIONS[name](x, y)
    CHANGES["add_"](out)
    with pytest.raises(errors.MutationError, match=rf"{name}: its output \(shape \(2, 3\), float64\) was changed"):
        gradients(out, x, y)


def test_the_error_names_the_op_the_input_and_its_shape() -> None:
    x, y = inputs()
    out = (x * y).sum()
    CHANGES["add_"](y)
    with pytest.raises(errors.MutationError, match=r"mul: its input 1 \(shape \(2, 3\), float64\) was changed"):
        out.backward()
    assert issubclass(errors.MutationError, RuntimeError)


def test_an_optimizer_step_between_forward_and_backward() -> None:
    model = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.Tanh(), mg.nn.Linear(4, 1))
    optimizer = mg.optim.Adam(model.parameters())
    x = mg.tensor(X, dtype=mg.float32)
    first, second = model(x).sum(), model(x).square().sum()
    first.backward()
    optimizer.step()
    with pytest.raises(errors.MutationError, match="linear"):
        second.backward()
    for _ in range(3):  # the usual order is never refused
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def test_numpy_arrays_that_were_given_to_the_tape() -> None:
    array = X.copy()
    w = mg.tensor(Y, requires_grad=True)
    loss = (w * mg.from_numpy(array)).sum()
    array[0, 0] = 9.0
    with pytest.raises(errors.MutationError):
        loss.backward()
    loss = (w * array).sum()  # an operand that is an array is shared as well
    array *= 2
    with pytest.raises(errors.MutationError):
        loss.backward()
    loss = (w * mg.from_numpy(array)).sum()
    loss.backward()  # unchanged since
    assert np.array_equal(w.grad.numpy(), array)
    loss = (w * mg.tensor(array)).sum()  # a copy
    array[...] = 0
    loss.backward()


def test_a_slice_of_an_array_is_only_concerned_with_itself() -> None:
    data = np.arange(12.0).reshape(4, 3)
    w = mg.ones(2, 3, dtype=mg.float64, requires_grad=True)
    batch = mg.from_numpy(data[:2])
    loss = (w * batch).sum()
    data[2:] = -1.0  # another batch
    loss.backward()
    assert np.array_equal(w.grad.numpy(), np.arange(6.0).reshape(2, 3))
    loss = (w * batch).sum()
    data[0, 0] = 5.0
    with pytest.raises(errors.MutationError):
        loss.backward()


def test_numpy_views_taken_before_and_after_recording() -> None:
    for early in (True, False):
        x, w = mg.tensor(X), mg.tensor(Y, requires_grad=True)
        array = x.numpy() if early else None
        loss = (w * x).sum()
        array = x.numpy() if array is None else array
        array[1, 1] += 1
        with pytest.raises(errors.MutationError):
            loss.backward()


def test_a_copy_made_by_reshape_is_watched_on_its_own() -> None:
    x = mg.tensor(X, requires_grad=True)
    flat = x.t().reshape(-1)  # not a view: the elements do not lie in this order
    loss = (flat * flat).sum()
    flat.detach().numpy()[0] = 100.0
    with pytest.raises(errors.MutationError):
        loss.backward()
    flat = x.t().reshape(-1)
    loss = (x * x).sum()
    CHANGES["add_"](flat)  # not x
    loss.backward()
    assert np.array_equal(x.grad.numpy(), 2 * X)


def test_conditions_and_running_statistics_are_remembered_as_they_were() -> None:
    x, _ = inputs()
    mask = X > 1
    loss = mg.where(mask, x, 0.0).sum()
    mask[...] = False
    loss.backward()
    assert np.array_equal(x.grad.numpy(), (X > 1).astype(float))

    norm = mg.nn.BatchNorm1d(3, dtype=mg.float64).eval()
    x, _ = inputs()
    loss = weighted(norm(x).square())
    (expected,) = mg.grad(loss, x, retain_graph=True)
    norm.train()(x.detach() * 10)
    assert np.array_equal(mg.grad(loss, x)[0].numpy(), expected.numpy())


def test_several_outputs_are_watched() -> None:
    @mg.op
    def sincos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(x), np.cos(x)

    sincos.defvjp(lambda g, out, x: g[0] * out[1] - g[1] * out[0])
    for what, change in CHANGES.items():
        if "leaf" in what or what in ("view transpose", "data"):
            continue
        x = mg.tensor(X, requires_grad=True)
        s, c = sincos(x)
        loss = s.sum()
        change(c)
        with pytest.raises(errors.MutationError, match=r"sincos: its output"):
            loss.backward()


def test_indices_are_remembered_as_they_were() -> None:
    x, _ = inputs()
    rows = np.array([1, 1])
    index = mg.tensor([[0, 1], [2, 2]])
    loss = weighted(x[rows]) + weighted(x.gather(1, index))
    expected = mg.grad(loss, x, retain_graph=True)[0].numpy()
    rows[:] = 0
    index.zero_()
    assert np.array_equal(mg.grad(loss, x)[0].numpy(), expected)


def test_a_change_between_backward_passes_of_second_order() -> None:
    x, _ = inputs()
    (g,) = mg.grad((x**3).sum(), x, create_graph=True)
    penalty = (g * g).sum()
    CHANGES["add_"](x)
    with pytest.raises(errors.MutationError):
        penalty.backward()


def test_a_gradient_that_a_graph_uses_cannot_be_accumulated_into_unnoticed() -> None:
    x, _ = inputs()
    (x * 2).sum().backward()
    w = mg.tensor(Y, requires_grad=True)
    loss = (x.grad * w).sum()
    (x * 2).sum().backward()  # adds to x.grad in place
    with pytest.raises(errors.MutationError):
        loss.backward()


@pytest.mark.parametrize("changes", [0, 1, 2, 3])  # as many as before: the count alone would look unchanged
def test_a_conversion_of_parameters_is_a_change(changes: int) -> None:
    layer = mg.nn.Linear(3, 2)
    optimizer = mg.optim.SGD(layer.parameters(), lr=0.1)
    x = mg.tensor(X, dtype=mg.float32)
    layer(x).sum().backward()
    optimizer.step()  # versions now differ from zero
    loss = (layer.weight * layer.weight).sum()
    layer.double()
    with mg.no_grad():
        for _ in range(changes):
            layer.weight.mul_(2)
    with pytest.raises(errors.MutationError):
        loss.backward()


def test_data_assignment_shares_and_is_noticed() -> None:
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    p.data = p.data - 0.5
    assert p.tolist() == [0.5, 1.5]
    assert p.is_leaf
    loss = (p * p).sum()
    loss.backward()
    assert p.grad.tolist() == [1.0, 3.0]
    q = mg.tensor([7.0, 8.0])
    p.data = q
    loss = (p * p).sum()
    q.add_(1)
    with pytest.raises(errors.MutationError):
        loss.backward()


# --- in place ---------------------------------------------------------------------------------------------------


def test_in_place_methods_compute_and_return_the_tensor() -> None:
    t = mg.tensor([1.0, 2.0])
    assert t.add_(1, alpha=2) is t
    assert t.tolist() == [3.0, 4.0]
    assert t.sub_(mg.tensor([1.0, 1.0]), alpha=2).tolist() == [1.0, 2.0]
    assert t.mul_(4).div_(2).tolist() == [2.0, 4.0]
    assert t.copy_(mg.tensor(5.0)).tolist() == [5.0, 5.0]
    assert t.fill_(3).zero_().tolist() == [0.0, 0.0]
    u = t
    t += 1
    t *= 6
    t -= 2
    t /= 4
    assert u is t
    assert t.tolist() == [1.0, 1.0]


def test_augmented_assignment_of_recorded_tensors_makes_a_new_one() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    total = x * 1
    first = total
    total += x
    total *= 2
    assert first.tolist() == [1.0, 2.0]
    total.sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    t = mg.tensor([1.0, 1.0])
    t += x  # joins the graph
    assert t.requires_grad


def test_views_of_one_element_and_of_parts_are_views() -> None:
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    t[0, 0].fill_(9.0)
    t[1].mul_(2)
    t.flatten()[1].zero_()
    assert t.tolist() == [[9.0, 0.0], [6.0, 8.0]]


def test_augmented_assignment_to_a_part_works_where_nothing_is_recorded() -> None:
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    t[0] += 1
    t[1, 1] *= 5
    t[:, 0] -= mg.tensor([1.0, 2.0])
    assert t.tolist() == [[1.0, 3.0], [1.0, 20.0]]
    p = mg.ones(2, requires_grad=True)
    loss = (p * p).sum()
    with mg.no_grad():
        p[0] += 1
    assert p.tolist() == [2.0, 1.0]
    with pytest.raises(errors.MutationError):
        loss.backward()
    with pytest.raises(errors.ItemAssignmentError):
        t[0] = t[1]  # another part of the same memory
    with pytest.raises(errors.ItemAssignmentError):
        t[[0, 1]] += 1  # a copy was changed, which would be lost
    with pytest.raises(errors.ItemAssignmentError):
        p[0] += 1
    assert t.tolist() == [[1.0, 3.0], [1.0, 20.0]]
    assert p.tolist() == [2.0, 1.0]


def test_in_place_keeps_the_dtype_or_refuses() -> None:
    t = mg.tensor([1, 2])
    with pytest.raises(errors.DtypeError, match="int64"):
        t.add_(1.5)
    assert t.tolist() == [1, 2]
    assert mg.tensor([1.0, 2.0]).add_(mg.tensor([1.0, 1.0], dtype=mg.float64)).dtype == mg.float32


def test_overlapping_copies_are_right() -> None:
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    t.copy_(t.t())
    assert t.tolist() == [[1.0, 3.0], [2.0, 4.0]]


# --- making, copying, reading -----------------------------------------------------------------------------------


def test_dtypes_are_those_of_pytorch() -> None:
    assert mg.tensor(1.0).dtype == mg.float32
    assert mg.tensor([1, 2]).dtype == mg.int64
    assert mg.tensor([True]).dtype == mg.bool
    assert mg.tensor([1, 2.5]).dtype == mg.float32
    assert mg.tensor([]).dtype == mg.float32
    assert mg.tensor(np.ones(2)).dtype == mg.float64
    assert mg.tensor([np.ones(2), np.ones(2)]).dtype == mg.float64
    assert mg.tensor([mg.tensor(1.0), mg.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert mg.tensor(mg.tensor([1], dtype=mg.int32)).dtype == mg.int32
    assert mg.tensor([1.0], dtype=float).dtype == mg.float32
    assert mg.tensor([1.0], dtype=int).dtype == mg.int64


def test_the_default_dtype_can_be_changed() -> None:
    try:
        mg.set_default_dtype(mg.float64)
        assert mg.tensor(1.0).dtype == mg.get_default_dtype() == mg.zeros(2).dtype == mg.float64
    finally:
        mg.set_default_dtype(mg.float32)
    with pytest.raises(errors.DtypeError, match="only floating"):
        mg.set_default_dtype(mg.int64)


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.ones(3)
    copied, shared = mg.tensor(array), mg.from_numpy(array)
    array[0] = 5
    assert copied.tolist() == [1, 1, 1]
    assert shared.tolist() == [5, 1, 1]
    shared.mul_(2)
    assert array.tolist() == [10, 2, 2]
    assert mg.as_tensor(shared) is shared
    assert mg.as_tensor(array)._array is array
    assert mg.as_tensor(array, dtype=mg.float32)._array is not array


def test_detach_shares_memory_and_forgets_history() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2).detach()
    assert (y.requires_grad, y.is_leaf, y.grad_fn) == (False, True, None)
    d = x.detach()
    d.mul_(3)
    assert x.tolist() == [3.0, 6.0]


def test_requires_grad_switches() -> None:
    x = mg.tensor([1.0])
    assert x.requires_grad_() is x
    x.requires_grad = False
    assert not x.requires_grad
    assert not (x * 2).requires_grad


def test_reading() -> None:
    x = mg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert (x.shape, x.size(), x.size(1), x.size(-2), x.ndim, x.dim(), x.numel(), len(x)) == (
        (2, 3), (2, 3), 3, 2, 2, 2, 6, 2,
    )  # fmt: skip
    assert [row.tolist() for row in x] == x.tolist()
    _, b = x
    assert b.tolist() == [4.0, 5.0, 6.0]
    assert x.T.shape == x.mT.shape == (3, 2)
    assert 5.0 in x
    assert 7 not in x
    assert float(mg.tensor([2.5])) == 2.5
    assert int(mg.tensor(3)) == 3
    assert [10, 20, 30][mg.tensor(1)] == 20
    assert f"{mg.tensor(3.14159):.2f}" == "3.14"
    assert bool(mg.tensor(0.0)) is False


def test_iteration_keeps_gradients() -> None:
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    sum(v * k for k, v in enumerate(x)).backward()
    assert x.grad.tolist() == [0.0, 1.0, 2.0]


def test_tensors_are_keys_and_compare_elementwise() -> None:
    a, b = mg.tensor([1.0, 2.0]), mg.tensor([1.0, 3.0])
    assert (a == b).tolist() == [True, False]
    assert (a != b).tolist() == [False, True]
    assert {a: 1, b: 2}[a] == 1
    assert (a == None) is False  # noqa: E711
    assert (a == "text") is False


def test_operators_with_numpy_on_either_side() -> None:
    t, a = mg.tensor([1.0, 2.0], dtype=mg.float64, requires_grad=True), np.array([3.0, 5.0])
    for result, expected in [
        (a + t, [4, 7]), (t + a, [4, 7]), (a - t, [2, 3]), (a * t, [3, 10]), (a / t, [3, 2.5]), (a**t, [3, 25]),
        (a @ t, 13), (np.float32(2) * t, [2, 4]), (2 - t, [1, 0]), (2 / t, [2, 1]), (2**t, [2, 4]),
    ]:  # fmt: skip
        assert isinstance(result, mg.Tensor)
        assert result.requires_grad
        assert np.allclose(result.detach().numpy(), expected)
    for result, expected in [
        (a > t, [True, True]), (a == t, [False, False]), (a != t, [True, True]), (a <= t, [False, False]),
    ]:  # fmt: skip
        assert isinstance(result, mg.Tensor)
        assert result.tolist() == expected


def test_repr_shows_values_dtype_and_origin() -> None:
    assert repr(mg.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(mg.tensor([1.0], dtype=mg.float64)) == "tensor([1.], dtype=float64)"
    x = mg.tensor([1.0], requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x.exp()) == "tensor([2.7183], grad_fn=<exp>)"
    assert repr(mg.tensor([True, False])) == "tensor([ True, False])"
    assert repr(mg.zeros(0, 3)) == "tensor([], size=(0, 3))"
    assert repr(mg.nn.Parameter(mg.ones(1))).startswith("Parameter containing:\ntensor([1.]")


def test_copies_and_pickles_of_leaves() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.copy(x)):
        assert y.tolist() == x.tolist()
        assert y.requires_grad
        y.detach().zero_()
        assert x.tolist() == [1.0, 2.0]
    twin = copy.deepcopy(x)
    twin.grad.zero_()
    assert x.grad.tolist() == [2.0, 4.0]
    pair = [x, x]
    first, second = copy.deepcopy(pair)
    assert first is second
    p = mg.nn.Parameter(mg.ones(2))
    assert type(copy.deepcopy(p)) is type(pickle.loads(pickle.dumps(p))) is mg.nn.Parameter


def test_creation() -> None:
    assert mg.zeros(2, 3).shape == mg.zeros((2, 3)).shape == (2, 3)
    assert mg.full((2,), 7).dtype == mg.int64
    assert mg.full_like(mg.ones(2), 3.0).tolist() == [3.0, 3.0]
    assert mg.ones_like(mg.tensor([1, 2])).dtype == mg.int64
    assert mg.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert mg.arange(3).tolist() == [0, 1, 2]
    assert mg.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert mg.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert mg.linspace(0, 1, 5).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert mg.zeros(2, requires_grad=True).requires_grad
    with pytest.raises(errors.ArgumentError, match="does not lead"):
        mg.arange(5, 0)
    with pytest.raises(errors.ArgumentTypeError, match="sizes must be integers"):
        mg.zeros(2.5)
    with pytest.raises(errors.ShapeError, match=">= 0"):
        mg.zeros(-1)
