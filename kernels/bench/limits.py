"""Measures what this machine reaches when it does one thing only, with the vectors that our kernels are written in.

- Multiply-add: a full tile of accumulators in registers, each of them multiplied and added to in every step. There
  are enough of them that no addition waits for the one before it.
- Popcount: eight vectors of 64-bit words, each replaced by its sum with the popcount of its exclusive or.
- Memory: `c = a + s b` (triad) and `c = a` (copy) over arrays that stay where they are, the faster of the two; once
  with stores that leave the caches alone, too. Reading a cache line in order to overwrite it is not counted, as usual.

This is a limit, and a disturbance can only make it look lower: the faster turns of many count.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.bench.peaks import Peaks
from kernels.benchmark import quartiles
from kernels.cpu.jit import kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    COLS,
    FLOAT32_LANES,
    ROWS,
    lanes,
    load,
    outer_fma,
    popcount,
    store,
    store_tile,
    stream,
    zeros,
)
from kernels.cpu.team import get_num_threads

Array = npt.NDArray[Any]

FMA_STEPS = POPCOUNT_STEPS = 100_000
CHAINS = 8
AT_LEAST = 0.1  # seconds for each number
# Bytes of the arrays together.
SIZES = tuple(1 << power for power in (18, 20, 22, 24, 26, 28, 30))


@kernel
def _fma_chains(worker: int, item: int, a: Array, b: Array, outs: Array) -> None:
    acc: Any = zeros(a, ROWS, COLS)
    for _ in range(FMA_STEPS):
        acc = outer_fma(acc, a, 0, 1, b, 0)
    store_tile(outs[item], 0, COLS * lanes(outs), acc)


@kernel
def _fma(a: Array, b: Array, outs: Array) -> None:
    parallel(_fma_chains, len(outs), len(outs), (a, b, outs))


@kernel
def _counted(x: Any, v: Any) -> Any:
    return v + popcount(x ^ v)


@kernel
def _popcount_chains(worker: int, item: int, all_words: Array) -> None:
    words = all_words[item]
    step = lanes(words)
    x: Any = load(words, 8 * step)
    a: Any = load(words, 0)
    b: Any = load(words, step)
    c: Any = load(words, 2 * step)
    d: Any = load(words, 3 * step)
    e: Any = load(words, 4 * step)
    f: Any = load(words, 5 * step)
    g: Any = load(words, 6 * step)
    h: Any = load(words, 7 * step)
    for _ in range(POPCOUNT_STEPS):
        a, b, c, d = _counted(x, a), _counted(x, b), _counted(x, c), _counted(x, d)
        e, f, g, h = _counted(x, e), _counted(x, f), _counted(x, g), _counted(x, h)
    store(words, 0, a ^ b ^ c ^ d ^ e ^ f ^ g ^ h)


@kernel
def _popcount(words: Array) -> None:
    parallel(_popcount_chains, len(words), len(words), (words,))


@kernel
def _triad_share(worker: int, item: int, a: Array, b: Array, c: Array, share: int, turns: int) -> None:
    for _ in range(turns):
        for i in range(item * share, (item + 1) * share, lanes(a)):
            x: Any = load(a, i)
            y: Any = load(b, i)
            store(c, i, x + y * np.float32(3))


@kernel
def _triad(a: Array, b: Array, c: Array, workers: int, turns: int) -> None:
    parallel(_triad_share, workers, workers, (a, b, c, a.size // workers, turns))


@kernel
def _copied(source: Array, target: Array, start: int, stop: int) -> None:
    for i in range(start, stop, lanes(source)):
        store(target, i, load(source, i))


@kernel
def _streamed(source: Array, target: Array, start: int, stop: int) -> None:
    for i in range(start, stop, lanes(source)):
        stream(target, i, load(source, i))


@kernel
def _copy_share(worker: int, item: int, a: Array, c: Array, share: int, turns: int, streaming: bool) -> None:
    """There and back again, lest the compiler see that the second turn changes nothing."""
    start = item * share
    for turn in range(turns):
        source, target = (a, c) if turn % 2 == 0 else (c, a)
        if streaming:
            _streamed(source, target, start, start + share)
        else:
            _copied(source, target, start, start + share)


@kernel
def _copy(a: Array, c: Array, workers: int, turns: int, streaming: bool) -> None:
    parallel(_copy_share, workers, workers, (a, c, a.size // workers, turns, streaming))


def measure(largest: int = SIZES[-1], turns: int = 8) -> Peaks:
    """The peaks of this machine with as many threads as Numba has now; a few seconds."""
    workers = get_num_threads()
    tile = ROWS * COLS * FLOAT32_LANES
    a, b = np.full(ROWS, 1e-3, np.float32), np.ones(COLS * FLOAT32_LANES, np.float32)
    out = np.empty((workers, tile), np.float32)
    lanes_of_words = FLOAT32_LANES // 2
    words = np.arange(workers * (CHAINS + 1) * lanes_of_words, dtype=np.uint64).reshape(workers, -1)
    flops = 2 * tile * FMA_STEPS * workers / _steady(lambda: _fma(a, b, out), turns)
    counts = CHAINS * lanes_of_words * POPCOUNT_STEPS * workers / _steady(lambda: _popcount(words), turns)
    sizes = [size for size in SIZES if size <= largest]
    return Peaks(workers, flops, counts, tuple((size, _bandwidth(size, workers, turns)) for size in sizes))


def _bandwidth(size: int, workers: int, turns: int) -> float:
    """Bytes a second over arrays of `size` bytes together."""
    a, b, c = (_aligned(size // 12) for _ in range(3))
    repeats = max(1, (1 << 25) // size)
    three, two = 12.0 * a.size * repeats, 8.0 * a.size * repeats
    speeds = [
        three / _steady(lambda: _triad(a, b, c, workers, repeats), turns),
        two / _steady(lambda: _copy(a, c, workers, repeats, False), turns),
        two / _steady(lambda: _copy(a, c, workers, repeats, True), turns),
    ]
    return max(speeds)


def _aligned(count: int) -> Array:
    """About this many float32 numbers, divisible among the threads, from the start of a cache line on."""
    count = max(count // 1024, 1) * 1024
    memory = np.zeros(count + 16, np.float32)
    first = -memory.ctypes.data % 64 // 4
    memory[:] = 1
    return memory[first : first + count]


def _steady(work: Callable[[], object], turns: int) -> float:
    """Seconds, from the faster quarter of the turns: a core that works for somebody else now and then does not count,
    and neither does one lucky or wrong reading of the clock."""
    get_num_threads()
    work()
    seconds: list[float] = []
    begun = time.perf_counter()
    while len(seconds) < turns or (time.perf_counter() - begun < AT_LEAST and len(seconds) < 20 * turns):
        get_num_threads()  # wakes the threads, which may have gone to sleep
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return quartiles(seconds)[0]
