"""Arithmetic with broadcasting: the ops behind the operators."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernels

from ..creation import zeros_like
from ..dtypes import Array, DType, as_array, float64, scalar_dtype
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, as_tensor, from_array, method

__all__ = [
    "add", "addcdiv", "addcmul", "div", "divide", "float_power", "floor_divide", "fmod", "gcd", "lcm", "lerp",
    "masked_fill", "maximum", "minimum", "mul", "multiply", "neg", "negative", "pow", "remainder", "rsub", "sub",
    "subtract", "true_divide", "where",
]  # fmt: skip


def also_named(name: str, function: Any) -> Any:
    """The same function under the second name that PyTorch gives it, also as a method."""
    setattr(Tensor, name, getattr(Tensor, function.__name__))
    return function


def as_element(name: str, argument: str, value: Any, dtype: DType) -> Any:
    """A Python number as an element of a tensor of `dtype`; integers drop the fraction, as in PyTorch.

    Raises:
        ArgumentTypeError: if it is not a number.
        ArgumentError: if `dtype` cannot hold it.
    """
    try:
        scalar_dtype(value)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{name}: {argument} must be a number, got {type(value).__name__}: {value!r}") from None
    try:
        element = dtype.type(value)
    except (OverflowError, ValueError):
        raise ArgumentError(f"{name}: {argument}={value} is out of the range of {dtype}") from None
    if np.isinf(element) and value not in (np.inf, -np.inf):
        raise ArgumentError(f"{name}: {argument}={value} is out of the range of {dtype}")
    return element


def _scaled(name: str, x: Array, alpha: Any) -> Array:
    if isinstance(alpha, float) and x.dtype.kind in "biu":
        raise DtypeError(f"{name}: alpha={alpha} needs floating tensors, got {x.dtype}; write x.float()")
    return np.multiply(x, as_element(name, "alpha", alpha, x.dtype))


@method
@op(broadcasts=True, saves="")
def add(input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`input + alpha * other`."""
    return input + (other if alpha == 1 else _scaled("add", other, alpha))


add.defvjp(
    lambda g, out, x, y, alpha=1: g,
    lambda g, out, x, y, alpha=1: g if alpha == 1 else g * alpha,
    on_arrays=True,
)


@method
@op(broadcasts=True, saves="")
def sub(input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`input - alpha * other`."""
    _need_sign("sub", input)
    return input - (other if alpha == 1 else _scaled("sub", other, alpha))


sub.defvjp(
    lambda g, out, x, y, alpha=1: g,
    lambda g, out, x, y, alpha=1: -g if alpha == 1 else g * -alpha,
    on_arrays=True,
)
subtract = also_named("subtract", sub)


@op(broadcasts=True, saves="")
def rsub(input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`other - alpha * input`."""
    _need_sign("rsub", input)
    return other - (input if alpha == 1 else _scaled("rsub", input, alpha))


rsub.defvjp(lambda g, out, x, y, alpha=1: g * -alpha, lambda g, out, x, y, alpha=1: g)


def _need_sign(name: str, x: Array) -> None:
    if x.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans are not subtracted; write a ^ b, or convert with x.long()")


@method
@op(broadcasts=True, saves="inputs")
def mul(input: Array, other: Array) -> Array:
    """`input * other`."""
    return input * other


mul.defvjp(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x, on_arrays=True)
multiply = also_named("multiply", mul)


@method
@op(broadcasts=True)
def div(input: Array, other: Array, *, rounding_mode: str | None = None) -> Array:
    """`input / other`; with rounding_mode "trunc" or "floor" rounded towards zero or down."""
    if rounding_mode is not None:
        return _rounded_quotient(input, other, rounding_mode)
    if input.dtype.kind in "biu":
        dtype = scalar_dtype(0.0)  # integers divide to the default floating dtype
        return np.true_divide(input.astype(dtype), other.astype(dtype))
    return np.true_divide(input, other)


def _rounded_quotient(x: Array, y: Array, rounding_mode: str) -> Array:
    if rounding_mode not in ("trunc", "floor"):
        raise ArgumentError(f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")
    _need_divisor("div", x, y)
    if rounding_mode == "floor":
        return np.floor_divide(x, y)
    if x.dtype.kind in "iu":
        return np.floor_divide(x - np.fmod(x, y), y)  # nothing remains to be rounded
    return np.trunc(np.true_divide(x, y))


def step(g: Any, *values: Any, **attrs: Any) -> Any:
    """The vjp of a function that is constant between its jumps."""
    return zeros_like(g)


def _div_input(g: Any, out: Any, x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    return g / y if rounding_mode is None else step(g)


def _div_other(g: Any, out: Any, x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    return -g * out / y if rounding_mode is None else step(g)


div.defvjp(_div_input, _div_other, on_arrays=True)
divide = also_named("divide", div)
true_divide = also_named("true_divide", div)


@method
@op(broadcasts=True, saves="")
def floor_divide(input: Array, other: Array) -> Array:
    """`input / other`, rounded down; without a gradient."""
    _need_divisor("floor_divide", input, other)
    return np.floor_divide(input, other)


@method
@op(broadcasts=True, saves="inputs")
def remainder(input: Array, other: Array) -> Array:
    """What `input` leaves when `other` is taken away a whole number of times; it has the sign of `other`."""
    _need_divisor("remainder", input, other)
    return np.remainder(input, other)


@method
@op(broadcasts=True, saves="inputs")
def fmod(input: Array, other: Array) -> Array:
    """What `input` leaves when `other` is taken away a whole number of times; it has the sign of `input`."""
    _need_divisor("fmod", input, other)
    return np.fmod(input, other)


def _need_divisor(name: str, input: Array, other: Array) -> None:
    if input.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans are not divided; convert with x.long()")
    if input.dtype.kind in "iu" and not other.all():
        raise ArgumentError(f"{name}: integer division by zero; floats give inf and nan")


# x - y * round(x / y), where the rounded quotient does not move with x and y: it is rounded down in `remainder` and
# towards zero in `fmod`. Floor division itself has no vjp, as in PyTorch.
remainder.defvjp(
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * floor_divide(x.detach(), y.detach()),
)
fmod.defvjp(
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * div(x.detach(), y.detach(), rounding_mode="trunc"),
)


@method
@op(broadcasts=True)
def gcd(input: Array, other: Array) -> Array:
    """The greatest common divisors of integers."""
    need_integers("gcd", input, other)
    return np.gcd(input, other)


@method
@op(broadcasts=True)
def lcm(input: Array, other: Array) -> Array:
    """The least common multiples of integers."""
    need_integers("lcm", input, other)
    return np.lcm(input, other)


def need_integers(name: str, *arrays: Array) -> None:
    """Raise DtypeError unless all are integers; booleans are not."""
    for a in arrays:
        if a.dtype.kind not in "iu":
            raise DtypeError(f"{name}: works on integers, got {a.dtype}; convert with x.long()")


def need_floats(name: str, *arrays: Array) -> None:
    """Raise DtypeError unless all are floating."""
    for a in arrays:
        if a.dtype.kind not in "fc":
            raise DtypeError(f"{name}: works on floating dtypes, got {a.dtype}; convert with x.float()")


@method
@op(saves="")
def neg(input: Array) -> Array:
    """`-input`."""
    if input.dtype == np.bool_:
        raise DtypeError("neg: booleans have no negative; write ~x for the logical not")
    return -input


neg.defvjp(lambda g, out, x: neg(g))
negative = also_named("negative", neg)


@method
@op(broadcasts=True)
def pow(input: Array, exponent: Array) -> Array:
    """`input ** exponent`."""
    if input.dtype == np.bool_:
        raise DtypeError("pow: booleans have no powers; convert with x.long()")
    if exponent.ndim == 0 and exponent.dtype.kind in "fc":
        return as_array(input ** exponent[()].item())  # NumPy has fast paths for 2 and 0.5, for Python numbers only
    if input.dtype.kind in "biu" and bool((exponent < 0).any()):
        raise DtypeError("pow: integers to a negative power are not integers; write x.float() ** exponent")
    return np.power(input, exponent)


def _pow_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    if y.ndim == 0 and not y.requires_grad:
        return g * (y * x ** (y.item() - 1)) if y.item() else g * 0.0
    return where(y == 0, 0.0, g * y * x ** (y - 1))  # the derivative of x ** 0 is 0, also at x = 0


def _pow_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    # 0 ** y is 0 for all y > 0, so its derivative there is 0 and not 0 * log(0).
    return g * out * where((x == 0) & (y >= 0), 1.0, x).log()


pow.defvjp(_pow_base, _pow_exponent)


@method
def float_power(input: Tensor, exponent: Any) -> Any:
    """`input` to the power `exponent`, computed and returned in float64.

    Raises:
        ArgumentTypeError: if the exponent is neither a tensor nor a number.
    """
    try:
        power = as_tensor(exponent, dtype=float64)
    except (DtypeError, ShapeError):
        raise ArgumentTypeError(
            f"float_power: exponent must be a Tensor or a number, got {type(exponent).__name__}: {exponent!r}"
        ) from None
    return pow(as_tensor(input, dtype=float64), power)


@method
@op(broadcasts=True, saves="inputs")
def maximum(input: Array, other: Array) -> Array:
    """The larger of two elements, and nan where either is; both share the gradient of a tie."""
    return np.maximum(input, other)


@method
@op(broadcasts=True, saves="inputs")
def minimum(input: Array, other: Array) -> Array:
    """The smaller of two elements, and nan where either is; both share the gradient of a tie."""
    return np.minimum(input, other)


def _share(x: Any, y: Any) -> Any:
    """1 where x > y, and half where they are equal: both arguments get their part of a tie, as in PyTorch.

    It is also 1 where one of them is nan: then both decide that the result is nan.
    """
    return 1 - (x < y).to(x.dtype) - (x == y).to(x.dtype) * 0.5


maximum.defvjp(lambda g, out, x, y: g * _share(x, y), lambda g, out, x, y: g * _share(y, x))
minimum.defvjp(lambda g, out, x, y: g * _share(y, x), lambda g, out, x, y: g * _share(x, y))


@op(broadcasts=True, saves="")
def _where(input: Array, other: Array, *, condition: Array) -> Array:
    return kernels.where(condition, input, other)


_where.defvjp(
    lambda g, out, x, y, condition: _where(g, 0.0, condition=condition),
    lambda g, out, x, y, condition: _where(0.0, g, condition=condition),
)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Elements of `input` where `condition` is true and of `other` elsewhere; all three broadcast.

    `where(condition)` alone returns where it is true: one tensor of indices for each dimension.

    Raises:
        DtypeError: if the condition is not boolean.
        ArgumentTypeError: if one of the two values is missing.
    """
    if input is None and other is None:
        array = condition._array if isinstance(condition, Tensor) else np.asarray(condition)
        return tuple(from_array(indices.copy()) for indices in np.nonzero(np.atleast_1d(array)))
    if input is None or other is None:
        raise ArgumentTypeError("where: give both values or none of them; write where(condition, input, other)")
    return _chosen("where: the condition", condition, input, other)


def _chosen(what: str, condition: Any, input: Any, other: Any) -> Any:
    mask = condition._array if isinstance(condition, Tensor) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise DtypeError(f"{what} must be boolean, got {mask.dtype}; write for example x > 0")
    try:
        return _where(input, other, condition=mask.copy())  # the tape keeps it, and the caller may change his
    except ShapeError:
        shapes = " and ".join(str(np.shape(v._array if isinstance(v, Tensor) else v)) for v in (input, other))
        raise ShapeError(
            f"{what} of shape {mask.shape} and the values of shapes {shapes} do not broadcast: aligned from the right, "
            "sizes must be equal or 1"
        ) from None


@method
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Any:
    """`value`, a number or a 0-dim tensor, where the boolean `mask` is true, `input` elsewhere.

    Raises:
        DtypeError: if the mask is not boolean.
        ShapeError: if the value has dimensions; write minigrad.where(mask, value, input).
        ArgumentError: if the dtype of `input` cannot hold the value.
    """
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(
                f"masked_fill: value must be a number or a 0-dim tensor, got shape {value.shape}; write "
                "minigrad.where(mask, value, x)"
            )
        fill = value.to(input.dtype)
    else:
        fill = from_array(np.array(as_element("masked_fill", "value", value, input.dtype)))
    return _chosen("masked_fill: the mask", mask, fill, input)


@method
@op(broadcasts=True, saves="inputs")
def addcmul(input: Array, tensor1: Array, tensor2: Array, *, value: Any = 1) -> Array:
    """`input + value * tensor1 * tensor2`."""
    if input.dtype == np.bool_:
        raise DtypeError("addcmul: booleans are not multiplied; convert with x.long()")
    return input + as_element("addcmul", "value", value, input.dtype) * tensor1 * tensor2


addcmul.defvjp(
    lambda g, out, x, y, z, value=1: g,
    lambda g, out, x, y, z, value=1: g * (z * value),
    lambda g, out, x, y, z, value=1: g * (y * value),
)


@method
@op(broadcasts=True, saves="inputs")
def addcdiv(input: Array, tensor1: Array, tensor2: Array, *, value: Any = 1) -> Array:
    """`input + value * tensor1 / tensor2`."""
    need_floats("addcdiv", input)
    return input + as_element("addcdiv", "value", value, input.dtype) * tensor1 / tensor2


addcdiv.defvjp(
    lambda g, out, x, y, z, value=1: g,
    lambda g, out, x, y, z, value=1: g * (value / z),
    lambda g, out, x, y, z, value=1: -g * (y * value / (z * z)),
)


@method
@op(broadcasts=True, saves="inputs")
def lerp(input: Array, end: Array, weight: Array) -> Array:
    """The point between `input` and `end`: `input + weight * (end - input)`."""
    need_floats("lerp", input)
    way = end - input
    return np.where(weight < 0.5, input + weight * way, end - way * (1 - weight))  # from the nearer end: both are exact


lerp.defvjp(
    lambda g, out, x, y, weight: g * (1 - weight),
    lambda g, out, x, y, weight: g * weight,
    lambda g, out, x, y, weight: g * (y - x),
)
