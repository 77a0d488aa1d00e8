"""Every mistake has an error of ours: what was wrong, what we got, what to write instead.

Each case is run against PyTorch too, where it is installed: our class must derive from the built-in that it raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

ones = np.ones


def leaf(m: Any) -> Any:
    return m.ones(2, requires_grad=True)


def in_place_on_output(m: Any) -> None:
    y = leaf(m).exp()
    y.add_(1)
    y.sum().backward()


def backward_twice(m: Any) -> None:
    y = leaf(m).exp().sum()
    y.backward()
    y.backward()


def assign(m: Any) -> None:
    x = mg.ones(3)
    x[0] = 5.0


def assign_augmented(m: Any) -> None:
    x = mg.ones(3, requires_grad=True)
    x[0] += 5.0


def delete(m: Any) -> None:
    x = m.ones(3)
    del x[0]


def unpack(m: Any) -> None:
    _, _ = m.tensor(1.0)


def set_attribute(name: str, value: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda m: setattr(leaf(m), name, value(m))


# (what, function of the library, our class, pattern of our message, whether PyTorch raises too)
CASES: list[tuple[str, Callable[[Any], Any], type[Exception], str, bool]] = [
    # --- requires_grad
    ("integer requires_grad", lambda m: m.tensor([1, 2], requires_grad=True), errors.DtypeError,
     r"requires_grad: only floating.*int64; write x\.float\(\)\.requires_grad_\(\)", True),
    ("bool requires_grad_", lambda m: m.tensor([True]).requires_grad_(), errors.DtypeError, "bool", True),
    ("requires_grad off on an output", lambda m: (leaf(m) * 2).requires_grad_(False), errors.InPlaceError,
     r"output of 'mul'; write x\.detach\(\)", True),
    # --- data
    ("ragged list", lambda m: m.tensor([[1, 2], [3]]), errors.ShapeError, "tensor: .*rows of different lengths", True),
    ("string", lambda m: m.tensor("abc"), errors.DtypeError, "tensor: expected numbers, got str.*'abc'", True),
    ("list of strings", lambda m: m.tensor(["a", "b"]), errors.DtypeError, "expected numbers, got list", False),
    ("None", lambda m: m.tensor(None), errors.DtypeError, "got NoneType", True),
    ("object array", lambda m: m.tensor(np.array([{}, []], dtype=object)), errors.DtypeError, "of object", True),
    ("unsupported dtype", lambda m: m.tensor(ones(2, np.longdouble)), errors.DtypeError,
     r"float128|longdouble.*the dtypes are bool, float16", True),
    ("complex array", lambda m: mg.tensor(np.array([1j])), errors.DtypeError, "got ndarray of complex128", False),
    ("complex number", lambda m: mg.tensor(1j), errors.DtypeError, "got complex of complex128", False),
    ("complex operand", lambda m: mg.ones(2) * 1j, errors.ArgumentTypeError, "mul: .*real number, got complex", False),
    ("not a dtype", lambda m: mg.ones(2).to("foo"), errors.DtypeError,
     r"'foo' is not a dtype; .*minigrad\.float32", True),
    ("a device", lambda m: mg.ones(2).to("mps"), errors.DeviceError, "'mps'", False),
    ("from_numpy of a list", lambda m: m.from_numpy([1.0]), errors.ArgumentTypeError,
     r"from_numpy: expected a NumPy array, got list; write minigrad\.tensor", True),
    ("from_numpy of strings", lambda m: m.from_numpy(np.array(["a"])), errors.DtypeError, "<U1 is not supported", True),
    # --- NumPy
    ("np.exp", lambda m: np.exp(mg.ones(2)), errors.NumpyFunctionError,
     r"numpy\.exp: called on a Tensor of shape \(2,\).*write minigrad\.exp\(x\)", False),
    ("np.sum", lambda m: np.sum(mg.ones(2)), errors.NumpyFunctionError, r"numpy\.sum: .*minigrad\.sum", False),
    ("np.mean with grad", lambda m: np.mean(leaf(mg)), errors.NumpyFunctionError, r"numpy\.mean", False),
    ("np.stack", lambda m: np.stack([mg.ones(2), mg.ones(2)]), errors.NumpyFunctionError, "minigrad.stack", False),
    ("np.convolve", lambda m: np.convolve(mg.ones(2), mg.ones(2)), errors.NumpyFunctionError,
     r"numpy\.convolve: .*the minigrad function of that purpose", False),
    ("np.add(t, a)", lambda m: np.add(mg.ones(2), ones(2)), errors.NumpyFunctionError, "minigrad.add", False),
    ("np.add.reduce", lambda m: np.add.reduce(mg.ones(2)), errors.NumpyFunctionError, "numpy.add", False),
    ("np.exp into an array", lambda m: np.exp(ones(2), out=mg.ones(2)), errors.NumpyFunctionError, "numpy.exp", False),
    ("array += t", lambda m: ones(2).__iadd__(mg.ones(2)), errors.NumpyFunctionError, "numpy.add", False),
    ("np.logaddexp(a, t)", lambda m: np.logaddexp(ones(2), mg.ones(2)), errors.NumpyFunctionError, "logaddexp", False),
    ("np.asarray with grad", lambda m: np.asarray(leaf(m)), errors.InPlaceError,
     r"numpy\(\): .*shape \(2,\)\) requires grad.*write x\.detach\(\)\.numpy\(\)", True),
    ("numpy() with grad", lambda m: leaf(m).numpy(), errors.InPlaceError, r"write x\.detach\(\)\.numpy\(\)", True),
    ("t * array of objects", lambda m: mg.ones(2) * np.array([{}, {}]), errors.DtypeError, "mul: .*object", False),
    ("t * array of strings", lambda m: mg.ones(1) * np.array(["a"]), errors.DtypeError, "mul: .*<U1", False),
    ("t * array of uint16", lambda m: mg.ones(1) * ones(1, np.uint16), errors.DtypeError, "mul: .*uint16", False),
    ("t * complex array", lambda m: mg.ones(1) * np.array([1j]), errors.DtypeError, "mul: .*complex128", False),
    # --- assignment
    ("item assignment", assign, errors.ItemAssignmentError,
     r"\(shape \(3,\)\) is not assigned.*minigrad\.where", False),
    ("augmented item assignment", assign_augmented, errors.ItemAssignmentError, "is not assigned", False),
    ("del", delete, errors.ItemAssignmentError, "do not change their size", True),
    ("grad = array", set_attribute("grad", lambda m: ones(2)), errors.ArgumentTypeError,
     "grad: expected a Tensor or None, got ndarray", True),
    ("grad of another shape", set_attribute("grad", lambda m: m.ones(3)), errors.ShapeError,
     r"grad: expected shape \(2,\) float32.*got \(3,\) float32", True),
    ("data of another shape", set_attribute("data", lambda m: mg.ones(3)), errors.ShapeError, "data: expected", False),
    # --- reading
    ("bool of many", lambda m: bool(m.ones(2)), errors.ShapeError,
     r"bool\(\).*\(2,\).*write \(x == y\)\.all\(\)", True),
    ("and of many", lambda m: m.ones(2) and 1, errors.ShapeError, r"bool\(\)", True),
    ("len of 0-dim", lambda m: len(m.tensor(1.0)), errors.ArgumentTypeError, "0-dim tensor has no length", True),
    ("iteration of 0-dim", lambda m: list(m.tensor(1.0)), errors.ArgumentTypeError,
     r"0-dim tensor; .*x\.item\(\)", True),
    ("unpacking of 0-dim", unpack, errors.ArgumentTypeError, "0-dim", True),
    ("item of many", lambda m: m.ones(2).item(), errors.ShapeError, r"item\(\): .*\(2,\); write x\.tolist\(\)", True),
    ("item of none", lambda m: m.ones(0).item(), errors.ShapeError, r"item\(\)", True),
    ("float of many", lambda m: float(m.ones(2)), errors.ShapeError, r"item\(\)", True),
    ("float as an index", lambda m: [1, 2][m.tensor(1.0)], errors.ArgumentTypeError, "float32 tensor is not an index",
     True),
    ("size of a dim it lacks", lambda m: m.ones(2).size(5), errors.DimError, "size: dim 5 is out of range", True),
    ("None in t", lambda m: None in m.ones(2), errors.ArgumentTypeError, "in: expected a Tensor", False),
    # --- backward
    ("backward of many", lambda m: (leaf(m) * 2).backward(), errors.ShapeError,
     r"backward: a gradient starts from a scalar, but the output has shape \(2,\).*\.sum\(\).*gradient=", True),
    ("grad of many", lambda m: m.autograd.grad(leaf(m) * 2, leaf(m)), errors.ShapeError, "grad: .*grad_outputs", True),
    ("backward without a graph", lambda m: m.ones(1).backward(), errors.NoGraphError,
     r"backward: .*shape \(1,\).*not recorded.*requires_grad=True.*no_grad", True),
    ("backward twice", backward_twice, errors.FreedGraphError, "freed.*retain_graph=True", True),
    ("gradient of another shape", lambda m: (leaf(m) * 2).backward(m.ones(3)), errors.ShapeError,
     r"backward: the given gradient has shape \(3,\), but the output has shape \(2,\)", True),
    ("gradient that is a number", lambda m: leaf(m).sum().backward(2.0), errors.ArgumentTypeError,
     "backward: gradients must be Tensors or None, got float", True),
    ("gradient that is an array", lambda m: mg.ones(2, requires_grad=True).backward(ones(2)), errors.ArgumentTypeError,
     "got ndarray", False),
    ("grad by something without", lambda m: m.autograd.grad(leaf(m).sum(), m.ones(3)), errors.NoGraphError,
     r"grad: input 0 \(shape \(3,\), float32\) has requires_grad=False", True),
    ("grad by nothing", lambda m: m.autograd.grad(leaf(m).sum(), []), errors.NoGraphError, "inputs is empty", True),
    ("grad by a number", lambda m: m.autograd.grad(leaf(m).sum(), 3.0), errors.ArgumentTypeError,
     "grad: expected a Tensor or a sequence of Tensors, got float", True),
    ("grad by an unused one", lambda m: m.autograd.grad(leaf(m).sum(), leaf(m)), errors.NoGraphError,
     "do not depend on input 0.*allow_unused=True", True),
    ("backward to no inputs", lambda m: leaf(m).sum().backward(inputs=[]), errors.NoGraphError, "is empty", True),
    ("backward to an input without", lambda m: leaf(m).sum().backward(inputs=[m.ones(1)]), errors.NoGraphError,
     "backward: input 0 .*requires_grad=False", True),
    # --- in place
    ("in place on a leaf", lambda m: leaf(m).add_(1), errors.InPlaceError,
     r"add_: cannot change a leaf that requires grad \(shape \(2,\)\).*write x = x \+ y.*no_grad", True),
    ("+= on a leaf", lambda m: leaf(m).__iadd__(1), errors.InPlaceError, r"\+=: cannot change a leaf", True),
    ("in place on an output", in_place_on_output, errors.InPlaceError, "add_: cannot change the output of 'exp'", True),
    ("in place by a recorded one", lambda m: mg.ones(2).mul_(leaf(mg)), errors.InPlaceError,
     "mul_: .*lose the history of the other operand", False),
    ("in place, other shape", lambda m: m.ones(2).add_(m.ones(3)), errors.ShapeError, r"\(2,\).*\(3,\)", True),
    ("in place, larger shape", lambda m: m.ones(2).add_(m.ones(3, 2)), errors.ShapeError,
     r"add_: shape \(3, 2\) does not fit into shape \(2,\)", True),
    ("in place, other dtype", lambda m: m.tensor([1]).add_(0.5), errors.DtypeError, "add_: .*float.*int64", True),
    ("in place on an expanded view", lambda m: m.ones(1).expand(3).add_(1), errors.InPlaceError,
     r"add_: .*\(3,\).*expanded.*write x\.clone\(\) first", True),
    # --- operands, shapes, dims
    ("t - list", lambda m: m.ones(2) - [1.0, 2.0], errors.ArgumentTypeError, "sub: .*got list", True),
    ("t + None", lambda m: m.ones(2) + None, errors.ArgumentTypeError, "add: .*got NoneType", True),
    ("text - t", lambda m: "a" - m.ones(2), errors.ArgumentTypeError, "sub: .*got str: 'a'", True),
    ("t < text", lambda m: m.ones(2) < "a", errors.ArgumentTypeError, "lt: .*got str", True),
    ("shapes that do not broadcast", lambda m: m.ones(2, 3) * m.ones(2), errors.ShapeError,
     r"mul: shapes \(2, 3\) float32 and \(2,\) float32 do not broadcast: aligned from the right", True),
    ("an integer too large", lambda m: mg.tensor([1, 2]) + 10**30, errors.ArgumentError,
     "add: .*range of int64", False),
    ("matmul sizes", lambda m: m.ones(2, 3) @ m.ones(2, 3), errors.ShapeError,
     r"matmul: inner sizes differ: \(2, 3\) @ \(2, 3\) needs 3 == 2", True),
    ("matmul dtypes", lambda m: m.ones(2) @ m.ones(2, dtype=m.float64), errors.DtypeError,
     "matmul: .*one dtype, got float32 and float64", True),
    ("matmul 0-dim", lambda m: m.ones(2) @ m.tensor(1.0), errors.ShapeError, r"matmul: .*\(\); write x \* y", True),
    ("reshape", lambda m: m.ones(6).reshape(4), errors.ShapeError,
     r"reshape: 6 elements of shape \(6,\).*\(4,\)", True),
    ("dim out of range", lambda m: m.ones(2).sum(5), errors.DimError, "sum: dim 5 is out of range.*-1 to 0", True),
    ("dim that is text", lambda m: mg.ones(2).sum("a"), errors.ArgumentTypeError,
     "dim must be an integer, got str", False),
    ("index out of range", lambda m: m.ones(2)[5], errors.DimError,
     r"index 5 is out of bounds.*\(shape \(2,\)\)", True),
    ("too many indices", lambda m: m.ones(2)[0, 0], errors.DimError, r"too many indices.*\(shape \(2,\)\)", True),
    ("text index", lambda m: mg.ones(2)["a"], errors.ArgumentTypeError, "getitem: .*got str: 'a'", False),
    ("floating index", lambda m: mg.ones(2)[1.5], errors.ArgumentTypeError, "getitem: .*got float", False),
    ("floating tensor index", lambda m: mg.ones(2)[mg.ones(2)], errors.DtypeError, "getitem: .*float32", False),
    ("mean of integers", lambda m: m.tensor([1, 2]).mean(), errors.DtypeError, r"write x\.float\(\)\.mean\(\)", True),
    ("max of nothing", lambda m: m.ones(0).max(), errors.DimError, "no extreme of no elements", False),
    ("copy of an output", lambda m: __import__("copy").deepcopy(leaf(m) * 2), errors.InPlaceError, "only leaves", True),
    ("not enough arguments", lambda m: m.exp(), errors.ArgumentTypeError,
     r"exp: missing input; write exp\(input\)", True),
    ("too many arguments", lambda m: m.exp(m.ones(2), m.ones(2), m.ones(2)), errors.ArgumentTypeError, "exp: ", True),
    ("unknown argument", lambda m: m.exp(m.ones(2), foo=1), errors.ArgumentTypeError, "exp: .*foo", True),
    ("randint range", lambda m: m.randint(5, 5, (2,)), errors.ArgumentError, "low must be less than high, got 5 and 5",
     False),
    ("unknown parameter", lambda m: m.nn.Linear(2, 2).get_parameter("wieght"), errors.UnknownNameError, "wieght", True),
    ("singular matrix", lambda m: m.linalg.inv(m.zeros(2, 2)), errors.LinAlgError, "inv", True),
    ("generator of another kind", lambda m: m.rand(2, generator=np.random.default_rng(0)), errors.ArgumentTypeError,
     r"generator: expected a minigrad\.Generator, got Generator", True),
]  # fmt: skip


@pytest.mark.parametrize(("what", "function", "kind", "message", "shared"), CASES, ids=[c[0] for c in CASES])
def test_error(what: str, function: Callable[[Any], Any], kind: type[Exception], message: str, shared: bool) -> None:
    with pytest.raises(errors.MinigradError) as caught:
        function(mg)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert re.search(message, text, re.DOTALL), text
    assert len(text) < 500


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [c for c in CASES if c[4]], ids=[c[0] for c in CASES if c[4]])
def test_error_has_the_built_in_class_that_pytorch_raises(case: tuple[str, Any, type[Exception], str, bool]) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch's exceptions")
    _, function, kind, _, _ = case
    with pytest.raises(Exception) as caught:  # noqa: PT011 (any class; it is what we look at)
        function(torch)
    built_in = next(c for c in type(caught.value).__mro__ if c.__module__ == "builtins")
    if built_in in (NotImplementedError, AttributeError):
        return  # PyTorch's own limits
    assert issubclass(kind, built_in), f"PyTorch raises {built_in.__name__}: {caught.value}"


def test_errors_have_one_base_and_a_built_in_each() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and k is not errors.MinigradError]
    assert len(kinds) >= 12
    for kind in kinds:
        assert issubclass(kind, errors.MinigradError)
        assert any(c.__module__ == "builtins" and c not in (Exception, BaseException, object) for c in kind.__mro__)
        assert kind.__doc__


def test_every_class_of_error_is_met_by_a_test_of_its_message() -> None:
    met = {case[2] for case in CASES}
    elsewhere = {  # raised by what test_tape, test_tensor and test_gradcheck plant
        errors.MutationError, errors.NotDifferentiableError, errors.VjpError, errors.GradcheckError,
        errors.VacuousCheckError,
    }  # fmt: skip
    kinds = {k for k in vars(errors).values() if isinstance(k, type) and k is not errors.MinigradError}
    assert kinds == met | elsewhere


def test_an_error_leaves_values_and_recording_as_they_were() -> None:
    x = mg.ones(2)
    for change in (lambda: x.add_(mg.ones(3)), lambda: x.copy_(mg.ones(2, 2)), lambda: x.__setitem__(0, 5.0)):
        with pytest.raises(errors.MinigradError):
            change()
    assert x.tolist() == [1.0, 1.0]
    assert mg.is_grad_enabled()


def test_numpy_scalars_and_0_dim_arrays_are_numbers() -> None:
    x = mg.ones(2, requires_grad=True)
    for number in (np.float32(2), np.float64(2), np.int64(2), np.array(2.0), True, 2, 2.0):
        assert (x * number).dtype == mg.float32
        assert (number * x).dtype == mg.float32
        assert (number * x).requires_grad
