"""NumPy's functions of single elements, with broadcasting: each is one kernel that reads, computes and writes.

A kernel moves every element once and does little with it, so memory is the limit: neighbouring threads read
neighbouring elements, and nothing else matters. Shapes that broadcast are reduced to as few dimensions as they have,
mostly one or two, so that a thread finds its operands with a division or none.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import cuda

from kernels.cuda import device
from kernels.cuda.array import DeviceArray, empty, to_device
from kernels.cuda.device import DeviceError
from kernels.cuda.whole import quotient, remainder


def _maximum(x, y):
    return x if x > y or x != x else y  # a NaN stays one


def _minimum(x, y):
    return x if x < y or x != x else y


def _sign(x):
    return 1.0 if x > 0 else -1.0 if x < 0 else x  # the last is 0 or NaN


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: lambda x, y: x + y,
    np.subtract: lambda x, y: x - y,
    np.multiply: lambda x, y: x * y,
    np.true_divide: lambda x, y: x / y,
    np.power: lambda x, y: x**y,
    np.maximum: _maximum,
    np.minimum: _minimum,
    np.negative: lambda x: -x,
    np.absolute: lambda x: abs(x),
    np.sign: _sign,
    np.exp: lambda x: math.exp(x),
    np.log: lambda x: math.log(x),
    np.sqrt: lambda x: math.sqrt(x),
    np.tanh: lambda x: math.tanh(x),
    np.less: lambda x, y: x < y,
    np.less_equal: lambda x, y: x <= y,
    np.greater: lambda x, y: x > y,
    np.greater_equal: lambda x, y: x >= y,
    np.equal: lambda x, y: x == y,
    np.not_equal: lambda x, y: x != y,
}


NUMBERS = (bool, int, float)  # of Python: NumPy's have a dtype


def apply(ufunc: Any, *inputs: Any, out: DeviceArray | None = None) -> DeviceArray:
    """What a ufunc of NumPy computes, on the device, in new memory or in `out`, which has its shape and dtype.

    Raises DeviceError for ufuncs that have no kernel, and where `out` does not fit.
    """
    function = FUNCTIONS.get(ufunc)
    if function is None:
        raise DeviceError(f"np.{ufunc.__name__} has no CUDA kernel yet; copy to the host: kernels.cuda.to_host(x)")
    # Python's numbers do not decide a dtype, as in NumPy.
    kinds = [type(value) if type(value) in NUMBERS else value.dtype for value in inputs]
    *dtypes, result = ufunc.resolve_dtypes((*kinds, None))
    operands = [_on_device(value, dtype) for value, dtype in zip(inputs, dtypes, strict=True)]
    if out is not None and (out.dtype, out.shape) != (result, np.broadcast_shapes(*(each.shape for each in operands))):
        raise DeviceError(f"np.{ufunc.__name__}: out {out!r} does not have the result's shape and dtype")
    return _run(function, operands, result, out)


def cast(x: DeviceArray, dtype: np.dtype[Any]) -> DeviceArray:
    """The values in another dtype, in new memory."""
    return _run(_same, [x], dtype)


def repeated(x: DeviceArray, shape: Sequence[int]) -> DeviceArray:
    """The values broadcast to another shape, in new memory. Raises DeviceError if they do not broadcast to it."""
    shape = tuple(shape)
    out = empty(shape, x.dtype)
    assign(out, x)
    return out


def assign(out: DeviceArray, value: Any) -> None:
    """Change all elements of `out` to those of `value`, broadcast. Raises DeviceError if it has another shape."""
    value = _on_device(value, out.dtype)
    try:
        fits = np.broadcast_shapes(value.shape, out.shape) == out.shape
    except ValueError:
        fits = False
    if not fits:
        raise DeviceError(f"shape {value.shape} does not broadcast to {out.shape}")
    _run(_same, [value], out.dtype, out)


def chosen(condition: Any, x: Any, y: Any) -> DeviceArray:
    """The elements of x where the condition holds, and of y elsewhere: np.where."""
    dtype = np.result_type(*(each if type(each) in NUMBERS else each.dtype for each in (x, y)))
    operands = [_on_device(condition, np.dtype(bool)), _on_device(x, dtype), _on_device(y, dtype)]
    return _run(_choose, operands, dtype)


def filled(out: DeviceArray, value: Any) -> DeviceArray:
    """The array itself, after every element became `value`."""
    device.launch(_fill, device.blocks_for(out.size), device.THREADS, _flat(out), out.dtype.type(value))
    return out


def _same(x):
    return x


def _choose(condition, x, y):
    return x if condition else y


def _on_device(value: Any, dtype: np.dtype[Any]) -> DeviceArray:
    if isinstance(value, DeviceArray):
        return value if value.dtype == dtype else cast(value, dtype)
    return to_device(np.asarray(value, dtype))


def _run(
    function: Callable[..., Any], operands: Sequence[DeviceArray], dtype: np.dtype[Any], out: DeviceArray | None = None
) -> DeviceArray:
    if out is None:
        # NumPy's error, where shapes do not broadcast, is the one that callers know.
        out = empty(np.broadcast_shapes(*(operand.shape for operand in operands)), dtype)
    shape = out.shape
    device.check_index(out.size)
    sizes, steps = collapsed(shape, [operand.shape for operand in operands])
    flat = [_flat(operand) for operand in operands]
    device.launch(_kernel(function, len(operands)), device.blocks_for(out.size), device.THREADS, _flat(out), *flat,
                  sizes, *steps)  # fmt: skip
    return out


def collapsed(shape: Sequence[int], shapes: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The fewest dimensions in which operands of these shapes broadcast to `shape`, and their steps along them.

    A step is the distance in elements, and 0 along a dimension in which an operand is repeated.
    """
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in shapes]
    each = [_steps(own, len(shape)) for own in shapes]
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1:
            continue
        here = [own[axis] for own in each]
        if sizes and all(step == along[-1] * sizes[-1] for step, along in zip(here, steps, strict=True)):
            sizes[-1] *= shape[axis]  # every operand goes on where the last dimension ended
            continue
        sizes.append(shape[axis])
        for along, step in zip(steps, here, strict=True):
            along.append(step)
    if not sizes:
        return (1,), [(0,)] * len(shapes)
    return tuple(sizes), [tuple(along) for along in steps]


def _steps(shape: Sequence[int], ndim: int) -> list[int]:
    """The steps of a C-contiguous array of this shape, broadcast to `ndim` dimensions."""
    found = [0] * ndim
    step = 1
    for axis in range(1, len(shape) + 1):
        if shape[-axis] > 1:
            found[-axis] = step
        step *= shape[-axis]
    return found


def _flat(x: DeviceArray) -> Any:
    return x.reshape(x.size).handle


# --- kernels ----------------------------------------------------------------------------------------------------------


@cuda.jit
def _fill(out, value):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = value


@cuda.jit(device=True)
def _place(i, sizes, steps):
    """Where element i of the result finds its operand; the first of the sizes runs fastest."""
    found = 0
    for axis in range(len(sizes)):
        found += remainder(i, sizes[axis]) * steps[axis]
        i = quotient(i, sizes[axis])
    return found


@functools.cache
def _kernel(function: Callable[..., Any], arity: int) -> Any:
    compute = cuda.jit(device=True)(function)

    @cuda.jit
    def unary(out, x, sizes, x_steps):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = compute(x[_place(i, sizes, x_steps)])

    @cuda.jit
    def binary(out, x, y, sizes, x_steps, y_steps):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = compute(x[_place(i, sizes, x_steps)], y[_place(i, sizes, y_steps)])

    @cuda.jit
    def ternary(out, x, y, z, sizes, x_steps, y_steps, z_steps):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = compute(x[_place(i, sizes, x_steps)], y[_place(i, sizes, y_steps)], z[_place(i, sizes, z_steps)])

    return {1: unary, 2: binary, 3: ternary}[arity]
