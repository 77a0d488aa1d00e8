"""How every Numba kernel of this package is compiled.

- Machine code is kept on disk (`kernels.cpu.cache`), so that only the first process after an installation compiles.
- A kernel that other kernels call becomes a part of them: it is inlined, optimised and made machine code of there and
  nowhere else. Numba alone would do all that three times: for the kernel itself, for Python, and in each kernel that
  calls it. (As soon as Python calls it, it is compiled for Python.)
- `error_model="numpy"`: `1 / 0` is an infinity, as everywhere in NumPy, not a Python exception.
- `fastmath={"contract", "reassoc"}`: the compiler may fuse a product with a sum and may reorder a sum; without
  the second a reduction cannot be vectorised. The other relaxations would let it assume that NaN and infinity
  do not occur, and a diverging network is exactly where they do.
- `nogil`: other Python threads run while a kernel does.

What a kernel hands to other threads, it says by `kernels.cpu.parallel.parallel`.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core.codegen import JITCodeLibrary as NumbaLibrary
from numba.core.compiler import Compiler as NumbaCompiler
from numba.core.registry import CPUDispatcher as NumbaCPUDispatcher

from kernels.cpu.cache import keep_on_disk
from kernels.errors import KernelError

P = ParamSpec("P")
R = TypeVar("R")

Array = npt.NDArray[Any]
Library: Any = NumbaLibrary
Compiler: Any = NumbaCompiler
CPUDispatcher: Any = NumbaCPUDispatcher

# C never calls a kernel: a wrapper less to compile.
_FLAGS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc"},
    "no_cfunc_wrapper": True,
    "nogil": True,
}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function when it is first called, be it by Python or by another kernel.

    Raises KernelError if Numba is told not to compile.
    """
    part: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True, "pipeline_class": _PartCompiler}
    inner: Any = njit(**_FLAGS, **part)(function)
    if not isinstance(inner, CPUDispatcher):
        raise KernelError(
            "NUMBA_DISABLE_JIT is set, and vectors exist in machine code only: unset it to run the kernels"
        )
    inner.__class__ = Kernel
    compiled: Callable[P, R] = inner
    return compiled


class Kernel(CPUDispatcher):  # type: ignore[misc]  # Numba has no types
    """A compiled function. Kernels that call it see this dispatcher; Python calls `entry`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.entry(*args, **kwargs)

    @functools.cached_property
    def entry(self) -> Any:
        """The dispatcher for calls from Python, whose machine code is kept on disk."""
        dispatcher: Any = njit(**_FLAGS)(self.py_func)
        keep_on_disk(dispatcher)
        return dispatcher


class _PartLibrary(Library):  # type: ignore[misc]
    """Code that is optimised, and made machine code of, only as a part of the kernels that it is linked into."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        return _NoEnvironment


class _NoEnvironment:
    """Numba writes a pointer to each function's constants beside its machine code, of which there is none."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        pass


class _PartCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, but for where the code goes."""

    def define_pipelines(self) -> Any:
        state = self.state
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return super().define_pipelines()


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
