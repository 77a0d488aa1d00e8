"""An array in the memory of a GPU: what it is in NumPy's words, and the operators that have a CUDA kernel."""

import math
import operator
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernels.cuda import device
from kernels.cuda.device import DeviceError, NoKernelError

Array = npt.NDArray[Any]


class DeviceArray:
    """A C-contiguous array on the GPU. `to_device` makes one, `to_host` copies it back.

    `handle` is Numba's device array. Arithmetic with operators and with NumPy's functions (`x + y`, `np.exp(x)`) runs
    on the GPU, where there is a kernel for it; everything else raises a DeviceError that names it, rather than copying
    data back and forth behind the reader's back.
    """

    __slots__ = ("handle", "root")

    def __init__(self, handle: Any, root: Any = None) -> None:
        self.handle = handle
        self.root = handle if root is None else root  # whose memory this is

    if TYPE_CHECKING:
        # The operators are attached below.
        def __mul__(self, other: Any) -> "DeviceArray": ...
        def __truediv__(self, other: Any) -> "DeviceArray": ...

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.handle.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.handle.dtype)

    @property
    def ndim(self) -> int:
        return len(self.handle.shape)

    @property
    def size(self) -> int:
        return math.prod(self.handle.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def base(self) -> Any:
        """The handle whose memory this array shares, or None if it has its own."""
        return None if self.root is self.handle else self.root

    @property
    def flags(self) -> Any:
        """NumPy's flags, as far as they mean something here."""
        return SimpleNamespace(c_contiguous=True, writeable=True, owndata=self.root is self.handle)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a DeviceArray without dimensions")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"

    @property
    def __cuda_array_interface__(self) -> Any:
        """For other libraries, which may read and write the same memory."""
        return self.handle.__cuda_array_interface__

    # --- the same memory, and copies ----------------------------------------------------------------------------------

    def to_host(self) -> Array:
        """A copy as a NumPy array; waits until it is computed."""
        with device._explained(f"copying {self!r} to the host"):
            if self.size == 0:
                return np.empty(self.shape, self.dtype)
            stream = device.current_stream()
            copied = self.handle.copy_to_host(stream=stream)
            if stream:  # copies on a stream of one's own do not wait by themselves
                stream.synchronize()
            return np.asarray(copied)

    def reshape(self, *shape: Any) -> "DeviceArray":
        """The same memory under another shape; one size may be -1. Raises DeviceError if the sizes do not fit."""
        sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        known = math.prod(size for size in sizes if size != -1)
        if -1 in sizes and known:
            sizes = tuple(self.size // known if size == -1 else size for size in sizes)
        if math.prod(sizes) != self.size or min(sizes, default=0) < 0:
            raise DeviceError(f"reshape: {self!r} does not fit into shape {shape}")
        if self.size == 0:
            return empty(sizes, self.dtype)
        return DeviceArray(self.handle.reshape(sizes), self.root)

    def view(self) -> "DeviceArray":
        """The same memory as another array."""
        return DeviceArray(self.handle, self.root)

    def astype(self, dtype: Any, copy: bool = True) -> "DeviceArray":
        """The values in another dtype."""
        if not copy and self.dtype == np.dtype(dtype):
            return self
        from kernels.cuda import elementwise

        return elementwise.cast(self, np.dtype(dtype))

    def copy(self) -> "DeviceArray":
        return self.astype(self.dtype)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "DeviceArray":
        """The sum over one axis, several, or all."""
        from kernels.cuda import reduction

        return reduction.total(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> "DeviceArray":
        """The mean over one axis, several, or all."""
        summed = self.sum(axis, keepdims)
        return summed * (summed.size / self.size if self.size else math.nan)

    # --- NumPy's functions --------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from kernels.cuda import elementwise

        out = options.pop("out", (None,))[0]
        if method == "__call__" and not options and (out is None or isinstance(out, DeviceArray)):
            return elementwise.apply(ufunc, *inputs, out=out)
        if method == "reduce" and ufunc is np.add and set(options) <= {"axis", "keepdims", "dtype"}:
            return self.sum(options.get("axis", 0), bool(options.get("keepdims")))
        raise DeviceError(f"np.{ufunc.__name__}.{method} has no CUDA kernel yet; {_advice(self)}")

    def __neg__(self) -> "DeviceArray":
        return self.__array_ufunc__(np.negative, "__call__", self)

    def __abs__(self) -> "DeviceArray":
        return self.__array_ufunc__(np.absolute, "__call__", self)

    __hash__ = None  # type: ignore[assignment]  # as NumPy's arrays

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name in ("sum", "mean") and set(kwargs) <= {"axis", "keepdims"}:
            return getattr(args[0], name)(*args[1:], **kwargs)
        if name in ("zeros_like", "ones_like", "empty_like") and len(args) == 1 and not kwargs:
            made = empty(args[0].shape, args[0].dtype)
            return made if name == "empty_like" else full(made.shape, int(name == "ones_like"), made.dtype)
        if name == "expand_dims" and len(args) == 2 and isinstance(args[1], int):
            shape = list(args[0].shape)
            shape.insert(args[1] % (len(shape) + 1), 1)
            return args[0].reshape(shape)
        if name == "broadcast_to" and not kwargs:
            from kernels.cuda import elementwise

            return elementwise.repeated(*args)
        if name == "may_share_memory":
            return all(isinstance(each, DeviceArray) for each in args) and args[0].root is args[1].root
        raise DeviceError(f"np.{name} has no CUDA kernel yet; {_advice(self)}")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise DeviceError(f"NumPy cannot look into {self!r}; copy it with kernels.cuda.to_host(x)")

    def __getitem__(self, index: Any) -> Any:
        if index == ():
            return self
        raise DeviceError(f"x[...] has no CUDA kernel yet; {_advice(self)}")

    def __setitem__(self, index: Any, value: Any) -> None:
        if index is Ellipsis:
            from kernels.cuda import elementwise

            elementwise.assign(self, value)
            return
        raise DeviceError(f"x[...] = value has no CUDA kernel yet; {_advice(self)}")

    def __bool__(self) -> bool:
        return bool(self.to_host())

    def __float__(self) -> float:
        return float(self.to_host())

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.to_host().item()

    def tolist(self) -> Any:
        """The elements as nested Python lists."""
        return self.to_host().tolist()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NoKernelError(f"the method {name} of arrays has no CUDA kernel yet; {_advice(self)}")


def _advice(array: DeviceArray) -> str:
    return f"copy {array!r} to the host: kernels.cuda.to_host(x), or .cpu() of a tensor"


def _binary(ufunc: Any) -> tuple[Any, Any]:
    return (
        lambda self, other: self.__array_ufunc__(ufunc, "__call__", self, other),
        lambda self, other: self.__array_ufunc__(ufunc, "__call__", other, self),
    )


def _in_place(ufunc: Any) -> Any:
    def method(self: DeviceArray, other: Any) -> DeviceArray:
        self[...] = self.__array_ufunc__(ufunc, "__call__", self, other)
        return self

    return method


# Operators are ufuncs, as in NumPy.
for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "pow": np.power,
}.items():
    _method, _reflected = _binary(_ufunc)
    setattr(DeviceArray, f"__{_name}__", _method)
    setattr(DeviceArray, f"__r{_name}__", _reflected)
    setattr(DeviceArray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}.items():
    setattr(DeviceArray, f"__{_name}__", _binary(_ufunc)[0])


def empty(shape: Sequence[int], dtype: Any) -> DeviceArray:
    """New memory, not initialised."""
    return DeviceArray(device.allocate(tuple(map(operator.index, shape)), np.dtype(dtype)))


def full(shape: Sequence[int], value: Any, dtype: Any) -> DeviceArray:
    """New memory, filled with one value."""
    from kernels.cuda import elementwise

    return elementwise.filled(empty(shape, dtype), value)


def to_device(array: Any) -> DeviceArray:
    """The array on the GPU: a NumPy array is copied; device memory of another library is shared, if C-contiguous.

    "Another library" is whatever has `__cuda_array_interface__`, such as PyTorch's tensors on the GPU. A DeviceArray is
    returned as it is. Raises DeviceError where there is no GPU, no memory left, and for anything else.
    """
    if isinstance(array, DeviceArray):
        return array
    if isinstance(array, (np.ndarray, np.generic)):
        if array.dtype.kind not in "fiub":
            raise DeviceError(f"to_device: arrays of {array.dtype} have no CUDA kernels")
        host = np.asarray(array)
        if host.size == 0:
            return empty(host.shape, host.dtype)
        return DeviceArray(device.copy_to_device(np.asarray(host, order="C")))
    if hasattr(array, "__cuda_array_interface__"):
        shared = device.toolkit().as_cuda_array(array)
        if not shared.is_c_contiguous():
            raise DeviceError(
                f"to_device: this device array of shape {tuple(shared.shape)} is not C-contiguous, and is not ours to "
                "copy; make it contiguous first (with PyTorch: x.contiguous())"
            )
        return DeviceArray(shared)
    raise DeviceError(f"to_device: expected a NumPy array or a device array, got {type(array).__name__}")


def to_host(array: Any) -> Array:
    """A NumPy array with the values of a device array; a NumPy array is returned as it is."""
    if isinstance(array, DeviceArray):
        return array.to_host()
    if isinstance(array, (np.ndarray, np.generic)):
        return np.asarray(array)
    raise DeviceError(f"to_host: expected a DeviceArray or a NumPy array, got {type(array).__name__}")
