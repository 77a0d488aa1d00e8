"""Making tensors from sizes, and random numbers from an explicit generator."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import as_dtype, get_default_dtype, scalar_dtype
from .errors import ArgumentError, ArgumentTypeError, ShapeError
from .tensor import Tensor, from_array


def _shape(name: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    try:
        shape = tuple(n.__index__() for n in size)
    except AttributeError:
        raise ArgumentTypeError(f"{name}: sizes must be integers, got {size}") from None
    if any(n < 0 for n in shape):
        raise ShapeError(f"{name}: sizes must be >= 0, got {shape}")
    return shape


def _made(array: Any, requires_grad: bool) -> Tensor:
    return from_array(array).requires_grad_(requires_grad)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return full(_shape("zeros", size), 0.0, dtype=dtype, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_shape("ones", size), 1.0, dtype=dtype, requires_grad=requires_grad)


def full(size: Sequence[int], fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with every element equal to `fill_value`."""
    try:
        fill_dtype = scalar_dtype(fill_value)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"full: {error}") from None
    resolved = fill_dtype if dtype is None else as_dtype(dtype)
    return _made(np.full(_shape("full", (size,)), fill_value, resolved), requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape and dtype of `input`."""
    return full(input.shape, 0, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape and dtype of `input`."""
    return full(input.shape, 1, dtype=dtype or input.dtype, requires_grad=requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` with the shape and dtype of `input`."""
    return full(input.shape, fill_value, dtype=dtype or input.dtype, requires_grad=requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix, n by n (or n by m)."""
    rows, columns = _shape("eye", (n, n if m is None else m))
    return _made(np.eye(rows, columns, dtype=get_default_dtype() if dtype is None else as_dtype(dtype)), requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... up to but without `end`; arange(n) counts 0 to n - 1. Integers stay integers.

    Raises:
        ArgumentError: if `step` is zero or leads away from `end`.
    """
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange: step {step} does not lead from {start} to {end}")
    dtypes = {scalar_dtype(v) for v in (start, end, step)}
    resolved = (
        as_dtype(dtype)
        if dtype is not None
        else (get_default_dtype() if get_default_dtype() in dtypes else np.dtype(np.int64))
    )
    return _made(np.arange(start, end, step).astype(resolved), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` evenly spaced values from `start` to `end`, both included."""
    (count,) = _shape("linspace", (steps,))
    return _made(
        np.linspace(start, end, count).astype(get_default_dtype() if dtype is None else as_dtype(dtype)),
        requires_grad,
    )


_making = threading.Lock()


class Generator:
    """A stream of random numbers. Its numbers are NumPy's (PCG64), not those of torch.Generator."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._stream: np.random.Generator | None = None

    @property
    def numpy(self) -> np.random.Generator:
        """The NumPy generator underneath, made when it is first needed: `numpy.random` takes a while to import."""
        stream = self._stream
        if stream is None:
            with _making:  # threads that meet here must not get two streams with the same numbers
                stream = self._stream = self._stream or np.random.default_rng(self._seed)
        return stream

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream again from `seed`; returns the generator.

        Raises:
            ArgumentError: if `seed` is not an integer >= 0.
        """
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ArgumentError(f"manual_seed: expected an integer >= 0, got {seed!r}")
        self._seed, self._stream = int(seed), None
        return self


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Start the default generator again from `seed`; returns it."""
    return default_generator.manual_seed(seed)


def _stream(generator: Generator | None) -> np.random.Generator:
    if generator is None:
        return default_generator.numpy
    if not isinstance(generator, Generator):
        raise ArgumentTypeError(f"generator: expected a minigrad.Generator, got {type(generator).__name__}")
    return generator.numpy


def _random_dtype(dtype: Any) -> Any:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1)."""
    resolved = _random_dtype(dtype)
    drawn = _stream(generator).random(_shape("rand", size), dtype=np.float64 if resolved == np.float64 else np.float32)
    return _made(drawn.astype(resolved), requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers."""
    drawn = _stream(generator).standard_normal(_shape("randn", size))
    return _made(np.asarray(drawn, _random_dtype(dtype)), requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Sequence[int] = (),
    *,
    generator: Generator | None = None,
    dtype: Any = None,
) -> Tensor:
    """Uniform integers in [low, high), or [0, low) when `high` is left out as in randint(10, (3,))."""
    if isinstance(high, (tuple, list)):  # randint(high, size), as PyTorch also allows
        high, size = None, high
    first, last = (0, low) if high is None else (low, high)
    if not all(isinstance(n, (int, np.integer)) for n in (first, last)):
        raise ArgumentTypeError(f"randint: low and high must be integers, got {first!r} and {last!r}")
    if first >= last:
        raise ArgumentError(f"randint: low must be less than high, got {first} and {last}")
    drawn = _stream(generator).integers(first, last, _shape("randint", (size,)))
    return _made(np.asarray(drawn, np.int64 if dtype is None else as_dtype(dtype)), False)


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64."""
    (n,) = _shape("randperm", (n,))
    return _made(_stream(generator).permutation(n), False)
