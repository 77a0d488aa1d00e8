"""Compile the CUDA kernels without a GPU: launches become compilations to PTX, and ptxas counts what they use."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import typeof


class Handle:
    """Stands for device memory: knows what it would be, and holds nothing."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._numba_type_ = typeof(np.empty((1,) * len(self.shape), dtype))

    def reshape(self, shape: Any) -> Handle:
        return Handle(shape, self.dtype)


@dataclass
class Compiled:
    name: str
    types: str
    ptx: str
    threads: int
    registers: int = 0
    stack: int = 0
    spills: int = 0
    shared: int = 0


@contextmanager
def compiling(compute_capability: tuple[int, int] = (9, 0)) -> Iterator[list[Compiled]]:
    """Everything that is launched in the block is compiled instead, and appears in the list."""
    from numba import cuda, types
    from numba.cuda import dispatcher

    from kernels.cuda import device

    found: list[Compiled] = []
    seen: set[Any] = set()

    def launch(kernel: Any, blocks: Any, threads: Any, *arguments: Any) -> None:
        signature = types.void(*map(typeof, arguments))
        if (kernel, signature) in seen:
            return
        seen.add((kernel, signature))
        ptx, _ = cuda.compile(kernel.py_func, signature, cc=compute_capability, device=False, abi="numba")
        count = math.prod(threads) if isinstance(threads, tuple) else threads
        found.append(Compiled(kernel.__name__, str(signature), ptx, count))

    stand_ins = [
        (device, "launch", launch),
        (device, "allocate", Handle),
        (device, "copy_to_device", lambda array: Handle(array.shape, array.dtype)),
        (device, "multiprocessors", lambda: 132),
        (device, "toolkit", lambda: cuda),
        # Device functions are compiled for the GPU that is there.
        (dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=compute_capability)),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in stand_ins]
    for owner, name, value in stand_ins:
        setattr(owner, name, value)
    try:
        yield found
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def ptxas() -> Path | None:
    """NVIDIA's assembler, if its wheel is installed."""
    try:
        import nvidia
    except ImportError:
        return None
    return next((path for folder in nvidia.__path__ for path in Path(folder).glob("*/bin/ptxas")), None)


def assemble(kernel: Compiled, architecture: str = "sm_90") -> Compiled:
    """Fill in what ptxas says of registers, stack, spills and shared memory."""
    tool = ptxas()
    assert tool is not None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(kernel.ptx)
        done = subprocess.run(
            [tool, "-v", "-arch", architecture, source, "-o", Path(folder) / "kernel.cubin"],
            capture_output=True,
            text=True,
            check=True,
        )
    said = done.stderr

    def number(pattern: str) -> int:
        match = re.search(pattern, said)
        return int(match[1]) if match else 0

    kernel.registers = number(r"Used (\d+) registers")
    kernel.stack = number(r"(\d+) bytes stack frame")
    kernel.spills = number(r"(\d+) bytes spill stores")
    kernel.shared = number(r"(\d+) bytes smem")
    return kernel
