"""What an op is: a forward on arrays, its vjps on tensors, and the record that a call leaves behind.

A vjp (vector-Jacobian product) takes the gradient `g` of some scalar with respect to the op's output and returns the
gradient with respect to one input. It is written with ordinary ops, so a gradient can be differentiated again with
no further code.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from itertools import count
from typing import Any, overload

import numpy as np

import kernels
from kernels.cuda import DeviceArray

from .dtypes import Array, as_dtype, result_type, scalar_dtype
from .errors import ArgumentError, ArgumentTypeError, DeviceError, DtypeError, MinigradError, ShapeError
from .recording import _recording
from .storage import StorageGroup
from .tensor import Tensor, as_tensor, from_array

Vjp = Callable[..., Any]

next_serial = count().__next__


class Node:
    """One line of the tape: `op(*inputs, **attrs)`; it lives on the output tensor and never points to it."""

    __slots__ = ("attrs", "inputs", "op", "serial", "versions")

    op: Op
    inputs: tuple[Tensor, ...] | None  # None once the graph has been freed
    attrs: dict[str, Any]
    serial: int
    versions: list[int] | None  # None: no input had ever been changed in place or exposed

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], attrs: dict[str, Any]) -> None:
        self.op, self.inputs, self.attrs = op, inputs, attrs
        self.serial = next_serial()
        self.versions = None
        for t in inputs:
            if t._storage is not None:
                self.versions = [0 if t._storage is None else t._storage.current_version() for t in inputs]
                break


class Op:
    """A differentiable function: a forward on arrays, and its vjps on tensors. Made with the decorator `op`."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        broadcasts: bool = False,
        floating: bool = False,
        differentiable: bool = True,
        is_view: bool = False,
        saves: str = "inputs output",
    ) -> None:
        functools.update_wrapper(self, forward)
        self.name = forward.__name__.strip("_")
        self.forward = forward
        self.required = tuple(
            p.name
            for p in inspect.signature(forward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        )
        self.least = len(self.required)
        self.broadcasts, self.floating = broadcasts, floating
        self.promotes = broadcasts or floating
        self.differentiable = differentiable
        self.is_view = is_view
        self.saves_inputs = "inputs" in saves
        self.saves_output = "output" in saves
        self.vjps: tuple[Vjp | None, ...] | None = None
        self.joint_vjp: Vjp | None = None
        self.on_arrays = False

    def defvjp(self, *vjps: Vjp | None, joint: Vjp | None = None, on_arrays: bool = False) -> None:
        """Define the derivative: one vjp `(g, out, *inputs, **attrs) -> gradient` for each input, in their order.

        Only the vjps of inputs that need a gradient are called. `None` marks an input that has none (an index, a
        mask). When the gradients share most of their work, `joint` returns them all as one tuple. `on_arrays` says
        of a binary op that its vjps use operators only, such as `-g * out / y`: without attributes they mean the same
        for arrays as for tensors, and a backward pass that is not itself recorded runs them on arrays, at less cost.
        """
        assert not on_arrays or len(vjps) == 2
        self.vjps, self.joint_vjp, self.on_arrays = vjps or None, joint, on_arrays

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        if len(args) < self.least:
            args, attrs = self._by_name(args, attrs)
        try:
            arrays = [args[0]._array] if len(args) == 1 else [t._array for t in args]
        except AttributeError:
            args = self._as_tensors(args)
            arrays = [t._array for t in args]
        if self.promotes and self._mixed(arrays):
            args = self._promote(args)
            arrays = [t._array for t in args]
        try:
            result = self.forward(*arrays, **attrs)
        except MinigradError:
            raise
        except (ValueError, IndexError, TypeError, np.linalg.LinAlgError) as error:
            raise self._explain(error, args, attrs) from error
        if result.__class__ is not ndarray:
            if result.__class__ is tuple:
                return self._record_many(result, args, attrs)
            result = self._on_one_device(result, args) if result.__class__ is DeviceArray else asarray(result)
        if self.is_view:
            out = from_array(result)
            if np.may_share_memory(result, arrays[0]):
                out._storage = args[0]._shared_storage()
        else:
            # Changes of an input would go unnoticed in what the op did not declare to be a view of it.
            out = from_array(result.copy() if _shares_memory(result, arrays) else result)
        if self.differentiable and recording():
            for t in args:
                if t._requires_grad:
                    out._requires_grad = True
                    out._node = Node(self, args, attrs)
                    break
        return out

    def _on_one_device(self, result: Any, args: tuple[Tensor, ...]) -> Any:
        """A result on the GPU, if its inputs were there, too; single numbers may come from the host."""
        away = [t for t in args if t._array.ndim and t._array.__class__ is not DeviceArray]
        if away and any(t._array.__class__ is DeviceArray for t in args):
            listed = ", ".join(f"{t.shape} on {t.device}" for t in args)
            raise DeviceError(f"{self.name}: all tensors must be on one device, got {listed}; write x.to(y.device)")
        return result

    def _mixed(self, arrays: list[Array]) -> bool:
        """Whether inputs need to be converted: to one dtype, or to a floating one."""
        dtype = arrays[0].dtype
        return (self.floating and dtype.kind in "biu") or any(a.dtype is not dtype for a in arrays)

    def _record_many(self, results: tuple[Any, ...], args: tuple[Tensor, ...], attrs: dict[str, Any]) -> Any:
        """Several outputs: the node sits on a hidden tensor that packs them, and each output selects its part."""
        arrays = tuple(self._on_one_device(r, args) if r.__class__ is DeviceArray else asarray(r) for r in results)
        inputs = [t._array for t in args]
        arrays = tuple(a.copy() if _shares_memory(a, inputs) else a for a in arrays)
        if not (self.differentiable and _recording.get() and any(t._requires_grad for t in args)):
            return tuple(from_array(a) for a in arrays)
        pack = from_array(arrays)  # type: ignore[arg-type]
        pack._storage = StorageGroup(arrays)  # type: ignore[assignment]
        pack._requires_grad, pack._node = True, Node(self, args, attrs)
        return unpack(pack)

    def _by_name(self, args: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Inputs that were given by keyword, put in their places."""
        missing = [name for name in self.required[len(args) :] if name not in attrs]
        if missing:
            raise ArgumentTypeError(
                f"{self.name}: missing {', '.join(missing)}; write {self.name}({', '.join(self.required)})"
            )
        named = self.required[len(args) :]
        return (*args, *[attrs[n] for n in named]), {k: v for k, v in attrs.items() if k not in named}

    def _as_tensors(self, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """Make every argument a tensor; a Python number takes the dtype that the tensors around it decide."""
        operands: list[tuple[Any, Any]] = []
        for a in args:
            if isinstance(a, Tensor):
                operands.append((a._array.dtype, "dims" if a._array.ndim else "zero"))
            else:
                try:
                    if isinstance(a, np.ndarray):
                        operands.append((as_dtype(a.dtype), "dims" if a.ndim else "zero"))
                    else:
                        operands.append((scalar_dtype(a), "scalar"))
                except (ArgumentTypeError, DtypeError) as error:
                    raise type(error)(f"{self.name}: {error}") from None
        dtype = result_type(operands)
        try:
            return tuple(
                a
                if isinstance(a, Tensor)
                else as_tensor(a)
                if isinstance(a, np.ndarray)
                else from_array(np.array(a, dtype))
                for a in args
            )
        except OverflowError:
            raise ArgumentError(f"{self.name}: an argument is out of the range of {dtype}: {args}"[:300]) from None

    def _promote(self, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Cast all inputs to their common dtype, as recorded ops, so that gradients are cast back."""
        from .ops.convert import to_dtype

        dtype = result_type([(t._array.dtype, "dims" if t._array.ndim else "zero") for t in args])
        if self.floating and dtype.kind in "biu":
            dtype = scalar_dtype(0.0)
        return tuple(t if t._array.dtype == dtype else to_dtype(t, dtype=dtype) for t in args)

    def _explain(self, error: Exception, args: tuple[Tensor, ...], attrs: dict[str, Any]) -> MinigradError:
        """NumPy's complaint as one of ours, with the op, the shapes and the dtypes."""
        if isinstance(error, kernels.cuda.DeviceError):
            return DeviceError(f"{self.name}: {error}")
        shapes = " and ".join(f"{t.shape} {t.dtype}" for t in args)
        given = "".join(f", {k}={v!r}" for k, v in attrs.items())
        if self.broadcasts and "broadcast" in str(error):
            return ShapeError(
                f"{self.name}: shapes {shapes} do not broadcast: aligned from the right, each pair of sizes must be "
                "equal or one of them 1"
            )
        kind: type[MinigradError] = ShapeError
        if isinstance(error, TypeError):
            kind = DtypeError if "ufunc" in str(error) else ArgumentTypeError
        return kind(f"{self.name}: cannot be applied to {shapes}{given}: {error}")

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def operator(op: Op) -> tuple[Callable[[Tensor, Any], Any], Callable[[Tensor, Any], Any]]:
    """The methods of Tensor behind a binary operator: `op(self, other)`, and `op(other, self)` for the reflected one.

    A loop over small tensors spends its time here and not in NumPy, so two tensors of one dtype skip the steps of a
    general call that they do not need. Whatever else comes, and every error, takes the general call.
    """
    forward, differentiable = op.forward, op.differentiable
    assert op.broadcasts, f"{op.name} is no operator"

    def method(x: Any, y: Any) -> Any:
        result = None
        try:
            if y.__class__ is float or y.__class__ is int:
                y = _like(y, x)
            a, b = x._array, y._array
            if a.dtype is b.dtype:
                if not (a.ndim or b.ndim):  # NumPy computes faster with its scalars than with 0-dim arrays
                    a, b = a[()], b[()]
                result = forward(a, b)
        except Exception:  # said better by the general call
            result = None
        if result.__class__ is not ndarray:
            if result is None or result.__class__ is DeviceArray:
                return op(x, y)
            result = asarray(result)
        out = new_tensor(Tensor)
        out._array = result
        out._grad = out._storage = None
        if differentiable and (x._requires_grad or y._requires_grad) and recording():
            out._requires_grad, out._node = True, Node(op, (x, y), NO_ATTRS)
        else:
            out._requires_grad, out._node = False, None
        return out

    def reflected(x: Any, y: Any) -> Any:
        if y.__class__ is float or y.__class__ is int:
            y = _like(y, x)
        return method(y, x) if isinstance(y, Tensor) else op(y, x)

    return method, reflected


def _like(number: Any, tensor: Tensor) -> Any:
    """A Python number as a tensor of the other operand's dtype, if that is the dtype of the result."""
    dtype = tensor._array.dtype
    as_is = dtype.kind == "f" or (dtype.kind in "iu" and number.__class__ is int)
    try:
        return from_array(np.array(number, dtype)) if as_is else number
    except OverflowError:  # said better by the general call
        return number


NO_ATTRS: dict[str, Any] = {}  # shared by all nodes without attributes; nobody writes into it
# Looked up once, not in every call.
ndarray, asarray, new_tensor, recording = np.ndarray, np.asarray, Tensor.__new__, _recording.get


def _shares_memory(result: Array, inputs: list[Array]) -> bool:
    """Whether an op has returned one of its inputs, or a view of one."""
    is_view = result.base is not None
    for a in inputs:  # noqa: SIM110  (a generator would cost more than all its comparisons)
        if result is a or (is_view and np.may_share_memory(result, a)):
            return True
    return False


@overload
def op(forward: Callable[..., Any]) -> Op: ...
@overload
def op(**properties: Any) -> Callable[[Callable[..., Any]], Op]: ...


def op(forward: Callable[..., Any] | None = None, **properties: Any) -> Any:
    """Make an op of a function from arrays to an array (or to a tuple of arrays).

    Positional parameters are the inputs, keyword-only parameters are static attributes, passed on to the vjps.
    A custom op is three lines:

        @minigrad.op
        def cube(x): return x ** 3
        cube.defvjp(lambda g, out, x: g * 3 * x ** 2)

    Args:
        broadcasts: inputs broadcast against each other and are promoted to a common dtype; the gradient of each
            input is summed back to its shape, here and nowhere else.
        floating: integer and boolean inputs are first converted to the default floating dtype.
        differentiable: `False` for ops whose output is never differentiated (comparisons, argmax).
        is_view: the output may share the memory of the first input.
        saves: which values the vjps read, a subset of "inputs output"; others may be changed before backward.
    """
    if forward is None:
        return lambda f: Op(f, **properties)
    return Op(forward, **properties)


@op(is_view=True, saves="")
def select(pack: tuple[Array, ...], *, index: int) -> Array:
    return pack[index]


def unpack(pack: Tensor) -> tuple[Tensor, ...]:
    """The visible outputs of a packed result; integer outputs (indices) carry no gradient."""
    arrays: tuple[Array, ...] = pack._array  # type: ignore[assignment]
    outputs = tuple(from_array(a) for a in arrays)
    assert isinstance(pack._storage, StorageGroup)
    for out, storage in zip(outputs, pack._storage.parts, strict=True):
        out._storage = storage  # a change of the visible output is a change of the pack
    if pack._requires_grad and _recording.get():
        for index, out in enumerate(outputs):
            if out._array.dtype.kind in "fc":
                out._requires_grad, out._node = True, Node(select, (pack,), {"index": index})
    return outputs
