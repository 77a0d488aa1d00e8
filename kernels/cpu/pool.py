"""One pool of threads, one user at a time: what makes parallel kernels safe to call from anywhere.

Every `prange` loop that Numba compiles ends in a call of a C function, numba_parallel_for, which hands the pieces of
the loop to the threads of the layer in use (tbb, omp or workqueue). The layers differ in what they survive. workqueue
aborts the process when two Python threads call it at once (Numba releases Python's global lock around the call) or
when a loop runs inside another; GNU's omp ends any child that was forked after its threads had started.

So compiled code is linked to a small function of ours of that name, which asks first:

    one thread asked for?             the loop runs here, at the cost of a function call (on workqueue, 90
                                      microseconds less than handing it over)
    the pool is busy?                 the loop runs here: another thread has the pool, and twice as many threads as
                                      cores would only be in each other's way
    otherwise                         the pool is ours until the loop is done

In a forked child the pool counts as busy for ever. The pieces, and the machine code that works on them, are the same
in all cases, hence every bit of the result.

Two pools in one process, ours and that of BLAS, must not keep each other from the cores. Threads of GNU's omp that have
nothing to do spin for some milliseconds before they sleep, in case there is more; OpenBLAS's do so too. On two cores,
matrix products and batch norms in turns took 37 ms where 5 were needed. So we let omp's threads spin for some
microseconds, which still spans the time from one loop to the next in the same kernel: 5 ms. tbb and workqueue are
polite by themselves. (`GOMP_SPINCOUNT` or `OMP_WAIT_POLICY`, if set, decide instead.)
"""

import contextlib
import functools
import importlib
import os
from ctypes import addressof, c_int32
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir

_NAME = "numba_parallel_for"
_SPIN_COUNT = "1000"  # what GNU's omp itself uses where it knows of more threads than cores
_busy = c_int32(0)


def _load_omp() -> None:
    """Loads GNU's omp, if it is there, with our spin count: it reads its variables once, while it is being loaded."""
    variable = "GOMP_SPINCOUNT"
    if variable in os.environ or "OMP_WAIT_POLICY" in os.environ:
        return
    os.putenv(variable, _SPIN_COUNT)  # unlike os.environ, nobody else gets to see it
    with contextlib.suppress(ImportError):
        importlib.import_module("numba.np.ufunc.omppool")
    os.unsetenv(variable)


_load_omp()


@functools.cache
def install() -> Any:
    """Starts the threads and links all parallel code that is compiled or loaded from here on to our function.

    Returns what keeps the function's machine code alive; None if this version of Numba does it another way.
    """
    numba.get_num_threads()  # starts the threads
    hand_over = llvm.address_of_symbol(_NAME)
    if hand_over is None:
        return None
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(_module(hand_over))), machine)
    engine.finalize_object()
    llvm.add_symbol(_NAME, engine.get_function_address("alone_or_together"))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_close)
    return engine


def _close() -> None:
    """Threads do not survive a fork: no loop may be handed to them any more."""
    _busy.value = 1


def _module(hand_over: int) -> ir.Module:
    """Our function: `loop` is the compiled loop, `work` its arguments, `shape` the number of pieces and more."""
    pointer, size = ir.IntType(8).as_pointer(), ir.IntType(64)
    together_type = ir.FunctionType(ir.VoidType(), [pointer] * 5 + [size] * 3)
    alone_type = ir.FunctionType(ir.VoidType(), [pointer] * 4)
    module = ir.Module("pool")
    module.triple = llvm.get_default_triple()
    function = ir.Function(module, together_type, "alone_or_together")
    loop, work, shape, strides, data, _, _, threads = function.args
    blocks = [function.append_basic_block(name) for name in ("start", "ask", "together", "alone")]
    start, ask, together, alone = map(ir.IRBuilder, blocks)
    free, taken = ir.IntType(32)(0), ir.IntType(32)(1)
    busy = start.inttoptr(size(addressof(_busy)), ir.IntType(32).as_pointer())
    start.cbranch(start.icmp_signed(">", threads, size(1)), blocks[1], blocks[3])
    was_free = ask.extract_value(ask.cmpxchg(busy, free, taken, "acquire", "acquire"), 1)
    ask.cbranch(was_free, blocks[2], blocks[3])
    together.call(together.inttoptr(size(hand_over), together_type.as_pointer()), function.args)
    together.store_atomic(free, busy, "release", 4)
    together.ret_void()
    alone.call(alone.bitcast(loop, alone_type.as_pointer()), [work, shape, strides, data])
    alone.ret_void()
    return module
