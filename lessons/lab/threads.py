"""One thread, for measurements and for small arrays."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep NumPy's BLAS, minigrad's kernels and PyTorch to one thread each, as far as they are there.

    A context manager and a decorator.  On the small arrays of most lessons a second thread gains little, and on a busy
    machine threads that wait for each other can cost a factor of ten.  The BLAS can be told so only where
    threadpoolctl is installed.
    """
    import kernels

    with ExitStack() as undo:
        undo.callback(kernels.set_num_threads, kernels.get_num_threads())
        kernels.set_num_threads(1)
        if (torch := sys.modules.get("torch")) is not None:
            undo.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        if importlib.util.find_spec("threadpoolctl") is not None:
            import threadpoolctl

            undo.enter_context(threadpoolctl.threadpool_limits(1, user_api="blas"))
        yield
