"""How every Numba kernel of this package is compiled, and what that means for threads.

- Machine code is kept on disk (`kernels.cpu.cache`), so that only the first process after an installation compiles.
- `error_model="numpy"`: `1 / 0` is an infinity, as everywhere in NumPy, not a Python exception.
- `fastmath={"contract", "reassoc"}`: the compiler may fuse a product with a sum and may reorder a sum; without
  the second a reduction cannot be vectorised. The other relaxations would let it assume that NaN and infinity
  do not occur, and a diverging network is exactly where they do.
- `parallel` covers explicit `prange` loops only. Turning whole-array expressions into parallel regions as well
  would lengthen the compilation and hand arrays of a few numbers over to threads.

Threads: `kernels.set_num_threads(n)` or the variable `NUMBA_NUM_THREADS` says how many; no result depends on it. Every
threading layer of Numba works (`NUMBA_THREADING_LAYER=tbb`, `omp` or `workqueue`), from several Python threads and
in forked children: `kernels.cpu.pool` says how. With two threads, a call costs about 1 microsecond per parallel
region on omp and tbb and 90 on workqueue; with one, next to nothing.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, njit, set_num_threads

from kernels.cpu.cache import keep_on_disk

P = ParamSpec("P")
R = TypeVar("R")

Array = npt.NDArray[Any]

# C never calls a kernel: a wrapper less to compile.
_FLAGS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc"},
    "no_cfunc_wrapper": True,
}
_IMPLICIT = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")
_PARALLEL_FLAGS = {**_FLAGS, "parallel": {"prange": True, **dict.fromkeys(_IMPLICIT, False)}}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function for one thread: the work on one tile, or a helper."""
    return _compiled(function, _FLAGS)


def parallel_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function whose `prange` loops are shared among the threads.

    Inside `prange` the index is unsigned, outside it is signed; passing it on as `np.int64(index)` spares a second
    compilation of the callee.
    """
    return _compiled(function, _PARALLEL_FLAGS)


def _compiled(function: Callable[P, R], flags: dict[str, Any]) -> Callable[P, R]:
    dispatcher: Any = njit(**flags)(function)
    keep_on_disk(dispatcher)
    compiled: Callable[P, R] = dispatcher
    return compiled


# Elements below which a second thread gains nothing: waking it takes as long as the work, and if another pool (BLAS,
# PyTorch) holds its core, waiting for it takes a hundred times as long.
PARALLEL_FROM = 1 << 16


def single_threaded_when_small(function: Callable[P, R]) -> Callable[P, R]:
    """Runs a function of arrays on one thread if its first array has fewer than `PARALLEL_FROM` elements."""

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        threads, array = get_num_threads(), cast(Array, args[0])
        if threads == 1 or array.size >= PARALLEL_FROM:
            return function(*args, **kwargs)
        set_num_threads(1)
        try:
            return function(*args, **kwargs)
        finally:
            set_num_threads(threads)

    return limited


def as_input(array: Array) -> Array:
    """A read-only, contiguous, aligned view of `array`, or such a copy where it is not contiguous or aligned.

    Numba compiles anew for each combination of read-only and writable, contiguous and strided arguments. All
    inputs pass through here and look alike, so there is one version per dtype; and Numba refuses, when it
    compiles, a kernel that writes to its inputs.
    """
    if array.flags.c_contiguous and array.flags.aligned:
        view = array.view()
    else:
        view = np.require(array, requirements=("C", "A")).view()
    view.setflags(write=False)
    return view
