"""Mistakes that the checks of the lesson `cuda_kernels` must find, and other right solutions that they must pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lessons.lab import cuda

Wrong = tuple[Callable[..., Any], tuple[str, ...], "str | None"]  # the function, the wrong terms, what must be said


def up(items: int, size: int) -> int:
    """How many groups of some size hold so many items."""
    return -(-items // size)


# ---- vector_add


def _adding(kernel: Any, threads: int = 64, blocks: Callable[[int], int] = lambda n: up(n, 64)) -> Callable[..., Any]:
    def vector_add(a, b):
        out = np.zeros_like(a)
        kernel[blocks(a.size), threads](a, b, out)
        return out

    return vector_add


@cuda.jit
def add(a, b, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = a[i] + b[i]


@cuda.jit
def add_unguarded(a, b, out):
    i = cuda.grid(1)
    out[i] = a[i] + b[i]


@cuda.jit
def add_one_too_many(a, b, out):
    i = cuda.grid(1)
    if i <= out.size:
        out[i] = a[i] + b[i]


@cuda.jit
def add_one_too_few(a, b, out):
    i = cuda.grid(1)
    if i < out.size - 1:
        out[i] = a[i] + b[i]


@cuda.jit
def add_in_every_block_the_same(a, b, out):
    i = cuda.threadIdx.x
    if i < out.size:
        out[i] = a[i] + b[i]


@cuda.jit
def add_with_the_grid_for_the_block(a, b, out):
    i = cuda.blockIdx.x * cuda.gridDim.x + cuda.threadIdx.x
    if i < out.size:
        out[i] = a[i] + b[i]


@cuda.jit
def add_a_piece_for_each(a, b, out):
    share = (out.size + cuda.gridsize(1) - 1) // cuda.gridsize(1)
    first = cuda.grid(1) * share
    for i in range(first, min(first + share, out.size)):
        out[i] = a[i] + b[i]


@cuda.jit
def add_in_strides(a, b, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = a[i] + b[i]


@cuda.jit
def add_alone(a, b, out):
    for i in range(out.size):
        out[i] = a[i] + b[i]


def add_on_the_device(a, b):
    out = cuda.device_array_like(a)
    add[up(a.size, 32), 32](cuda.to_device(a), cuda.to_device(b), out)
    return out.copy_to_host()


def _with_a_launch(computes):
    """Launches something, and lets NumPy do the work."""

    @functools.wraps(computes)
    def candidate(*arguments):
        out = np.zeros(32)
        add[1, 32](np.ones(32), np.ones(32), out)
        return computes(*arguments)

    return candidate


ADD: dict[str, Wrong] = {
    "has no guard": (_adding(add_unguarded), (), "OutOfBounds: a[1] does not exist"),
    "guards with <= in the place of <": (_adding(add_one_too_many), (), "OutOfBounds: a[1] does not exist"),
    "stops one too early": (_adding(add_one_too_few), (), "with 1 numbers"),
    "rounds the number of blocks down": (_adding(add, blocks=lambda n: n // 64), (), "LaunchError: a grid of size 0"),
    "launches one block, whatever the size": (_adding(add, blocks=lambda n: 1), (), "with 100 numbers"),
    "forgets the block's number": (_adding(add_in_every_block_the_same), (), "Race: out[0]"),
    "takes gridDim for blockDim": (_adding(add_with_the_grid_for_the_block), (), "Race: out[2]"),
    "gives each thread a piece of its own": (
        _adding(add_a_piece_for_each, threads=32, blocks=lambda n: 2),
        (),
        "the accesses are not coalesced",
    ),
    "lets one thread do it all": (_adding(add_alone, threads=1, blocks=lambda n: 1), (), "1 threads do all the work"),
    "lets NumPy do it": (lambda a, b: a + b, (), "no kernel was launched"),
    "lets NumPy do it, beside a launch": (_with_a_launch(lambda a, b: a + b), (), "who computed the rest?"),
    "asks for 2048 threads in a block": (_adding(add, threads=2048), (), "LaunchError"),
    "never reads b": (lambda a, b: _adding(add)(a, a), (), "with 1 numbers"),
}

ADD_RIGHT = {
    "in strides of the whole grid": _adding(add_in_strides, threads=32, blocks=lambda n: 2),
    "with blocks of 256": _adding(add, threads=256, blocks=lambda n: up(n, 256)),
    "on device arrays": add_on_the_device,
}


# ---- reduce_sum


def _summing(
    threads: int = 64,
    *,
    first: bool = True,
    levels: bool = True,
    inside: bool = False,
    everybody: bool = False,
    zero: bool = True,
    guard: bool = True,
    together: str = "launch",
    reader: int = 0,
    last: bool = True,
) -> Callable[..., Any]:
    """A reduction by a tree in shared memory, with parts of it left out."""

    @cuda.jit
    def add_up(x, sums):
        parts = cuda.shared.array(threads, np.float64)
        t, i = cuda.threadIdx.x, cuda.grid(1)
        if i < x.size or not guard:
            parts[t] = x[i]
        elif zero:
            parts[t] = 0.0
        if first:
            cuda.syncthreads()
        reach = threads // 2
        while reach:
            if t < reach or (everybody and t + reach < threads):
                parts[t] += parts[t + reach]
                if inside:
                    cuda.syncthreads()
            if levels and not inside and (last or reach > 1):
                cuda.syncthreads()
            reach //= 2
        if t == reader:
            if together == "launch":
                sums[cuda.blockIdx.x] = parts[0]
            elif together == "atomic":
                cuda.atomic.add(sums, 0, parts[0])
            else:
                sums[0] += parts[0]

    def reduce_sum(x):
        while True:
            blocks = up(x.size, threads)
            sums = np.zeros(blocks if together == "launch" else 1)
            add_up[blocks, threads](x, sums)
            if len(sums) == 1:
                return sums
            x = sums

    return reduce_sum


@cuda.jit
def sum_without_atomics(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[0] += x[i]


@cuda.jit
def sum_by_atomics(x, out):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(out, 0, x[i])


@cuda.jit
def sum_in_one_launch(x, sums, out):
    """The last block adds up what the others have found, as if they were through."""
    parts = cuda.shared.array(64, np.float64)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    parts[t] = x[i] if i < x.size else 0.0
    cuda.syncthreads()
    reach = 32
    while reach:
        if t < reach:
            parts[t] += parts[t + reach]
        cuda.syncthreads()
        reach //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = parts[0]
        if cuda.blockIdx.x == cuda.gridDim.x - 1:
            total = 0.0
            for k in range(cuda.gridDim.x):
                total += sums[k]
            out[0] = total


@cuda.jit
def sum_by_one_thread(x, out):
    total = 0.0
    for i in range(x.size):
        total += x[i]
    out[0] = total


@cuda.jit
def sum_of_doubling_strides(x, sums):
    parts = cuda.shared.array(32, np.float64)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    parts[t] = x[i] if i < x.size else 0.0
    cuda.syncthreads()
    stride = 1
    while stride < 32:
        if t % (2 * stride) == 0:
            parts[t] += parts[t + stride]
        cuda.syncthreads()
        stride *= 2
    if t == 0:
        cuda.atomic.add(sums, 0, parts[0])


@cuda.jit
def sum_a_piece_for_each(x, out):
    share = (x.size + cuda.gridsize(1) - 1) // cuda.gridsize(1)
    first = cuda.grid(1) * share
    total = 0.0
    for i in range(first, min(first + share, x.size)):
        total += x[i]
    cuda.atomic.add(out, 0, total)


def _into_one(kernel: Any, threads: int = 64, blocks: Callable[[int], int] = lambda n: up(n, 64)) -> Callable[..., Any]:
    def reduce_sum(x):
        out = np.zeros(1)
        kernel[blocks(x.size), threads](x, out)
        return out

    return reduce_sum


def _in_one_launch(x):
    out, blocks = np.zeros(1), up(x.size, 64)
    sum_in_one_launch[blocks, 64](x, np.zeros(blocks), out)
    return out


NO_BARRIER = "no cuda.syncthreads() stands between them"
SUM: dict[str, Wrong] = {
    "does not wait after loading": (_summing(first=False), (), "Race: parts["),
    "does not wait between the levels": (_summing(levels=False), (), NO_BARRIER),
    "does not wait anywhere": (_summing(first=False, levels=False), (), NO_BARRIER),
    "reads a neighbour's part too early": (_summing(reader=1, last=False), (), "Race: parts[0]"),
    "lets every thread add, also those whose part is read": (_summing(everybody=True), (), "Race: parts["),
    "waits inside of the if": (_summing(inside=True), (), "BarrierDivergence"),
    "leaves the rest of the shared array as it was": (_summing(zero=False), (), "Uninitialised: parts["),
    "reads beyond the vector": (_summing(guard=False), (), "OutOfBounds: x["),
    "lets the blocks add to one number": (_summing(together="plain"), (), "Blocks cannot wait for each other"),
    "lets the last block add up the others": (_in_one_launch, (), "Blocks cannot wait for each other"),
    "lets all threads add to one number": (_into_one(sum_without_atomics), (), "use cuda.atomic.add"),
    "halves a number of threads that is no power of two": (_summing(threads=48), (), "with 33 numbers"),
    "gives each thread a piece of its own": (
        _into_one(sum_a_piece_for_each, 32, lambda n: 2),
        (),
        "the accesses are not coalesced",
    ),
    "lets one thread do it all": (_into_one(sum_by_one_thread, 1, lambda n: 1), (), "1 threads do all the work"),
    "adds up the first block only": (_into_one(sum_of_doubling_strides, 32, lambda n: 1), (), "with 33 numbers"),
    "lets NumPy do it": (lambda x: x.sum(keepdims=True), (), "no kernel was launched"),
    "lets NumPy do it, beside a launch": (_with_a_launch(lambda x: x.sum(keepdims=True)), (), "who computed the rest?"),
}

SUM_RIGHT = {
    "with an atomic for each block": _summing(together="atomic"),
    "with doubling strides": _into_one(sum_of_doubling_strides, 32, lambda n: up(n, 32)),
    "with an atomic for each number": _into_one(sum_by_atomics),
    "with 256 threads": _summing(threads=256),
}


# ---- tiled_matmul


def _multiplying(
    side: int = 8,
    *,
    first: bool = True,
    second: bool = True,
    fills: bool = True,
    guards: bool = True,
    writes_guarded: bool = True,
    leaves: bool = False,
    turns: Callable[[int, int], int] = up,
    x_is_row: bool = False,
    swapped: bool = False,
    forgets_start: bool = False,
    inside: bool = False,
    restarts: bool = False,
) -> Callable[..., Any]:
    """A tiled product, with parts of it left out."""

    @cuda.jit
    def multiply(a, b, c):
        a_tile = cuda.shared.array((side, side), np.float64)
        b_tile = cuda.shared.array((side, side), np.float64)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        column, row = cuda.grid(2)
        if x_is_row:
            x, y, column, row = y, x, row, column
        if leaves and not (row < c.shape[0] and column < c.shape[1]):
            return
        total = 0.0
        for turn in range(turns(a.shape[1], side)):
            start = 0 if forgets_start else turn * side
            if (row < a.shape[0] and start + x < a.shape[1]) or not guards:
                a_tile[y, x] = a[row, start + x]
            elif fills:
                a_tile[y, x] = 0.0
            if (start + y < b.shape[0] and column < b.shape[1]) or not guards:
                b_tile[y, x] = b[start + y, column]
            elif fills:
                b_tile[y, x] = 0.0
            if first and (not inside or row < c.shape[0]):
                cuda.syncthreads()
            if restarts:
                total = 0.0
            for k in range(side):
                total += a_tile[y, k] * (b_tile[x, k] if swapped else b_tile[k, x])
            if second:
                cuda.syncthreads()
        if (row < c.shape[0] and column < c.shape[1]) or not writes_guarded:
            c[row, column] = total

    def tiled_matmul(a, b):
        c = np.zeros((a.shape[0], b.shape[1]))
        across, down = up(c.shape[1], side), up(c.shape[0], side)
        multiply[(down, across) if x_is_row else (across, down), (side, side)](a, b, c)
        return c

    return tiled_matmul


@cuda.jit
def multiply_without_tiles(a, b, c):
    column, row = cuda.grid(2)
    if row < c.shape[0] and column < c.shape[1]:
        total = 0.0
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, column]
        c[row, column] = total


def _without_tiles(a, b):
    c = np.zeros((a.shape[0], b.shape[1]))
    multiply_without_tiles[(up(c.shape[1], 16), up(c.shape[0], 16)), (16, 16)](a, b, c)
    return c


def _two_results_each(a, b):
    """Blocks of 8 x 4 threads, tiles of 8 x 8: each thread has two rows."""

    @cuda.jit
    def multiply(a, b, c):
        a_tile = cuda.shared.array((8, 8), np.float64)
        b_tile = cuda.shared.array((8, 8), np.float64)
        totals = cuda.local.array(2, np.float64)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        column, top = cuda.blockIdx.x * 8 + x, cuda.blockIdx.y * 8
        totals[0] = totals[1] = 0.0
        for start in range(0, a.shape[1], 8):
            for h in (y, y + 4):
                inside = top + h < a.shape[0] and start + x < a.shape[1]
                a_tile[h, x] = a[top + h, start + x] if inside else 0.0
                inside = start + h < b.shape[0] and column < b.shape[1]
                b_tile[h, x] = b[start + h, column] if inside else 0.0
            cuda.syncthreads()
            for k in range(8):
                totals[0] += a_tile[y, k] * b_tile[k, x]
                totals[1] += a_tile[y + 4, k] * b_tile[k, x]
            cuda.syncthreads()
        for h in range(2):
            if top + y + 4 * h < c.shape[0] and column < c.shape[1]:
                c[top + y + 4 * h, column] = totals[h]

    c = np.zeros((a.shape[0], b.shape[1]))
    multiply[(up(c.shape[1], 8), up(c.shape[0], 8)), (8, 4)](a, b, c)
    return c


RAGGED = "what happens at the last, ragged tile?"
PRODUCT: dict[str, Wrong] = {
    "does not wait until the tiles are complete": (_multiplying(first=False), (), "Race: a_tile["),
    "does not wait before the next tiles": (_multiplying(second=False), (), "Race: a_tile["),
    "does not wait at all": (_multiplying(first=False, second=False), (), NO_BARRIER),
    "waits inside of an if": (_multiplying(inside=True), (), "BarrierDivergence"),
    "lets threads without a result leave": (_multiplying(leaves=True), (), "BarrierDivergence"),
    "leaves the edge of the tiles as it was": (_multiplying(fills=False), (), "Uninitialised: a_tile["),
    "reads beyond the matrices": (_multiplying(guards=False), (), "OutOfBounds: a["),
    "writes beyond the result": (_multiplying(writes_guarded=False), (), "OutOfBounds: c["),
    "forgets the last tile, which is not full": (
        _multiplying(turns=lambda k, side: max(k // side, 1)),
        (),
        RAGGED,
    ),
    "brings the first tile every time": (_multiplying(forgets_start=True), (), "(16, 32) times (32, 16):"),
    "begins the sum anew in each tile": (_multiplying(restarts=True), (), "(16, 32) times (32, 16):"),
    "reads a row of the b-tile for its column": (_multiplying(swapped=True), (), "(16, 32) times (32, 16):"),
    "lets x be the row": (_multiplying(16, x_is_row=True), (), "the accesses are not coalesced"),
    "uses no tiles": (_without_tiles, (), "nothing is read once and used often"),
    "lets NumPy do it": (lambda a, b: a @ b, (), "no kernel was launched"),
    "lets NumPy do it, beside a launch": (_with_a_launch(lambda a, b: a @ b), (), "who computed the rest?"),
}

PRODUCT_RIGHT = {
    "with tiles of 4": _multiplying(4),
    "with tiles of 16": _multiplying(16),
    "with two results for each thread": _two_results_each,
    "with one tile more, of zeros": _multiplying(turns=lambda k, side: k // side + 1),
}


# ---- batchnorm_backward


def _backward(
    direct: float = 1.0,
    mean: Callable[[int], float] = lambda n: 1.0,
    var: Callable[[int], float] = lambda n: 1.0,
    *,
    scaled: bool = True,
    rows: int = 0,
    barrier: bool = True,
    guarded: bool = True,
    one_launch: bool = False,
    zero: bool = True,
    swapped: bool = False,
) -> Callable[..., Any]:
    """Both kernels, with wrong factors on the terms, or with parts left out; ``rows`` are left out of the sums."""
    across, down = 16, 4

    @cuda.jit
    def column_sums(dy, x_hat, dgamma, dbeta):
        parts = cuda.shared.array((2, down, across), np.float64)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        column = cuda.blockIdx.x * across + x
        to_gamma = to_beta = 0.0
        if column < dy.shape[1] or not guarded:
            for row in range(y, dy.shape[0] - rows, down):
                to_gamma += dy[row, column] * x_hat[row, column]
                to_beta += dy[row, column]
        if zero or y:
            parts[0, y, x], parts[1, y, x] = to_gamma, to_beta
        if barrier:
            cuda.syncthreads()
        if y == 0 and column < dy.shape[1]:
            to_gamma = to_beta = 0.0
            for k in range(down):
                to_gamma += parts[0, k, x]
                to_beta += parts[1, k, x]
            dgamma[column], dbeta[column] = to_gamma, to_beta

    @cuda.jit
    def gradient(dy, x_hat, gamma, inv_std, dgamma, dbeta, dx):
        column, row = cuda.grid(2)
        n = dx.shape[0]
        if row < n and column < dx.shape[1]:
            found = direct * dy[row, column] - mean(n) * dbeta[column] / n
            found -= var(n) * x_hat[row, column] * dgamma[column] / n
            dx[row, column] = (gamma[column] if scaled else 1.0) * inv_std[column] * found

    @cuda.jit
    def both(dy, x_hat, gamma, inv_std, dgamma, dbeta, dx):
        """The sums by the threads of the first rows, and the gradient in the same launch."""
        column, row = cuda.grid(2)
        n = dx.shape[0]
        if column < dx.shape[1]:
            if row == 0:
                to_gamma = to_beta = 0.0
                for k in range(n):
                    to_gamma += dy[k, column] * x_hat[k, column]
                    to_beta += dy[k, column]
                dgamma[column], dbeta[column] = to_gamma, to_beta
            if row < n:
                found = dy[row, column] - dbeta[column] / n - x_hat[row, column] * dgamma[column] / n
                dx[row, column] = gamma[column] * inv_std[column] * found

    def batchnorm_backward(dy, x_hat, gamma, inv_std):
        n, d = dy.shape
        dx, dgamma, dbeta = np.zeros((n, d)), np.zeros(d), np.zeros(d)
        grid = (up(d, across), up(n, down)), (across, down)
        if one_launch:
            both[grid](dy, x_hat, gamma, inv_std, dgamma, dbeta, dx)
        else:
            column_sums[up(d, across), (across, down)](dy, x_hat, dgamma, dbeta)
            gradient[grid](dy, x_hat, gamma, inv_std, dgamma, dbeta, dx)
        return (dx, dbeta, dgamma) if swapped else (dx, dgamma, dbeta)

    return batchnorm_backward


def _by_numpy(dy, x_hat, gamma, inv_std):
    dgamma, dbeta = (dy * x_hat).sum(axis=0), dy.sum(axis=0)
    return gamma * inv_std * (dy - dbeta / len(dy) - x_hat * dgamma / len(dy)), dgamma, dbeta


def _one_thread_for_each_column(dy, x_hat, gamma, inv_std):
    """Everything of a column by one thread: no shared memory, no barrier, and few threads."""

    @cuda.jit
    def columns(dy, x_hat, gamma, inv_std, dgamma, dbeta, dx):
        column, n = cuda.grid(1), dy.shape[0]
        if column < dy.shape[1]:
            to_gamma = to_beta = 0.0
            for row in range(n):
                to_gamma += dy[row, column] * x_hat[row, column]
                to_beta += dy[row, column]
            dgamma[column] = to_gamma
            dbeta[column] = to_beta
            for row in range(n):
                found = dy[row, column] - (to_beta + x_hat[row, column] * to_gamma) / n
                dx[row, column] = gamma[column] * inv_std[column] * found

    n, d = dy.shape
    dx, dgamma, dbeta = np.zeros((n, d)), np.zeros(d), np.zeros(d)
    columns[up(d, 32), 32](dy, x_hat, gamma, inv_std, dgamma, dbeta, dx)
    return dx, dgamma, dbeta


def _with_atomics(dy, x_hat, gamma, inv_std):
    @cuda.jit
    def sums(dy, x_hat, dgamma, dbeta):
        column, row = cuda.grid(2)
        if row < dy.shape[0] and column < dy.shape[1]:
            cuda.atomic.add(dgamma, column, dy[row, column] * x_hat[row, column])
            cuda.atomic.add(dbeta, column, dy[row, column])

    @cuda.jit
    def gradient(dy, x_hat, gamma, inv_std, dgamma, dbeta, dx):
        column, row = cuda.grid(2)
        n = dx.shape[0]
        if row < n and column < dx.shape[1]:
            found = dy[row, column] - dbeta[column] / n - x_hat[row, column] * dgamma[column] / n
            dx[row, column] = gamma[column] * inv_std[column] * found

    n, d = dy.shape
    dx, dgamma, dbeta = np.zeros((n, d)), np.zeros(d), np.zeros(d)
    grid = (up(d, 32), up(n, 8)), (32, 8)
    sums[grid](dy, x_hat, dgamma, dbeta)
    gradient[grid](dy, x_hat, gamma, inv_std, dgamma, dbeta, dx)
    return dx, dgamma, dbeta


BACKWARD: dict[str, Wrong] = {
    "forgets the mean": (_backward(mean=lambda n: 0), ("mean",), "`mean` is 0"),
    "forgets the variance": (_backward(var=lambda n: 0), ("var",), "`var` is 0"),
    "takes the statistics for constants": (
        _backward(mean=lambda n: 0, var=lambda n: 0),
        ("mean", "var"),
        "`mean` and `var` is 0",
    ),
    "forgets the direct term": (_backward(0), ("direct",), "`direct` is 0"),
    "adds the variance term": (_backward(var=lambda n: -1), ("var",), "`var` is -1"),
    "divides by N - 1 in the variance term": (_backward(var=lambda n: n / (n - 1)), ("var",), "`var` is N/(N-1)"),
    "forgets 1/N in the mean term": (_backward(mean=lambda n: n), ("mean",), "`mean` is N"),
    "forgets gamma": (_backward(scaled=False), ("direct", "mean", "var"), "1/gamma"),
    "leaves the last row out of the sums": (_backward(rows=1), ("mean", "var", "dgamma", "dbeta"), None),
    "swaps dgamma and dbeta": (_backward(swapped=True), (), "in the place of dgamma is dbeta"),
    "does not wait for the parts": (_backward(barrier=False), (), "Race: parts["),
    "computes the sums and the gradient in one launch": (_backward(one_launch=True), (), "Race: dbeta["),
    "sums columns that do not exist": (_backward(guarded=False), (), "OutOfBounds: dy[0, "),
    "does not write the first row's part": (_backward(zero=False), (), "Uninitialised: parts[0, 0, "),
    "lets NumPy do it": (_by_numpy, (), "no kernel was launched"),
    "lets NumPy do it, beside a launch": (_with_a_launch(_by_numpy), (), "who computed the rest?"),
}

BACKWARD_RIGHT = {
    "with one thread for each column": _one_thread_for_each_column,
    "with atomics": _with_atomics,
    "with blocks of 16 x 4": _backward(),
}

MISTAKES = {"vector_add": ADD, "reduce_sum": SUM, "tiled_matmul": PRODUCT, "batchnorm_backward": BACKWARD}
VARIANTS = {
    "vector_add": ADD_RIGHT,
    "reduce_sum": SUM_RIGHT,
    "tiled_matmul": PRODUCT_RIGHT,
    "batchnorm_backward": BACKWARD_RIGHT,
}
