"""The Tensor: an array, whether it needs a gradient, and operators. The engine is in `tape`, the ops in `ops`."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kernels.cuda import DeviceArray, to_host

from .dtypes import Array, DType, as_array, as_dtype, scalar_dtype
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DtypeError,
    InPlaceError,
    ItemAssignmentError,
    NumpyFunctionError,
    ShapeError,
)
from .recording import is_grad_enabled
from .storage import Storage

if TYPE_CHECKING:
    from .primitive import Node

Function = TypeVar("Function", bound=Callable[..., Any])


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    Make one with `minigrad.tensor(data)`. Operators and methods have the names and meanings of `torch.Tensor`; the
    methods are the functions of `minigrad.ops`, attached where they are defined.
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_node", "_requires_grad", "_storage")
    __array_priority__ = 1000

    _array: Array
    _grad: Tensor | None
    _node: Node | None
    _requires_grad: bool
    _storage: Storage | None

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        array = _copied_array(data, dtype)
        self._array = array
        self._grad = self._node = self._storage = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    if TYPE_CHECKING:
        # Methods such as x.sum() are attached by the modules of `ops`; see `method` below.
        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    # --- what it holds --------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> DType:
        return self._array.dtype

    @property
    def ndim(self) -> int:
        return self._array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[ops.shape.checked_dim("size", dim, self.ndim)]

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    def __len__(self) -> int:
        if not self._array.ndim:
            raise ArgumentTypeError("len(): a 0-dim tensor has no length")
        return len(self._array)

    @property
    def device(self) -> str:
        """Where the array lies: "cpu" or "cuda"."""
        return "cuda" if self._array.__class__ is DeviceArray else "cpu"

    def numpy(self) -> Array:
        """The array itself, sharing memory. Changes made to it are noticed by ops that still need the old values.

        Raises:
            InPlaceError: if the tensor requires grad; write x.detach().numpy().
            DeviceError: if it lies on a GPU; write x.cpu().numpy().
        """
        if self.device != "cpu":
            raise DeviceError(f"numpy(): this tensor (shape {self.shape}) lies on the GPU; write x.cpu().numpy()")
        if self._requires_grad:
            raise InPlaceError(
                f"numpy(): this tensor (shape {self.shape}) requires grad, and NumPy would not be recorded; write "
                "x.detach().numpy()"
            )
        self._shared_storage().expose()
        return self._array

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises:
            ShapeError: if there is not exactly one element.
        """
        if self._array.size != 1:
            raise ShapeError(
                f"item(): needs a tensor with one element, got shape {self.shape}; write x.tolist() for all"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested Python lists."""
        return self._array.tolist()

    def _shared_storage(self) -> Storage:
        if self._storage is None:
            self._storage = Storage(self._array)
        return self._storage

    # --- gradients ------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record what is computed from this tensor from now on (or no longer); returns the tensor.

        Raises:
            DtypeError: if the dtype is not floating: integers have no gradients.
            InPlaceError: when switching off an intermediate result; write x.detach().
        """
        if requires_grad and self._array.dtype.kind not in "fc":
            raise DtypeError(
                f"requires_grad: only floating tensors have gradients, this one is {self.dtype}; write "
                "x.float().requires_grad_(), or pass floats such as 1.0 to tensor()"
            )
        if not requires_grad and self._node is not None:
            raise InPlaceError(
                f"requires_grad: this tensor is the output of '{self._node.op.name}'; write x.detach() instead"
            )
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def T(self) -> Any:
        """The transpose of a matrix."""
        return ops.t(self)

    @property
    def mT(self) -> Any:
        """The transpose of the last two dimensions."""
        return ops.transpose(self, -2, -1)

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user and not by a recorded op."""
        return self._node is None

    @property
    def grad_fn(self) -> str | None:
        """The name of the op that made this tensor, or None for a leaf."""
        return None if self._node is None else self._node.op.name

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward() has added up, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise ArgumentTypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(
                    f"grad: expected shape {self.shape} {self.dtype} as the tensor itself, got {value.shape} "
                    f"{value.dtype}"
                )
        self._grad = value

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it depends on (`torch.Tensor.backward`).

        Raises:
            NoGraphError, ShapeError, FreedGraphError, MutationError: as `minigrad.grad`.
        """
        from .tape import backward

        backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same values, sharing memory, as a new leaf without history."""
        out = from_array(self._array)
        out._storage = self._shared_storage()
        return out

    @property
    def data(self) -> Tensor:
        """The values without history, sharing memory (`x.detach()`); can be assigned, to replace the values."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        new = as_tensor(value)
        if new.shape != self.shape or new.dtype != self.dtype:
            raise ShapeError(f"data: expected shape {self.shape} {self.dtype}, got shape {new.shape} {new.dtype}")
        self._replace(new)

    def _replace(self, new: Tensor) -> None:
        """Take over the memory of `new`, which has a history of its own: its version must differ from all recorded."""
        if new._array is not self._array:
            old = self._shared_storage()
            self._array, self._storage = new._array, new._shared_storage()
            self._storage.version = max(self._storage.version, old.current_version()) + 1

    # --- changing values in place ---------------------------------------------------------------------------

    def _overwrite(self, name: str, values: Any) -> Tensor:
        """Replace all values in place, where no record can go wrong by it."""

        if self._requires_grad and is_grad_enabled():
            what = "a leaf that requires grad" if self._node is None else f"the output of '{self._node.op.name}'"
            raise InPlaceError(
                f"{name}: cannot change {what} (shape {self.shape}) in place while ops are recorded; write x = x + y, "
                "or update it under no_grad()"
            )
        values = as_array(values._array if isinstance(values, Tensor) else values)
        try:
            fits = np.broadcast_shapes(values.shape, self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"{name}: shape {values.shape} does not fit into shape {self.shape} in place")
        if values.dtype.kind in "fc" and self._array.dtype.kind not in "fc":
            raise DtypeError(f"{name}: {values.dtype} values cannot be stored in a {self.dtype} tensor in place")
        if not self._array.flags.writeable:
            raise InPlaceError(
                f"{name}: this tensor (shape {self.shape}) is an expanded or read-only view; write x.clone() first"
            )
        self._array[...] = values
        self._shared_storage().changed()
        return self

    def copy_(self, source: Any) -> Tensor:
        """Copy the values of `source`, broadcast to this shape, into this tensor; returns it."""
        return self._overwrite("copy_", source)

    def fill_(self, value: Any) -> Tensor:
        """Set every element to `value`; returns the tensor."""
        return self._overwrite("fill_", value)

    def zero_(self) -> Tensor:
        """Set every element to zero; returns the tensor."""
        return self._overwrite("zero_", 0)

    def add_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """Add `alpha * other` in place; returns the tensor."""
        return self._update("add_", ops.add, other if alpha == 1 else as_tensor(other) * alpha)

    def sub_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """Subtract `alpha * other` in place; returns the tensor."""
        return self._update("sub_", ops.sub, other if alpha == 1 else as_tensor(other) * alpha)

    def mul_(self, other: Any) -> Tensor:
        """Multiply by `other` in place; returns the tensor."""
        return self._update("mul_", ops.mul, other)

    def div_(self, other: Any) -> Tensor:
        """Divide by `other` in place; returns the tensor."""
        return self._update("div_", ops.div, other)

    def _update(self, name: str, op: Any, other: Any) -> Tensor:
        if isinstance(other, Tensor) and other._requires_grad and is_grad_enabled():
            raise InPlaceError(
                f"{name}: an in-place result would lose the history of the other operand; write x = x + y"
            )
        return self._overwrite(name, op(self.detach(), other))

    def _augmented(self, name: str, op: Any, other: Any) -> Any:
        """`x += y`: in place where nothing is recorded, as in PyTorch; otherwise a new tensor takes the name `x`."""

        recorded = is_grad_enabled() and (
            self._node is not None or (isinstance(other, Tensor) and other._requires_grad)
        )
        if recorded and not (self._requires_grad and self._node is None):
            return op(self, other)
        return self._update(name, op, other)

    def __iadd__(self, other: Any) -> Any:
        return self._augmented("+=", ops.add, other)

    def __isub__(self, other: Any) -> Any:
        return self._augmented("-=", ops.sub, other)

    def __imul__(self, other: Any) -> Any:
        return self._augmented("*=", ops.mul, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._augmented("/=", ops.div, other)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Tensor) and value._storage is not None and value._storage is self._storage:
            # `x[i] += v` has already changed the view x[i] in place, where that is allowed: nothing is left to assign.
            target = self.detach()[index]._array
            if target.__array_interface__ == value._array.__array_interface__:
                return
        raise ItemAssignmentError(
            f"x[...] = value: a tensor (shape {self.shape}) is not assigned into, because ops that were recorded with "
            "the old values would get wrong gradients; write minigrad.where(mask, value, x), or change the NumPy "
            "array before tensor()"
        )

    def __delitem__(self, index: Any) -> None:
        raise ItemAssignmentError("del x[...]: tensors do not change their size; select what to keep by indexing")

    # --- NumPy ----------------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The array, so that np.asarray(x) and plotting work; refused for tensors that require grad, as numpy() is."""
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # `array + tensor` arrives here as np.add(array, tensor): answer it with our operator.
        ours = _OPERATORS.get(ufunc.__name__) if method == "__call__" and not kwargs and len(inputs) == 2 else None
        if ours is None or isinstance(inputs[0], Tensor):
            raise NumpyFunctionError(_numpy_message(ufunc.__name__, self))
        left = inputs[0]
        return ours(left.item() if isinstance(left, np.generic) else as_tensor(left), inputs[1])

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise NumpyFunctionError(_numpy_message(function.__name__, self))

    # --- operators ------------------------------------------------------------------------------------------

    if TYPE_CHECKING:  # attached by ops/operators.py

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...

        __floordiv__: Any
        __rfloordiv__: Any
        __mod__: Any
        __rmod__: Any
        __pow__: Any
        __rpow__: Any
        __matmul__: Any
        __rmatmul__: Any
        __neg__: Any
        __abs__: Any
        __invert__: Any
        __and__: Any
        __rand__: Any
        __or__: Any
        __ror__: Any
        __xor__: Any
        __rxor__: Any
        __lshift__: Any
        __rlshift__: Any
        __rshift__: Any
        __rrshift__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __getitem__: Any

    def __pos__(self) -> Tensor:
        return self

    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Any]:
        if not self._array.ndim:
            raise ArgumentTypeError("iteration over a 0-dim tensor; write x.item() for its value")
        return iter([self[i] for i in range(len(self._array))])

    def __contains__(self, value: Any) -> bool:
        if not _is_operand(value):
            raise ArgumentTypeError(f"in: expected a Tensor or a number, got {type(value).__name__}")
        return bool((self._array == (value._array if isinstance(value, Tensor) else value)).any())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise ShapeError(
                f"bool(): a tensor of shape {self.shape} is neither true nor false; write (x == y).all() or .any()"
            )
        return bool(self._array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iu":
            raise ArgumentTypeError(f"a {self.dtype} tensor is not an index; only integer tensors with one element are")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._array.size == 1 else repr(self)

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise InPlaceError(
                f"copy: only leaves can be copied with their gradients; this is the output of '{self._node.op.name}'"
            )
        out = type(self).__new__(type(self))
        out._array, out._requires_grad = self._array.copy(), self._requires_grad
        out._node = out._storage = None
        out._grad = None if self._grad is None else self._grad.detach().clone()
        memo[id(self)] = out
        return out

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise InPlaceError(
                f"pickle: only leaves can be pickled; this is the output of '{self._node.op.name}', write x.detach()"
            )
        return _rebuild, (type(self), self._array, self._requires_grad)

    def __repr__(self) -> str:
        text = np.array2string(to_host(self._array), separator=", ", prefix="tensor(", precision=4, suppress_small=True)
        if not self._array.size:
            text = "[]" if self._array.ndim == 1 else f"[], size={self.shape}"
        if self._array.dtype not in (np.float32, np.int64, np.bool_):
            text += f", dtype={self._array.dtype}"
        if self.device != "cpu":
            text += f", device={self.device!r}"
        if self._node is not None:
            text += f", grad_fn=<{self._node.op.name}>"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"


_OPERATORS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "power": operator.pow, "matmul": operator.matmul,
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge, "bitwise_and": operator.and_, "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor, "left_shift": operator.lshift, "right_shift": operator.rshift,
}  # fmt: skip


def _numpy_message(name: str, tensor: Tensor) -> str:
    instead = f"minigrad.{name}(x)" if hasattr(ops, name) else "the minigrad function of that purpose"
    return (
        f"numpy.{name}: called on a Tensor of shape {tensor.shape}, which the tape would not record; write {instead}, "
        "or x.detach().numpy() where no gradient is wanted"
    )


def _is_operand(value: object) -> bool:
    return isinstance(value, (Tensor, np.ndarray, bool, int, float, np.generic))


def method(function: Function) -> Function:
    """Attach a function or an op to Tensor as the method of its name; returns what the module then offers as function.

    `x.f(...)` is `f(x, ...)`. Called as a function, it refuses an input that is not a tensor; arguments that do not
    exist are refused by name.
    """
    name = function.__name__
    is_op = not isinstance(function, type(method))

    @functools.wraps(function, updated=())
    def bound(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(self, *args, **kwargs)
        except TypeError as error:
            raise refused(name, function, error) from None

    @functools.wraps(function, updated=())
    def checked(*args: Any, **kwargs: Any) -> Any:
        input = args[0] if args else kwargs.get("input")
        if not isinstance(input, Tensor):
            raise ArgumentTypeError(
                f"{name}: expected a Tensor as input, got {type(input).__name__}; write minigrad.tensor(x)"
            )
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            raise refused(name, function, error) from None

    setattr(Tensor, name, bound)
    return function if is_op else checked  # type: ignore[return-value]


def refused(name: str, function: Callable[..., Any], error: TypeError) -> TypeError:
    """Python's complaint about the arguments of a call, as one of ours; any other error as it is."""
    said = str(error)
    complaint = "unexpected keyword argument" in said or "positional argument" in said or "multiple values" in said
    if isinstance(error, ArgumentTypeError) or not complaint or f"{function.__name__}()" not in said:
        return error
    parameters = ", ".join(inspect.signature(function).parameters)
    return ArgumentTypeError(f"{name}: {said.split('() ', 1)[1]}; the parameters are ({parameters})")


def from_array(array: Array) -> Tensor:
    """A tensor around an array of ours, without a copy or a check; for ops, not for users."""
    out = Tensor.__new__(Tensor)
    out._array = array
    out._requires_grad = False
    out._grad = out._node = out._storage = None
    return out


def _rebuild(cls: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    out = cls.__new__(cls)
    out._array, out._requires_grad = array, requires_grad
    out._grad = out._node = out._storage = None
    return out


def _copied_array(data: Any, dtype: Any = None) -> Array:
    """`data` as a new array of `dtype`, or of the dtype that PyTorch would choose.

    Raises:
        DtypeError, ShapeError, ArgumentError: for data that is not numeric, is ragged, or does not fit the dtype.
    """
    if isinstance(data, Tensor):
        return data._array.astype(data._array.dtype if dtype is None else as_dtype(dtype), copy=True)
    if isinstance(data, (list, tuple)) and any(isinstance(d, Tensor) for d in data):
        data = [d._array if isinstance(d, Tensor) else d for d in data]
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(
            f"tensor: the nested sequence has rows of different lengths ({error}); make them equal"
        ) from error
    if dtype is not None:
        resolved = as_dtype(dtype)
    elif isinstance(data, (np.ndarray, np.generic)):
        resolved = array.dtype
    elif array.size == 0 and not isinstance(data, np.ndarray):
        resolved = scalar_dtype(0.0)
    else:
        # Python numbers: floats become the default dtype; lists of arrays keep the dtype of the arrays.
        resolved = array.dtype if _holds_arrays(data) or array.dtype.kind not in "f" else scalar_dtype(0.0)
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"tensor: expected numbers, got {type(data).__name__} of {array.dtype}: {str(data)[:60]!r}")
    if as_dtype(resolved).kind in "iu" and array.size and not isinstance(data, (np.ndarray, np.generic)):
        limit = np.iinfo(resolved)  # a negative number wraps around in uint8, as in PyTorch
        if not (array.min() >= -limit.max - (limit.min < 0) and array.max() <= limit.max):
            raise ArgumentError(
                f"tensor: values from {array.min()} to {array.max()} are out of the range of {resolved}, {limit.min} "
                f"to {limit.max}"
            )
    return np.array(array, order="C", copy=True).astype(resolved, copy=False)


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data` (`torch.tensor`): Python floats become float32, NumPy arrays keep their dtype.

    Raises:
        DtypeError: data that is not numeric; requires_grad for an integer dtype.
        ShapeError: nested sequences of different lengths.
    """
    return Tensor(data, dtype, requires_grad)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array` (`torch.from_numpy`); later changes to it are noticed by the tape.

    Raises:
        ArgumentTypeError: if `array` is not a NumPy array.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError(
            f"from_numpy: expected a NumPy array, got {type(array).__name__}; write minigrad.tensor(data)"
        )
    as_dtype(array.dtype)
    out = from_array(array)
    out._shared_storage().expose()
    return out


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where it can (`torch.as_tensor`)."""
    if isinstance(data, Tensor):
        out: Tensor = data
        return out if dtype is None or out.dtype == as_dtype(dtype) else out.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == as_dtype(dtype)) and data.dtype.kind in "biuf":
        return from_numpy(data)
    return tensor(data, dtype)


from . import ops  # noqa: E402  (the ops need the class above, the operators need the ops)
