"""The operators of Tensor, and the methods whose function has its tensor elsewhere than in front."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitive import operator
from ..tensor import Tensor
from . import arithmetic, compare, elementwise, indexing, linear_algebra, special

_ARITHMETIC = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow",
}  # fmt: skip
_BITWISE = {
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def _matmul(self: Tensor, other: Any) -> Any:
    return linear_algebra.matmul(self, other)


def _reflected_matmul(self: Tensor, other: Any) -> Any:
    return linear_algebra.matmul(other, self)


def _invert(self: Tensor) -> Any:
    return compare.logical_not(self) if self.dtype == np.bool_ else compare.bitwise_not(self)


def _where(self: Tensor, condition: Any, other: Any) -> Any:
    """The elements of this tensor where `condition` is true, and of `other` elsewhere."""
    return arithmetic.where(condition, self, other)


def _polygamma(self: Tensor, n: int) -> Any:
    """The n-th derivative of digamma at every element."""
    return special.polygamma(n, self)


def _equality(compared: Any) -> Any:
    """Comparing with anything at all is allowed in Python: what is no operand is left to the other side."""

    def method(self: Tensor, other: object) -> Any:
        operand = isinstance(other, (Tensor, np.ndarray, bool, int, float, np.generic))
        return compared(self, other) if operand else NotImplemented

    return method


def _attach() -> None:
    for family, names in ((arithmetic, _ARITHMETIC), (compare, _BITWISE)):
        for symbol, name in names.items():
            method, reflected = operator(getattr(family, name))
            setattr(Tensor, f"__{symbol}__", method)
            setattr(Tensor, f"__r{symbol}__", reflected)
    for symbol in _COMPARISONS:
        method, _ = operator(getattr(compare, symbol))
        setattr(Tensor, f"__{symbol}__", _equality(method) if symbol in ("eq", "ne") else method)
    others = {
        "matmul": _matmul, "rmatmul": _reflected_matmul, "neg": lambda self: arithmetic.neg(self),
        "abs": lambda self: elementwise.abs(self), "invert": _invert,
        "getitem": lambda self, index: indexing.getitem(self, index),
    }  # fmt: skip
    for symbol, function in others.items():
        setattr(Tensor, f"__{symbol}__", function)
    for name, function in {"where": _where, "polygamma": _polygamma}.items():
        setattr(Tensor, name, function)


_attach()
