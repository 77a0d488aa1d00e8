"""Choosing between two values by a mask: NumPy for small arrays and unusual ones, the compiled kernel for the rest."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.arrays import on_device

__all__ = ["where"]

Array = npt.NDArray[Any]

SMALL = 8192  # as in kernels.batchnorm


def where(condition: Array, x: Any, y: Any) -> Array:
    """The elements of x where the condition holds, and of y elsewhere; shapes and dtypes follow np.where.

    Arrays of one floating dtype that have the condition's shape are compiled, and such an array with a number.
    """
    if on_device(condition, x, y):
        from kernels.cuda import elementwise

        return elementwise.chosen(condition, x, y)  # type: ignore[return-value]
    shape, arrays = condition.shape, [side for side in (x, y) if np.ndim(side)]
    if condition.size < SMALL or condition.dtype != np.bool_ or not arrays:
        return np.where(condition, x, y)
    dtype = arrays[0].dtype
    if dtype not in (np.float32, np.float64) or any(a.shape != shape or a.dtype != dtype for a in arrays):
        return np.where(condition, x, y)
    if np.result_type(x, y) != dtype:
        return np.where(condition, x, y)
    from kernels.cpu import selection

    if len(arrays) == 2:
        return selection.chosen(condition, x, y)
    return selection.masked(condition, True, x, y) if np.ndim(x) else selection.masked(condition, False, y, x)
