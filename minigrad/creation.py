"""Making tensors from sizes, and random numbers from an explicit generator."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import as_dtype, get_default_dtype, scalar_dtype
from .errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from .tensor import Tensor, from_array, method


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


def _number(name: str, value: Any) -> Any:
    """A number, or what a tensor with one element holds."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ShapeError(f"{name}: expected a number, got a tensor of shape {value.shape}")
        value = value.item()
    try:
        scalar_dtype(value)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{name}: {error}") from None
    return value


def _floating(dtype: Any) -> Any:
    """A dtype, or the default floating one."""
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def _need_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(
            f"{name}: expected a Tensor as input, got {type(value).__name__}; write minigrad.tensor(x)"
        )


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
    value = _number("full", fill_value)
    resolved = scalar_dtype(value) if dtype is None else as_dtype(dtype)
    try:
        return _made(np.full(_shape("full", (size,)), np.array(value, resolved)), requires_grad)
    except OverflowError:
        raise ArgumentError(f"full: {value} is out of the range of {resolved}") from None


def scalar_tensor(s: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-dim tensor with the number `s`, of the default floating dtype."""
    return full((), _number("scalar_tensor", s), dtype=_floating(dtype), requires_grad=requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose elements are whatever its memory held before: to be overwritten."""
    return _made(np.empty(_shape("empty", size), _floating(dtype)), requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with the shape and dtype of `input`, whose elements are whatever its memory held before."""
    _need_tensor("empty_like", input)
    return empty(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape and dtype of `input`."""
    _need_tensor("zeros_like", input)
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape and dtype of `input`."""
    _need_tensor("ones_like", input)
    return full_like(input, 1, dtype=dtype, requires_grad=requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` with the shape and dtype of `input`."""
    _need_tensor("full_like", input)
    made = full(input.shape, fill_value, dtype=dtype or input.dtype).to(input.device)
    return made.requires_grad_() if requires_grad else made


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix, n by n (or n by m)."""
    rows, columns = _shape("eye", (n, n if m is None else m))
    return _made(np.eye(rows, columns, dtype=_floating(dtype)), requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... up to but without `end`; arange(n) counts 0 to n - 1. Integers stay integers.

    Raises:
        ArgumentError: if `step` is zero or leads away from `end`.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_number("arange", value) for value in (start, end, step))
    if not all(map(math.isfinite, (start, end, step))):
        raise ArgumentError(f"arange: start, end and step must be finite, got {start}, {end} and {step}")
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange: step {step} does not lead from {start} to {end}")
    if dtype is None:
        dtypes = {scalar_dtype(v) for v in (start, end, step)}
        dtype = get_default_dtype() if get_default_dtype() in dtypes else np.int64
    try:
        return _made(np.arange(start, end, step).astype(as_dtype(dtype)), requires_grad)
    except (ValueError, MemoryError):
        raise ArgumentError(f"arange: the numbers from {start} to {end} do not fit into memory") from None


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` evenly spaced values from `start` to `end`, both included."""
    return _made(_evenly("linspace", start, end, steps).astype(_floating(dtype)), requires_grad)


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`base` to the power of `steps` evenly spaced exponents from `start` to `end`, both included."""
    exponents = _evenly("logspace", start, end, steps)
    with np.errstate(all="ignore"):  # overflow gives inf, and fractional powers of negative bases nan, as in PyTorch
        values = np.power(np.float64(_number("logspace", base)), exponents).astype(_floating(dtype))
    return _made(values, requires_grad)


def _evenly(name: str, start: Any, end: Any, steps: Any) -> Any:
    (count,) = _shape(name, (steps,))
    with np.errstate(invalid="ignore"):  # between 0 and inf lies nan
        return np.linspace(_number(name, start), _number(name, end), count)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The indices of the lower triangle of a row x col matrix, as two rows: where column - row <= offset.

    Raises:
        ShapeError: for a negative size.
        DtypeError: for a dtype other than int32 and int64.
    """
    return _triangle("tril_indices", np.tril_indices, row, col, offset, dtype)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The indices of the upper triangle of a row x col matrix, as two rows: where column - row >= offset.

    Raises:
        ShapeError: for a negative size.
        DtypeError: for a dtype other than int32 and int64.
    """
    return _triangle("triu_indices", np.triu_indices, row, col, offset, dtype)


def _triangle(name: str, indices: Any, row: int, col: int, offset: int, dtype: Any) -> Tensor:
    rows, columns = _shape(name, (row, col))
    if not isinstance(offset, (int, np.integer)):
        raise ArgumentTypeError(f"{name}: offset must be an integer, got {offset!r}")
    resolved = as_dtype(dtype)
    if resolved not in (np.int32, np.int64):
        raise DtypeError(f"{name}: indices are int32 or int64, got {resolved}")
    return _made(np.stack(indices(rows, offset, columns)).astype(resolved), False)


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


def _random_dtype(name: str, dtype: Any) -> Any:
    resolved = _floating(dtype)
    if resolved.kind != "f":
        raise DtypeError(f"{name}: draws real numbers, so the dtype must be floating, got {resolved}")
    return resolved


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1).

    Raises:
        ShapeError: for a negative size.
        DtypeError: for a dtype that is not floating.
    """
    resolved = _random_dtype("rand", dtype)
    drawn = _stream(generator).random(_shape("rand", size), dtype=np.float64 if resolved == np.float64 else np.float32)
    return _made(np.asarray(drawn, resolved), requires_grad)


def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1), with the shape and dtype of `input`.

    Raises:
        DtypeError: for a dtype that is not floating.
    """
    _need_tensor("rand_like", input)
    resolved = _random_dtype("rand_like", dtype or input.dtype)
    return rand(input.shape, generator=generator, dtype=resolved, requires_grad=requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers.

    Raises:
        ShapeError: for a negative size.
        DtypeError: for a dtype that is not floating.
    """
    resolved = _random_dtype("randn", dtype)
    return _made(np.asarray(_stream(generator).standard_normal(_shape("randn", size)), resolved), requires_grad)


def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal numbers, with the shape and dtype of `input`.

    Raises:
        DtypeError: for a dtype that is not floating.
    """
    _need_tensor("randn_like", input)
    resolved = _random_dtype("randn_like", dtype or input.dtype)
    return randn(input.shape, generator=generator, dtype=resolved, requires_grad=requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Sequence[int] = (),
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform integers in [low, high), or [0, low) when `high` is left out as in randint(10, (3,)).

    Raises:
        ArgumentError: if there is no integer to draw, or one that the dtype cannot hold.
        ShapeError: for a negative size.
    """
    if isinstance(high, (tuple, list)):  # randint(high, size), as PyTorch also allows
        high, size = None, high
    drawn = _integers("randint", low, high, _shape("randint", (size,)), generator, np.int64 if dtype is None else dtype)
    return _made(drawn, requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform integers in [low, high), or [0, low), with the shape and dtype of `input`.

    Raises:
        ArgumentError: if there is no integer to draw, or one that the dtype cannot hold.
    """
    _need_tensor("randint_like", input)
    return _made(_integers("randint_like", low, high, input.shape, generator, dtype or input.dtype), requires_grad)


def _integers(name: str, low: Any, high: Any, shape: tuple[int, ...], generator: Generator | None, dtype: Any) -> Any:
    first, last = (0, low) if high is None else (low, high)
    if not all(isinstance(n, (int, np.integer)) for n in (first, last)):
        raise ArgumentTypeError(f"{name}: low and high must be integers, got {first!r} and {last!r}")
    if first >= last:
        raise ArgumentError(f"{name}: low must be less than high, got {first} and {last}")
    resolved = as_dtype(dtype)
    if resolved.kind in "iu" and not np.iinfo(resolved).min <= first < last <= np.iinfo(resolved).max + 1:
        raise ArgumentError(f"{name}: integers from {first} to {last - 1} do not fit into {resolved}")
    return np.asarray(_stream(generator).integers(first, last, shape), resolved)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = np.int64, requires_grad: bool = False
) -> Tensor:
    """The numbers 0 to n - 1 in random order.

    Raises:
        ShapeError: for a negative `n`.
    """
    (n,) = _shape("randperm", (n,))
    return _made(_stream(generator).permutation(n).astype(as_dtype(dtype)), requires_grad)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers with the given mean and standard deviation.

    Either both are numbers and `size` says how many are drawn; or one or both are tensors, which broadcast against each
    other, and one number is drawn for each element. No gradient reaches `mean` and `std`.

    Raises:
        ArgumentTypeError: for two numbers without a size, or a size together with a tensor.
        ArgumentError: for a negative standard deviation.
        DtypeError: for tensors of integers.
        ShapeError: for tensors that do not broadcast.
    """
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    if bool(tensors) is (size is not None):
        raise ArgumentTypeError("normal: give two numbers and a size, or at least one tensor and no size")
    resolved = _random_dtype("normal", tensors[0].dtype if tensors and dtype is None else dtype)
    centre, spread = (v._array if isinstance(v, Tensor) else np.asarray(_number("normal", v)) for v in (mean, std))
    if not (spread >= 0).all():
        raise ArgumentError(f"normal: the standard deviation must be >= 0, got {spread.min()}")
    try:
        shape = np.broadcast_shapes(centre.shape, spread.shape) if size is None else _shape("normal", (size,))
    except ValueError:
        raise ShapeError(f"normal: mean {centre.shape} and std {spread.shape} do not broadcast") from None
    drawn = centre + spread * _stream(generator).standard_normal(shape)
    return _made(np.asarray(drawn, resolved), requires_grad)


@method
def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element states, otherwise 0, in its dtype; with `p`, the same for all elements.

    No gradient reaches the probabilities.

    Raises:
        DtypeError: for probabilities that are integers.
        ArgumentError: for a probability outside 0 to 1.
    """
    if p is None:
        _random_dtype("bernoulli", input.dtype)
    probability = input._array if p is None else np.asarray(_number("bernoulli", p))
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ArgumentError(
            f"bernoulli: probabilities must be in 0 to 1, got {probability.min()} to {probability.max()}"
        )
    return _made(np.asarray(_stream(generator).random(input.shape) < probability, input.dtype), False)


@method
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to `input`, of shape (n,), or for each row of shape (rows, n).

    Without `replacement` no index is drawn twice, and those of weight 0 come last.

    Raises:
        DtypeError: for weights that are integers.
        ShapeError: for weights without or with more than two dimensions.
        ArgumentError: for weights that are negative, not finite or all 0, or for more samples than there are.
    """
    _random_dtype("multinomial", input.dtype)
    if input.ndim not in (1, 2):
        raise ShapeError(f"multinomial: weights have one or two dimensions, got shape {input.shape}")
    weights = np.atleast_2d(input._array).astype(np.float64)
    if not isinstance(num_samples, (int, np.integer)) or num_samples <= 0:
        raise ArgumentError(f"multinomial: num_samples must be an integer > 0, got {num_samples!r}")
    if num_samples > weights.shape[1] and not replacement:
        raise ArgumentError(
            f"multinomial: {num_samples} samples of {weights.shape[1]} without replacement; pass replacement=True"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any(axis=1).all():
        raise ArgumentError("multinomial: weights must be finite and >= 0, and not all 0")
    draw = _with_replacement if replacement else _without_replacement
    drawn = draw(weights, num_samples, _stream(generator))
    return _made(drawn.reshape(*input.shape[:-1], num_samples), False)


def _with_replacement(weights: Any, count: int, stream: np.random.Generator) -> Any:
    """For each uniform number, the index whose stretch of the cumulative distribution it falls in."""
    cumulative = np.cumsum(weights, axis=1)
    cumulative /= cumulative[:, -1:]  # ends at 1 exactly, which no uniform number reaches
    uniform = stream.random((len(weights), count))
    found = [np.searchsorted(row, u, side="right") for row, u in zip(cumulative, uniform, strict=True)]
    return np.array(found, np.int64).reshape(uniform.shape)


def _without_replacement(weights: Any, count: int, stream: np.random.Generator) -> Any:
    """A race of exponential times at rates `weights`: the winner is i with probability weights[i] / sum; and so on.

    Pavlos S. Efraimidis and Paul G. Spirakis, Weighted random sampling with a reservoir, 2006,
    https://doi.org/10.1016/j.ipl.2005.11.003
    """
    times = np.full(weights.shape, np.inf)
    np.divide(stream.standard_exponential(weights.shape), weights, out=times, where=weights > 0)
    return np.argsort(times, axis=1, kind="stable")[:, :count]
