# %% [markdown]
# # A GPU kernel, from naive to tiled, in four counted steps
#
# **The question.** Four kernels compute the same matrix product with the same multiplications, and on a GPU the last
# is many times as fast as the first. What is it that changes from one to the next, and how do you see it, and every
# race on the way, without owning a GPU?
#
# The sources are the [examples of Numba-CUDA][numba] (NVIDIA and the Numba developers, 2025), whose matrix product in
# shared memory is where most people who write kernels in Python begin, and NVIDIA's [CUDA C++ Programming
# Guide][guide], which says how threads, warps and memory work. The same road, longer and measured on hardware, is in
# [How to Optimize a CUDA Matmul Kernel for cuBLAS-like Performance: a Worklog][boehm] by Simon Boehm (2022). We take
# four steps, and count what decides: how many numbers a kernel reads, in how many pieces they arrive, and who waits
# for whom.
#
# Every kernel here is written as for a GPU, with Numba's names. What runs it is `lessons.lab.cuda`: plain Python that
# executes one thread after another, keeps a record of every access to memory, and calls a race a race even when the
# numbers are right. Numba's own simulator runs the same kernels, but it does not see races, and it must be chosen
# before numba is imported, for the whole process. On a machine with a GPU, one line changes: `from numba import
# cuda`.
#
# [numba]: https://nvidia.github.io/numba-cuda/user/examples.html
# [guide]: https://docs.nvidia.com/cuda/cuda-c-programming-guide/
# [boehm]: https://siboehm.com/articles/22/CUDA-MMM

# %%
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Term, Verdict
from lessons.lab import cuda, evidence
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.statistics import mean_and_margin
from lessons.lab.threads import one_thread
from lessons.systems import _cuda_kernels_figures as figures
from lessons.systems import _cuda_kernels_hardware as hardware
from lessons.systems import _cuda_kernels_wrong as wrong

lesson = Lesson(
    name="cuda_kernels",
    title="A GPU kernel, from naive to tiled, in four counted steps",
    subject="systems",
    source=Source(
        title="Numba-CUDA documentation: Examples",
        author="NVIDIA and the Numba developers",
        year=2025,
        link="https://nvidia.github.io/numba-cuda/user/examples.html",
    ),
    headline="Four kernels, one matrix product: the sectors that a multiply-add costs fall from 17/32 to 1/256; and a "
    "race is found in every run by who touches what, where the numbers show it only now and then.",
    needs=("batchnorm",),
    minutes=0.5,
    exercises=4,
    imports=("from lessons.lab import cuda  # on a machine with a GPU: from numba import cuda",),
)

# %% [markdown]
# ## One thread, one number
#
# A *kernel* is a function that says what **one thread** does. A launch, `kernel[blocks, threads](...)`, runs it in
# `blocks * threads` threads, and each asks where it stands: `cuda.grid(1)` is
#
# $$
# i = \text{blockIdx.x} \cdot \text{blockDim.x} + \text{threadIdx.x}
# $$
#
# A block has a fixed size, and data have any size, so some threads of the last block have nothing to do. They must be
# told so. The line `if i < x.size` is the one that is forgotten most often. A GPU does not complain then: the threads
# read and write whatever lies behind the array.


# %%
@cuda.jit
def double(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = 2 * x[i]


@cuda.jit
def double_unguarded(x, out):
    i = cuda.grid(1)
    out[i] = 2 * x[i]


def recorded(kernel: cuda.Kernel, blocks: Any, threads: Any, *arguments: Any) -> cuda.Launch:
    """Launch a kernel and return what it did; a fault ends it."""
    with cuda.recording() as launches:
        kernel[blocks, threads](*arguments)
    return launches[0]


def fault_of(kernel: cuda.Kernel, blocks: Any, threads: Any, *arguments: Any) -> str:
    """Launch a kernel and return which fault ends it, "" if none does."""
    try:
        kernel[blocks, threads](*arguments)
    except cuda.Fault as fault:
        return type(fault).__name__
    return ""


@lesson.step("One thread, one number")
def one_thread_one_number(run: Run) -> None:
    n, threads = 100, 32
    x, out = run.rng.normal(size=n), np.zeros(n)
    launch = recorded(double, 4, threads, x, out)
    run.claim("100 numbers, 4 blocks of 32: largest error of 2 x", np.abs(out - 2 * x).max(), equals=0.0)
    run.claim("threads in all", launch.blocks * launch.threads, equals=128)
    run.claim("writes, one for each number", sorted(a.element for a in launch.on("out")) == list(range(n)), equals=True)
    run.claim("without the guard", fault_of(double_unguarded, 4, threads, x, out), equals="OutOfBounds")
    try:
        double_unguarded[4, threads](x, out)
    except cuda.OutOfBounds as fault:
        run.note(f"What the simulator says: {fault}")


# %% [markdown]
# **Exercise: `vector_add`.** Your first kernel, with the function that launches it. Write the kernel inside of the
# function, or above it in your file. (In a program, kernels stand at the top of a module, so that they are compiled
# once.)


# %%
@lesson.exercise(
    hint="How many blocks does it take so that every number has a thread? And what do the threads beyond do?"
)
def vector_add(a, b):
    """Add two vectors in a kernel of your own.

    Decorate the kernel with @cuda.jit and launch it as kernel[blocks, threads](...). Neighbouring threads should read
    neighbouring numbers.

    Args:
        a: shape (n,), with any n from 1 on.
        b: shape (n,).

    Returns:
        a + b, shape (n,).
    """

    @cuda.jit
    def add(a, b, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = a[i] + b[i]

    out = np.zeros_like(a)
    threads = 128
    blocks = -(-out.size // threads)  # rounded up
    add[blocks, threads](a, b, out)
    return out


# %% [markdown]
# ## What a warp asks for
#
# 32 threads that follow each other along x are a **warp**. They execute an instruction together, so a read is one
# *request* for 32 addresses. Memory does not deliver numbers; it delivers **sectors** of 32 bytes (four of which are
# a line of the cache, 128 bytes). A request costs as many sectors as its addresses touch. With float32, 8 numbers
# share a sector:
#
# - neighbouring threads, neighbouring numbers: $32 \cdot 4 / 32 = 4$ sectors, and every byte of them is used. Such a
#   request is called *coalesced*;
# - every $s$-th number: $\min(32, 4 s)$ sectors, of which a share of $1/s$ is used, down to 1/8;
# - all threads the same number: 1 sector.
#
# The recorder knows the address of each access, so this can be counted.


# %%
@cuda.jit
def every_sth(x, out, stride):
    i = cuda.grid(1)
    out[i] = x[i * stride]


def sectors_of_stride(stride: int) -> float:
    """Sectors for each request of a warp that reads every stride-th number."""
    x, out = np.ones(64 * max(stride, 1), np.float32), np.zeros(64, np.float32)
    return cuda.traffic(recorded(every_sth, 2, 32, x, out, stride), "x").per_request


@lesson.step("What a warp asks for")
def what_a_warp_asks_for(run: Run) -> None:
    strides = (0, 1, 2, 4, 8, 16)
    found = [sectors_of_stride(stride) for stride in strides]
    run.table(
        "A warp reads every s-th float32",
        ("s", "sectors", "bytes fetched", "of them used"),
        [(s, int(k), int(k * cuda.SECTOR), f"{100 * min(1, (4 if s == 0 else 128) / (k * 32)):.0f} %")
         for s, k in zip(strides, found, strict=True)],
    )  # fmt: skip
    for stride, sectors in zip(strides, found, strict=True):
        run.claim(f"stride {stride}: sectors", sectors, equals=float(min(32, 4 * stride) if stride else 1))


# %% [markdown]
# ## Step 1: a matrix product, the obvious way
#
# $c_{ij} = \sum_l a_{il} b_{lj}$, and one thread for each $c_{ij}$. Two names come out of `cuda.grid(2)`, x first,
# and the first index of a matrix is its row: nothing is more natural than the first line of this kernel. It is also
# how the
# [examples of Numba][numba] begin.
#
# Matrices lie in memory row by row. Threads of a warp are neighbours along x, which here is the *row*. So in the loop
# the warp reads $a_{il}$ for 16 different rows, 16 numbers that lie far apart: 16 sectors, each for one number.
#
# All our blocks have 16 x 16 threads, so a warp is 16 neighbours along x in 2 lines along y.
#
# [numba]: https://nvidia.github.io/numba-cuda/user/examples.html

# %%
TILE = 16  # threads along each side of a block


@cuda.jit
def naive(a, b, c):
    row, column = cuda.grid(2)
    if row < c.shape[0] and column < c.shape[1]:
        total = np.float32(0)
        for l in range(a.shape[1]):  # noqa: E741
            total += a[row, l] * b[l, column]
        c[row, column] = total


class Step(NamedTuple):
    """One of the four kernels: its block computes a square of the result, `side` x `side`."""

    title: str
    kernel: cuda.Kernel
    side: int
    x_is_row: bool = False

    def blocks(self, rows: int, columns: int) -> tuple[int, int]:
        """How many blocks cover a result, along x and y."""
        down, across = -(-rows // self.side), -(-columns // self.side)
        return (down, across) if self.x_is_row else (across, down)


def product(step: Step, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b, by a kernel."""
    c = np.full((len(a), b.shape[1]), np.nan, np.float32)
    step.kernel[step.blocks(*c.shape), (TILE, TILE)](a, b, c)
    return c


def matrices(rng: np.random.Generator, m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a (m, k) and b (k, n) in float32."""
    return rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)


# Sizes that are no multiples of anything, a single number, and more blocks.
AWKWARD = ((19, 10, 21), (1, 1, 1), (70, 33, 5))


def largest_error(step: Step, run: Run) -> float:
    """The largest error of a kernel's products at awkward sizes, as a fraction of the largest entry."""
    problems = [matrices(run.rng, *sizes) for sizes in AWKWARD[: run.pick(quick=1, default=3, full=3)]]
    return max(error(product(step, a, b), a.astype(np.float64) @ b) for a, b in problems)


class Cost(NamedTuple):
    """What one block's work costs, for each multiply-add."""

    loads: float
    sectors: float
    shared: float


def first_block(step: Step, a: np.ndarray, b: np.ndarray) -> cuda.Launch:
    """Run one block, the first, and keep its accesses. All others do the same in other places."""
    return recorded(step.kernel, 1, (TILE, TILE), a, b, np.zeros((len(a), b.shape[1]), np.float32))


def cost_of(launch: cuda.Launch, step: Step, k: int) -> Cost:
    """Count what a recorded block has read, for each of its multiply-adds."""
    work = step.side**2 * k
    found = cuda.traffic(launch, kind=cuda.READ)
    shared = sum(a.kind == cuda.READ and launch.arrays[a.array].space == "shared" for a in launch.accesses)
    return Cost(found.loads / work, found.sectors / work, shared / work)


FAR = 64  # rows of a and columns of b when we count: as many as the largest tile has


def counted(run: Run, step: Step) -> tuple[cuda.Launch, Cost]:
    """Check a kernel at awkward sizes, then count what one of its blocks does."""
    run.claim("largest error at awkward sizes", largest_error(step, run), below=1e-6)
    k = run.pick(quick=16, default=64, full=64)
    launch = first_block(step, *matrices(run.rng, FAR, k, FAR))
    cost = cost_of(launch, step, k)
    run.results.setdefault("launches", {})[step.title] = launch
    run.results.setdefault("costs", {})[step.title] = cost
    return launch, cost


NAIVE = Step("1 naive", naive, TILE, x_is_row=True)


@lesson.step("Step 1: the obvious way")
def step_naive(run: Run) -> None:
    launch, cost = counted(run, NAIVE)
    run.claim("numbers read for each multiply-add", cost.loads, equals=2.0)
    run.claim("sectors of a request for a", cuda.traffic(launch, "a").per_request, equals=16.0)
    run.claim("sectors of a request for b", cuda.traffic(launch, "b").per_request, equals=1.0)
    run.claim("sectors for each multiply-add, 17 / 32", cost.sectors, equals=17 / 32)


# %% [markdown]
# ## Step 2: let neighbours read neighbours
#
# Swap the two names, `column, row = cuda.grid(2)`, and nothing else. Every thread still does the same amount of work.
# But now a warp covers 2 rows and 16 columns: it reads 16 neighbours of each row of $b$ (that is the same row for
# both lines, so 64 bytes, 2 sectors), and 2 numbers of $a$ that all 16 threads of a line share (2 sectors).


# %%
@cuda.jit
def coalesced(a, b, c):
    column, row = cuda.grid(2)
    if row < c.shape[0] and column < c.shape[1]:
        total = np.float32(0)
        for l in range(a.shape[1]):  # noqa: E741
            total += a[row, l] * b[l, column]
        c[row, column] = total


COALESCED = Step("2 coalesced", coalesced, TILE)


@lesson.step("Step 2: neighbours read neighbours")
def step_coalesced(run: Run) -> None:
    launch, cost = counted(run, COALESCED)
    run.claim("numbers read for each multiply-add: as before", cost.loads, equals=2.0)
    run.claim("sectors of a request for a", cuda.traffic(launch, "a").per_request, equals=2.0)
    run.claim("sectors of a request for b", cuda.traffic(launch, "b").per_request, equals=2.0)
    run.claim("sectors for each multiply-add, 4 / 32", cost.sectors, equals=4 / 32)


# %% [markdown]
# ## Step 3: tiles in shared memory
#
# The 256 threads of a block read 512 numbers for each $l$, and only 32 of them differ: 16 rows of $a$, 16 columns of
# $b$. They should be read once and kept. Each block has some tens of kilobytes of **shared memory** for this, close
# to the arithmetic. The block goes along the sum in steps of 16:
#
# 1. each thread brings one number of $a$ and one of $b$, which makes a tile of each;
# 2. all wait until both tiles are complete: `cuda.syncthreads()`, the *barrier*;
# 3. each thread adds 16 products to its sum, out of shared memory;
# 4. all wait until nobody needs these tiles any more; then come the next.
#
# A number that was brought is used $T = 16$ times, so a multiply-add reads $2/T$ numbers of global memory instead of
# 2.
#
# Where the tile hangs over the edge of a matrix, zeros go into it. They add nothing, and *every* thread comes to
# every barrier. A thread that left early because it has no result to compute would also bring no numbers, and the
# barrier would wait for it in vain.


# %%
@cuda.jit
def tiled(a, b, c):
    a_tile = cuda.shared.array((TILE, TILE), np.float32)
    b_tile = cuda.shared.array((TILE, TILE), np.float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    column, row = cuda.grid(2)
    total = np.float32(0)
    for start in range(0, a.shape[1], TILE):
        a_tile[y, x] = a[row, start + x] if row < a.shape[0] and start + x < a.shape[1] else np.float32(0)
        b_tile[y, x] = b[start + y, column] if start + y < b.shape[0] and column < b.shape[1] else np.float32(0)
        cuda.syncthreads()  # both tiles are complete
        for l in range(TILE):  # noqa: E741
            total += a_tile[y, l] * b_tile[l, x]
        cuda.syncthreads()  # nobody needs them any more
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


TILED = Step("3 tiled", tiled, TILE)


@lesson.step("Step 3: tiles in shared memory")
def step_tiled(run: Run) -> None:
    _, cost = counted(run, TILED)
    run.claim("numbers read for each multiply-add, 2 / 16", cost.loads, equals=2 / TILE)
    run.claim("sectors for each multiply-add, 1 / 64", cost.sectors, equals=1 / 64)
    run.claim("numbers read from shared memory, for each multiply-add", cost.shared, equals=2.0)
    a, b = matrices(run.rng, 32, 48, 32)
    shown = first_block(TILED, a, b)
    last = max(access.interval for access in shown.accesses)
    run.claim("48 along the sum, 3 tiles: barriers", last, equals=6)
    run.animation(
        "cuda_kernels-tiles",
        figures.tile_frames(shown, last),
        alt="In three turns a block loads a tile of a, further to the right each time, and a tile of b, further down "
        "each time; between the turns it computes in shared memory. At the end it writes one tile of c.",
        data={"intervals": [a.interval for a in shown.on("a")], "elements": [a.element for a in shown.on("a")]},
        milliseconds=1200,
    )


# %% [markdown]
# ## Step 4: a small tile for each thread, in registers
#
# Now the bottleneck is shared memory: two reads for each multiply-add. The same idea again, one floor up. Each thread
# computes not one result but 4 x 4 of them. For each $l$ it reads 4 numbers of the a-tile and 4 of the b-tile into
# registers, and makes 16 multiply-adds of them: 1/2 read for each. And as the block of 256 threads now computes 64 x
# 64 results, each number that it brings from global memory is used 64 times.
#
# A thread's results lie 16 apart, not side by side. So neighbouring threads still read neighbouring words, which
# shared memory likes (see *Banks* below), and still write neighbouring results.

# %%
EACH = 4  # results of a thread along each axis
WIDE = TILE * EACH


@cuda.jit
def in_registers(a, b, c):
    a_tile = cuda.shared.array((WIDE, TILE), np.float32)
    b_tile = cuda.shared.array((TILE, WIDE), np.float32)
    totals = cuda.local.array((EACH, EACH), np.float32)
    a_values = cuda.local.array(EACH, np.float32)
    b_values = cuda.local.array(EACH, np.float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    left, top = cuda.blockIdx.x * WIDE, cuda.blockIdx.y * WIDE
    for i in range(EACH):
        for j in range(EACH):
            totals[i, j] = 0
    for start in range(0, a.shape[1], TILE):
        for i in range(EACH):
            there = y + i * TILE
            inside = top + there < a.shape[0] and start + x < a.shape[1]
            a_tile[there, x] = a[top + there, start + x] if inside else np.float32(0)
            there = x + i * TILE
            inside = start + y < b.shape[0] and left + there < b.shape[1]
            b_tile[y, there] = b[start + y, left + there] if inside else np.float32(0)
        cuda.syncthreads()
        for l in range(TILE):  # noqa: E741
            for i in range(EACH):
                a_values[i] = a_tile[y + i * TILE, l]
                b_values[i] = b_tile[l, x + i * TILE]
            for i in range(EACH):
                for j in range(EACH):
                    totals[i, j] += a_values[i] * b_values[j]
        cuda.syncthreads()
    for i in range(EACH):
        for j in range(EACH):
            row, column = top + y + i * TILE, left + x + j * TILE
            if row < c.shape[0] and column < c.shape[1]:
                c[row, column] = totals[i, j]


IN_REGISTERS = Step("4 registers", in_registers, WIDE)
STEPS = (NAIVE, COALESCED, TILED, IN_REGISTERS)


def first_request(launch: cuda.Launch, array: str) -> figures.Request:
    """The first request of the first warp for an array."""
    reads = [a for a in launch.on(array, cuda.READ) if a.block == 0 and a.thread < cuda.WARP]
    numbers = cuda.requests(launch, reads)
    lanes = sorted((a.thread, a.element) for a, number in zip(reads, numbers, strict=True) if number == 0)
    elements = np.array([element for _, element in lanes])
    rows, columns = launch.arrays[array].shape
    return figures.Request(array, (rows, columns), elements, len(np.unique(elements // (cuda.SECTOR // 4))))


@lesson.step("Step 4: a small tile for each thread")
def step_in_registers(run: Run) -> None:
    _, cost = counted(run, IN_REGISTERS)
    run.claim("numbers read for each multiply-add, 2 / 64", cost.loads, equals=2 / WIDE)
    run.claim("sectors for each multiply-add, 1 / 256", cost.sectors, equals=1 / 256)
    run.claim("numbers read from shared memory, for each multiply-add", cost.shared, equals=0.5)

    launches: dict[str, cuda.Launch] = run.results["launches"]
    shown = {title: [first_request(launch, name) for name in "ab"] for title, launch in launches.items()}
    run.figure(
        "cuda_kernels-access",
        figures.draw_access(shown),
        alt="Eight small maps of matrices. In step 1 a warp reads a column of a, 16 sectors for 16 numbers; in step 2 "
        "two numbers of a and 16 neighbours of b; in steps 3 and 4 two runs of 16 neighbours each.",
        data={f"{title[0]}{r.name}": r.elements for title, both in shown.items() for r in both},
    )
    costs: dict[str, Cost] = run.results["costs"]
    table = np.array(list(costs.values()))
    run.figure(
        "cuda_kernels-counts",
        figures.draw_counts(list(costs), *table.T),
        alt="Bars for four kernels on a logarithmic scale. Numbers read from global memory for each multiply-add: 2, "
        "2, 1/8, 1/32. Sectors: 0.53, 0.125, 0.016, 0.004. Numbers read from shared memory: none, none, 2, 1/2.",
        data={"loads": table[:, 0], "sectors": table[:, 1], "shared": table[:, 2]},
    )
    run.table(
        "For each multiply-add",
        ("kernel", "numbers read", "sectors", "32-byte sectors saved", "reads of shared memory"),
        [(title, f"{c.loads:.4g}", f"{c.sectors:.4g}", f"{table[0, 1] / c.sectors:.0f} x less", f"{c.shared:.2g}")
         for title, c in costs.items()],
    )  # fmt: skip
    run.claim("from step 1 to step 4: sectors, times less", table[0, 1] / table[-1, 1], equals=136.0)


# %% [markdown]
# ## How fast could they be?
#
# A multiply-add is 2 flops. With $s$ sectors of 32 bytes for each, a kernel does
#
# $$
# I = \frac{2}{32 \, s} \text{ flops for each byte}
# $$
#
# A machine that moves $B$ bytes and computes $P$ flops in a second cannot do more than $\min(P, I \cdot B)$: the
# *roofline* of [Samuel Williams, Andrew Waterman and David Patterson (2009)][roofline]. For numbers, take as an
# **example** what NVIDIA prints for its [A100 with 40 GB][a100]: $P = 19.5 \cdot 10^{12}$ in float32, $B = 1555 \cdot
# 10^9$. We have measured nothing on such a machine. This is arithmetic: a bound if every sector came from main
# memory. Caches make the first steps better than that (a sector that one warp has fetched can serve the next one),
# and much else makes all of them worse.
#
# [roofline]: https://doi.org/10.1145/1498765.1498785
# [a100]: https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf

# %%
A100_FLOPS, A100_BYTES = 19.5e12, 1.555e12


def bound(sectors: float) -> tuple[float, float]:
    """Flops for each byte, and the bound on flops in a second, for a kernel with so many sectors per multiply-add."""
    intensity = 2 / (cuda.SECTOR * sectors)
    return intensity, min(A100_FLOPS, intensity * A100_BYTES)


@lesson.step("How fast could they be?")
def roofline(run: Run) -> None:
    costs: dict[str, Cost] = run.results["costs"]
    bounds = np.array([bound(cost.sectors) for cost in costs.values()])
    intensity, flops = bounds.T
    run.claim("flops for each byte in step 1, 2 / 17", intensity[0], equals=2 / 17, within=1e-12)
    run.claim("steps 2, 3 and 4", intensity[1:].tolist(), equals=[0.5, 4.0, 16.0])
    run.claim("flops for each byte from which arithmetic is the limit", A100_FLOPS / A100_BYTES, within=(12, 13))
    run.claim("step 4 is the first whose bound is the arithmetic", (flops == A100_FLOPS).tolist(),
              equals=[False, False, False, True])  # fmt: skip
    run.table(
        "An example: at most, with 1555 GB/s and 19.5 Tflop/s, if every sector came from main memory",
        ("kernel", "flop/byte", "Tflop/s at most", "limited by"),
        [(title, f"{i:.3g}", f"{f / 1e12:.3g}", "arithmetic" if f == A100_FLOPS else "memory")
         for title, i, f in zip(costs, intensity, flops, strict=True)],
    )  # fmt: skip
    run.figure(
        "cuda_kernels-roofline",
        figures.draw_roofline("an A100's printed numbers", A100_BYTES, A100_FLOPS, list(costs), intensity, flops),
        alt="A roofline: a slope, where memory limits, then a flat line at 19.5 Tflop/s. Steps 1, 2 and 3 stand on the "
        "slope at 0.12, 0.5 and 4 flops for each byte, step 4 on the flat part at 16.",
        data={"intensity": intensity, "bound": flops},
    )


@lesson.step("On this machine's GPU")
def on_a_gpu(run: Run) -> None:
    toolkit = hardware.gpu()
    if toolkit is None:
        run.note(
            "There is no GPU here, so no times: all numbers above are counts. With a GPU and numba-cuda, this part "
            "times the four kernels, unchanged, by events on the device."
        )
        return
    n = run.pick(quick=512, default=2048, full=4096)
    by_title = {step.title: step for step in STEPS}
    timed = hardware.time_products(
        toolkit,
        {step.title: step.kernel for step in STEPS},
        lambda title: by_title[title].blocks(n, n),
        (TILE, TILE),
        n,
    )
    run.results["timed"] = timed
    run.table(
        f"{n} x {n} on {hardware.name_of(toolkit)}",
        ("kernel", "milliseconds", "Tflop/s"),
        [(title, f"{t.milliseconds:.3g}", f"{2 * n**3 / t.milliseconds / 1e9:.3g}") for title, t in timed.items()],
    )
    run.claim("largest error of the four", max(t.error for t in timed.values()), below=1e-4)
    times = [t.milliseconds for t in timed.values()]
    run.claim("step 4 is faster than step 1, times", times[0] / times[-1], above=1.0)


# %% [markdown]
# ## Barriers, and races without them
#
# A barrier cuts the life of a block into **intervals**. Within an interval nothing is known about the order of two
# threads: one may be through before the other begins. So here is all that can go wrong between threads:
#
# > Two threads of a block touch the same element in the same interval, and at least one of them writes.
#
# That is a **race**. Between threads of *different* blocks there is no barrier at all, so for them any common element
# that one of them writes is a race, unless all of them use `cuda.atomic.add`.
#
# Nothing in this rule speaks of numbers. Whether the result is right depends on the order in which the threads happen
# to run; whether there is a race does not. Below, a block adds up 8 numbers in a tree: half of the threads add what
# the other half has, then half of those. One version waits at every level, the other does not. Run from the last
# thread to the first, the second one is right, by luck.


# %%
@cuda.jit
def tree(x, out):
    sums = cuda.shared.array(8, np.float64)
    t = cuda.threadIdx.x
    sums[t] = x[t]
    cuda.syncthreads()
    reach = 4
    while reach:
        if t < reach:
            sums[t] += sums[t + reach]
        cuda.syncthreads()
        reach //= 2
    if t == 0:
        out[0] = sums[0]


@cuda.jit
def tree_that_does_not_wait(x, out):
    sums = cuda.shared.array(8, np.float64)
    t = cuda.threadIdx.x
    sums[t] = x[t]
    cuda.syncthreads()
    reach = 4
    while reach:
        if t < reach:
            sums[t] += sums[t + reach]
        reach //= 2
    if t == 0:
        out[0] = sums[0]


def sum_and_faults(kernel: cuda.Kernel, x: np.ndarray, order: str | int, blocks: int = 1) -> tuple[float, list[str]]:
    """What a kernel adds up when its threads run in some order, and the faults found on the way."""
    out = np.zeros(1)
    with cuda.schedule(order), cuda.recording(stop=False) as launches:
        kernel[blocks, len(x) // blocks](x, out)
    return float(out[0]), [type(fault).__name__ for fault in launches[0].faults]


def racing_pair(launch: cuda.Launch, array: str) -> tuple[cuda.Access, cuda.Access] | None:
    """Two accesses to one element in one interval by two threads, one of them a write: the last such pair."""
    accesses = launch.on(array)
    pairs = (
        (one, other)
        for k, other in enumerate(accesses)
        for one in accesses[:k]
        if one.element == other.element
        and one.interval == other.interval
        and one.thread != other.thread
        and cuda.WRITE in (one.kind, other.kind)
    )
    return next(pairs, None)


@lesson.step("Barriers, and races without them")
def barriers(run: Run) -> None:
    x = run.rng.normal(size=8)
    right = x.sum()
    for order in ("ascending", "descending", 1):
        found, faults = sum_and_faults(tree, x, order)
        run.claim(f"a barrier at every level, threads {order}: error", abs(found - right), below=1e-14)
        run.claim("faults found", len(faults), equals=0)
    found, faults = sum_and_faults(tree_that_does_not_wait, x, "ascending")
    run.claim("no barriers, threads ascending: error", abs(found - right), above=1e-3)
    run.claim("found", set(faults), equals={"Race"})
    found, faults = sum_and_faults(tree_that_does_not_wait, x, "descending")
    run.claim("no barriers, threads descending: error, by luck", abs(found - right), below=1e-14)
    run.claim("found all the same", set(faults), equals={"Race"})
    try:
        tree_that_does_not_wait[1, 8](x, np.zeros(1))
    except cuda.Race as fault:
        run.note(f"What the simulator says: {fault}")

    panels = {}
    for title, kernel in (("Without barriers in the loop: a race", tree_that_does_not_wait), ("With them: none", tree)):
        with cuda.recording(stop=False) as launches, cuda.schedule("descending"):
            kernel[1, 8](x, np.zeros(1))
        panels[title] = launches[0], racing_pair(launches[0], "sums")
    (_, pair), (_, no_pair) = panels.values()
    run.claim("with barriers, no pair is unordered", no_pair is None, equals=True)
    run.figure(
        "cuda_kernels-race",
        figures.draw_race(panels, "sums"),
        alt="Two diagrams of eight threads that add in a tree. Without barriers, a thread's write and another one's "
        "read of the same element lie in one interval, marked red. With barriers, green lines part every level.",
        data={"pair": [] if pair is None else [(a.thread, a.element, a.kind, a.interval) for a in pair]},
    )


# %% [markdown]
# **Exercise: `reduce_sum`.** Any number of numbers, several blocks, no race. Within a block you can wait; for other
# blocks you cannot. How do the blocks' sums come together?


# %%
@lesson.exercise(
    hint="When thread t adds what thread t + reach has, who might still be writing there, and what makes it wait?"
)
def reduce_sum(x):
    """Add up a vector in kernels of your own, in shared memory, without a race.

    Args:
        x: shape (n,), with any n from 1 on.

    Returns:
        The sum, shape (1,).
    """
    threads = 64

    @cuda.jit
    def add_up(x, sums):
        parts = cuda.shared.array(threads, np.float64)
        t, i = cuda.threadIdx.x, cuda.grid(1)
        parts[t] = x[i] if i < x.size else 0.0
        cuda.syncthreads()
        reach = threads // 2
        while reach:
            if t < reach:
                parts[t] += parts[t + reach]
            cuda.syncthreads()
            reach //= 2
        if t == 0:
            sums[cuda.blockIdx.x] = parts[0]

    while True:  # what the blocks have found is added up by the next launch: that comes after all of them
        blocks = -(-x.size // threads)
        sums = np.zeros(blocks)
        add_up[blocks, threads](x, sums)
        if blocks == 1:
            return sums
        x = sums


# %% [markdown]
# **Exercise: `tiled_matmul`.** Step 3 by yourself, for any sizes, in float64. A tile of 8 is good here.


# %%
@lesson.exercise(hint="Two barriers in each turn: what does the first one wait for, and what the second?")
def tiled_matmul(a, b):
    """Multiply two matrices by tiles in shared memory, in a kernel of your own.

    Each number that a block brings from global memory should serve a whole row or column of its tile.

    Args:
        a: shape (m, k), with any sizes from 1 on.
        b: shape (k, n).

    Returns:
        a @ b, shape (m, n).
    """
    side = 8

    @cuda.jit
    def multiply(a, b, c):
        a_tile = cuda.shared.array((side, side), np.float64)
        b_tile = cuda.shared.array((side, side), np.float64)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        column, row = cuda.grid(2)
        total = 0.0
        for start in range(0, a.shape[1], side):
            a_tile[y, x] = a[row, start + x] if row < a.shape[0] and start + x < a.shape[1] else 0.0
            b_tile[y, x] = b[start + y, column] if start + y < b.shape[0] and column < b.shape[1] else 0.0
            cuda.syncthreads()
            for l in range(side):  # noqa: E741
                total += a_tile[y, l] * b_tile[l, x]
            cuda.syncthreads()
        if row < c.shape[0] and column < c.shape[1]:
            c[row, column] = total

    c = np.zeros((a.shape[0], b.shape[1]))
    blocks = -(-c.shape[1] // side), -(-c.shape[0] // side)
    multiply[blocks, (side, side)](a, b, c)
    return c


# %% [markdown]
# ## Banks: shared memory has lanes, too
#
# Shared memory delivers from 32 **banks** at a time, word $w$ (4 bytes) out of bank $w \operatorname{mod} 32$. A
# request whose words lie in different banks, or are the same word, takes one turn. Two different words in one bank
# take two.
#
# When a warp reads a *column* of a tile with 32 columns, all words lie in one bank: 32 turns. Give the tile 33
# columns, one that nobody uses, and the column lies in 32 different banks.


# %%
@cuda.jit
def turned(x, out):
    tile = cuda.shared.array((32, 32), np.float32)
    lane = cuda.threadIdx.x
    for row in range(32):
        tile[row, lane] = x[row, lane]
    cuda.syncthreads()
    for row in range(32):
        out[row, lane] = tile[lane, row]


@cuda.jit
def turned_with_a_column_more(x, out):
    tile = cuda.shared.array((32, 33), np.float32)
    lane = cuda.threadIdx.x
    for row in range(32):
        tile[row, lane] = x[row, lane]
    cuda.syncthreads()
    for row in range(32):
        out[row, lane] = tile[lane, row]


@lesson.step("Banks")
def banks(run: Run) -> None:
    x = run.rng.normal(size=(32, 32)).astype(np.float32)
    for kernel, turns in ((turned, 32), (turned_with_a_column_more, 1)):
        out = np.zeros_like(x)
        launch = recorded(kernel, 1, 32, x, out)
        asked, took = cuda.bank_conflicts(launch, "tile", cuda.READ)
        columns = launch.arrays["tile"].shape[1]
        run.claim(f"a transpose in a tile with {columns} columns: largest error", np.abs(out - x.T).max(), equals=0.0)
        run.claim("turns for each request that reads a column", took / asked, equals=float(turns))
    asked, took = cuda.bank_conflicts(run.results["launches"][IN_REGISTERS.title], kind=cuda.READ)
    run.claim("step 4: turns for each request that reads a tile", took / asked, equals=1.0)


# %% [markdown]
# ## Batch norm's backward pass, on a device
#
# In the lesson `batchnorm` the gradient of a batch $x$ of shape $(N, D)$ came out as three terms:
#
# $$
# \begin{align*}
# \text{direct}_{i} &= \frac{\gamma}{s} \, dy_i, &
# \text{mean}_{i} &= -\frac{\gamma}{N s} \sum_j dy_j, &
# \text{var}_{i} &= -\frac{\gamma}{N s} \, \hat{x}_i \sum_j dy_j \hat{x}_j
# \end{align*}
# $$
#
# with $1/s$ = `inv_std`. The two sums over the batch are the gradients of $\beta$ and $\gamma$,
#
# $$
# \text{dbeta} = \sum_j dy_j, \qquad \text{dgamma} = \sum_j dy_j \hat{x}_j
# $$
#
# So the device has two things to do, and the second needs the first *of all rows*: two launches.
#
# 1. **Column sums.** A row's neighbours are other columns, so let x be the column: then a warp's requests are
#    coalesced. A thread adds up every 4th row of its column, say, and the 4 threads of a column put their parts
#    together in shared memory.
# 2. **The gradient.** One thread for each element.
#
# Both passes read $dy$ and $\hat{x}$, and the second one writes $dx$: $5 N D$ numbers, and hardly any arithmetic. A
# kernel like this one is good when it runs at the speed of memory.


# %%
@lesson.exercise(
    hint="Sum first, in one launch; use the sums in another. Which axis do the threads of a warp run along?"
)
def batchnorm_backward(dy, x_hat, gamma, inv_std):
    """Return the gradients of batch norm, computed in kernels of your own.

    Args:
        dy: gradient with respect to the output y = gamma * x_hat + beta, shape (N, D).
        x_hat: the normalised batch, shape (N, D).
        gamma: the scale of each feature, shape (D,).
        inv_std: 1 / sqrt(var + eps) of each feature, shape (D,).

    Returns:
        The tuple (dx, dgamma, dbeta), of shapes (N, D), (D,) and (D,).
    """
    across, down = 32, 4  # columns and rows of a block

    @cuda.jit
    def column_sums(dy, x_hat, dgamma, dbeta):
        parts = cuda.shared.array((2, down, across), np.float64)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        column = cuda.blockIdx.x * across + x
        to_gamma, to_beta = 0.0, 0.0
        if column < dy.shape[1]:
            for row in range(y, dy.shape[0], down):
                g = dy[row, column]
                to_gamma += g * x_hat[row, column]
                to_beta += g
        parts[0, y, x] = to_gamma
        parts[1, y, x] = to_beta
        cuda.syncthreads()
        if y == 0 and column < dy.shape[1]:
            for k in range(1, down):
                to_gamma += parts[0, k, x]
                to_beta += parts[1, k, x]
            dgamma[column] = to_gamma
            dbeta[column] = to_beta

    @cuda.jit
    def gradient(dy, x_hat, gamma, inv_std, dgamma, dbeta, dx):
        column, row = cuda.grid(2)
        if row < dx.shape[0] and column < dx.shape[1]:
            mean = dbeta[column] / dx.shape[0]
            var = x_hat[row, column] * dgamma[column] / dx.shape[0]
            dx[row, column] = gamma[column] * inv_std[column] * (dy[row, column] - mean - var)

    n, d = dy.shape
    dx, dgamma, dbeta = np.zeros((n, d)), np.zeros(d), np.zeros(d)
    blocks = -(-d // across)
    column_sums[blocks, (across, down)](dy, x_hat, dgamma, dbeta)
    gradient[(blocks, -(-n // down)), (across, down)](dy, x_hat, gamma, inv_std, dgamma, dbeta, dx)
    return dx, dgamma, dbeta


def draw_layer(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw dy, x_hat, gamma and inv_std as they are after a forward pass."""
    x, gamma = rng.normal(size=(n, d)) * 2 + 1, rng.normal(size=d) + 1
    inv_std = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    return rng.normal(size=(n, d)), (x - x.mean(axis=0)) * inv_std, gamma, inv_std


@lesson.step("Batch norm's backward pass", terms=("direct", "mean", "var", "dgamma", "dbeta"))
def batch_norm(run: Run) -> None:
    n, d = 21, 37
    dy, x_hat, gamma, inv_std = draw_layer(run.rng, n, d)
    with cuda.recording() as launches:
        dx, dgamma, dbeta = batchnorm_backward(dy, x_hat, gamma, inv_std)
    direct = gamma * inv_std * dy
    mean = -gamma * inv_std / n * dy.sum(axis=0)
    var = -gamma * inv_std / n * x_hat * (dy * x_hat).sum(axis=0)
    run.claim("dx against direct + mean + var", error(dx, direct + mean + var), below=1e-14)
    run.claim("dgamma", error(dgamma, (dy * x_hat).sum(axis=0)), below=1e-14)
    run.claim("dbeta", error(dbeta, dy.sum(axis=0)), below=1e-14)
    sums, gradient = launches
    reads = sum(len(launch.on(name)) for launch in launches for name in ("dy", "x_hat"))
    run.claim("reads of dy and x_hat in the two passes, 4 N D", reads, equals=4 * n * d)
    run.claim("writes of dx", len(gradient.on("dx")), equals=n * d)
    found = cuda.traffic(sums, kind=cuda.READ)
    run.claim("sectors of the sums' reads, as a multiple of the least", found.sectors / found.least, below=1.3)


# %% [markdown]
# ## The experiment: numbers that are right by luck
#
# A test that compares numbers finds a race only when the schedule is unkind. How often is it? Six kernels add up the
# ink of 32 digits. The first is right. The others have a race. We run each under many random schedules (a new
# order of the threads in every interval) and ask two things: was the *number* right, and did the detector find the
# *race*?
#
# The second kernel adds the sums of two blocks to one number, without an atomic. Our schedules never stop a thread
# between its read and its write, so this number is right every time, here. On a GPU it would not be.

# %%
THREADS = 32


def adding(
    first: bool = True, levels: Callable[[int], bool] = lambda reach: True, last: bool = True, reader: int = 0
) -> cuda.Kernel:
    """A tree over 32 threads with some of its barriers left out: the first, those of some levels, the last."""

    @cuda.jit
    def add_up(x, out):
        sums = cuda.shared.array(THREADS, np.float64)
        t, i = cuda.threadIdx.x, cuda.grid(1)
        sums[t] = x[i]
        if first:
            cuda.syncthreads()
        reach = THREADS // 2
        while reach:
            if t < reach:
                sums[t] += sums[t + reach]
            if levels(reach) if reach > 1 else last:
                cuda.syncthreads()
            reach //= 2
        if t == reader:
            out[0] += sums[0]

    return add_up


RACES: dict[str, tuple[cuda.Kernel, int]] = {
    "all barriers": (adding(), 1),
    "two blocks add to one number": (adding(), 2),
    "thread 1 reads the sum, no barrier before": (adding(last=False, reader=1), 1),
    "no barrier before the last level": (adding(levels=lambda reach: reach != 2), 1),
    "no barriers in the loop": (adding(levels=lambda reach: False, last=False), 1),
    "no barrier after loading": (adding(first=False), 1),
}


@lesson.experiment("Numbers that are right by luck")
@one_thread()
def luck(run: Run) -> None:
    from lessons.data.digits import load_digits

    batches, each = 5, run.pick(quick=6, default=60, full=400)
    digits = load_digits()
    images = digits.test_images.reshape(len(digits.test_images), -1)
    right: dict[str, list[float]] = {name: [] for name in RACES}
    named: dict[str, list[bool]] = {name: [] for name in RACES}
    for batch in run.progress(range(batches), "random schedules"):
        orders = run.rng.integers(2**31, size=each)
        for name, (kernel, blocks) in RACES.items():
            chosen = run.rng.choice(len(images), THREADS * blocks, replace=False)
            ink = images[chosen].sum(axis=1).astype(np.float64)
            share = 0
            for order in orders:
                found, faults = sum_and_faults(kernel, ink, int(order), blocks)
                share += abs(found - ink.sum()) < 1e-9 * ink.sum()
                named[name].append("Race" in faults)
            right[name].append(share / each)
        assert batch < batches
    shares = {name: mean_and_margin(values) for name, values in right.items()}
    detected = {name: float(np.mean(values)) for name, values in named.items()}
    run.table(
        f"{batches * each} random schedules of each kernel",
        ("kernel", "right number", "race found"),
        [(name, f"{100 * mean:.0f} +- {100 * margin:.0f} %", f"{100 * detected[name]:.0f} %")
         for name, (mean, margin) in shares.items()],
    )  # fmt: skip
    names = list(RACES)
    run.claim("the right kernel: share of right numbers", shares[names[0]][0], equals=1.0)
    run.claim("share of runs in which it is accused", detected[names[0]], equals=0.0)
    fewest = min(detected[name] for name in names[1:])
    run.claim("the five others: share of runs in which the race is found, the least", fewest, equals=1.0)
    run.claim("two blocks, one number: share of right numbers", shares[names[1]][0], equals=1.0)
    halves = [shares[name][0] for name in names[2:4]]
    run.claim("one barrier left out, two threads at it: smaller share of right numbers", min(halves), above=0.1)
    run.claim("larger share", max(halves), below=0.9)
    run.claim("no barriers in the loop: share", shares[names[4]][0], below=0.1)
    run.results["right"], run.results["found"] = shares, detected
    run.figure(
        "cuda_kernels-luck",
        figures.draw_luck(names, *np.array(list(shares.values())).T),
        alt="Bars: how often a kernel gives the right sum. 100 percent for the right one and for two blocks that add "
        "to one number; about half for one missing barrier between two threads; none where all barriers are missing.",
        data={"right": [shares[n][0] for n in names], "found": [detected[n] for n in names]},
    )


# %% [markdown]
# ## Where the sources go wrong
#
# The kernels that people copy deserve the same scrutiny as those they write. Four places in Numba's examples;
# the first was corrected in 2021. The kernels are shortened here, and written in our own names.

# %%
OLD = Source(
    title="Numba 0.49 documentation: CUDA examples",
    author="Anaconda and the Numba developers",
    year=2020,
    link="https://numba.pydata.org/numba-doc/0.49.0/cuda/examples.html",
)
SMALL = 4


def tiled_with(leaves: Callable[[Any, Any, Any], bool]) -> cuda.Kernel:
    """The tiled product as it was printed: no bounds on the tiles, and threads that leave early."""

    @cuda.jit
    def multiply(a, b, c):
        a_tile = cuda.shared.array((SMALL, SMALL), np.float32)
        b_tile = cuda.shared.array((SMALL, SMALL), np.float32)
        row, column = cuda.grid(2)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        if leaves(row, column, c):
            return
        total = np.float32(0)
        for turn in range(cuda.gridDim.x):
            a_tile[x, y] = a[row, turn * SMALL + y]
            b_tile[x, y] = b[turn * SMALL + x, column]
            cuda.syncthreads()
            for l in range(SMALL):  # noqa: E741
                total += a_tile[x, l] * b_tile[l, y]
            cuda.syncthreads()
        c[row, column] = total

    return multiply


def faults_by_size(kernel: cuda.Kernel, sizes: range) -> dict[int, str]:
    """The fault that ends a square product, for each size: "" where there is none."""
    ones = {n: np.ones((n, n), np.float32) for n in sizes}
    blocks = {n: (-(-n // SMALL),) * 2 for n in sizes}
    return {n: fault_of(kernel, blocks[n], (SMALL, SMALL), ones[n], ones[n], np.zeros_like(ones[n])) for n in sizes}


@lesson.erratum(
    "C",
    "Which threads may leave before a barrier?",
    printed="if x >= C.shape[0] and y >= C.shape[1]: return   (and then: sA[tx, ty] = A[x, ty + i * TPB])",
    right="No thread leaves; each read and the final write has a guard of its own, and zeros fill the tiles.",
    source=OLD,
)
def leaving_early(run: Run) -> None:
    sizes = range(1, 9)
    with_and = faults_by_size(tiled_with(lambda row, column, c: row >= c.shape[0] and column >= c.shape[1]), sizes)
    run.refuted("sizes from 1 to 8 at which it reads beyond a matrix, with tiles of 4",
                sum(fault == "OutOfBounds" for fault in with_and.values()), above=0)  # fmt: skip
    run.note(
        "With `and`, a thread leaves only when both of its indices are outside; the others read on. A report of it "
        "supposed that `and` should be `or` (numba issue 6884, 2021). But then threads leave that the barrier waits "
        "for. Numba's examples were corrected in the same year (pull request 7330): every thread stays, as in step 3."
    )
    with_or = faults_by_size(tiled_with(lambda row, column, c: row >= c.shape[0] or column >= c.shape[1]), sizes)
    run.claim("with `or`: what happens at the sizes 1, 2 and 3", {with_or[n] for n in (1, 2, 3)},
              equals={"BarrierDivergence"})  # fmt: skip
    run.claim("sizes at which it works", [n for n, fault in with_or.items() if not fault], equals=[4, 8])
    run.results["faults with and"], run.results["faults with or"] = with_and, with_or
    run.claim("step 3 at awkward sizes: largest error", largest_error(TILED, run), below=1e-6)


@cuda.jit
def as_many_turns_as_blocks(a, b, c):
    """The loop of the current examples: it makes as many turns as the grid has blocks along x."""
    a_tile = cuda.shared.array((TILE, TILE), np.float32)
    b_tile = cuda.shared.array((TILE, TILE), np.float32)
    column, row = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    total = np.float32(0)
    for turn in range(cuda.gridDim.x):
        a_tile[y, x], b_tile[y, x] = 0, 0
        if row < a.shape[0] and x + turn * TILE < a.shape[1]:
            a_tile[y, x] = a[row, x + turn * TILE]
        if column < b.shape[1] and y + turn * TILE < b.shape[0]:
            b_tile[y, x] = b[y + turn * TILE, column]
        cuda.syncthreads()
        for l in range(TILE):  # noqa: E741
            total += a_tile[y, l] * b_tile[l, x]
        cuda.syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


@lesson.erratum(
    "C",
    "How many tiles has the sum?",
    printed="bpg = cuda.gridDim.x;  for i in range(bpg): ...   (as many tiles as the grid has blocks along x)",
    right="for start in range(0, A.shape[1], TPB): as many as the sum has. The grid belongs to C.",
)
def tiles_of_the_sum(run: Run) -> None:
    a, b = np.arange(115, dtype=np.float32).reshape(5, 23), np.ones((23, 7), np.float32)
    by_its_grid, by_ours, c = np.zeros((5, 7), np.float32), product(TILED, a, b), np.zeros((5, 7), np.float32)
    as_many_turns_as_blocks[(1, 1), (TILE, TILE)](a, b, c)
    run.refuted("their 5 x 23 times 23 x 7, with a grid that covers the 5 x 7 results: what is missing in the first",
                float(by_ours[0, 0] - c[0, 0]), above=100)  # fmt: skip
    as_many_turns_as_blocks[(2, 2), (TILE, TILE)](a, b, by_its_grid)
    run.note(
        "The examples launch 2 x 2 blocks for these 5 x 7 results, 'by adjusting the blockspergrid variable', and with "
        "that the product is right: three of the four blocks compute nothing that is kept. Who takes the kernel and "
        "launches it in the usual way gets the sum of the first 16 of 23 products, without a warning."
    )
    run.claim("with their grid of 2 x 2 blocks: error", np.abs(by_its_grid - a @ b).max(), equals=0.0)
    run.claim("step 3 with one block: error", np.abs(by_ours - a @ b).max(), equals=0.0)
    run.claim("its first result", float(by_ours[0, 0]), equals=253.0)


@cuda.jit
def folding(data, out):
    """The reduction of the examples: one block, doubling strides."""
    shared = cuda.shared.array(64, np.float64)
    t = cuda.threadIdx.x
    shared[t] = data[t]
    cuda.syncthreads()
    stride = 1
    while stride < cuda.blockDim.x:
        if t % (2 * stride) == 0:
            shared[t] += shared[t + stride]
        stride *= 2
        cuda.syncthreads()
    if t == 0:
        out[0] = shared[0]


@lesson.erratum(
    "C",
    "A sum of 1000 numbers",
    printed="if tid % (2 * s) == 0: shr[tid] += shr[tid + s]   (with nelem threads, for any nelem)",
    right="if tid % (2 * s) == 0 and tid + s < nelem: ..., or a number of threads that is a power of two.",
)
def powers_of_two(run: Run) -> None:
    sizes = range(2, 33)
    x = run.rng.normal(size=33)
    wrong_at = [n for n in sizes if fault_of(folding, 1, n, x[:n].copy(), np.zeros(1))]
    run.refuted("sizes from 2 to 32 at which it adds what nobody has written", len(wrong_at), above=0)
    run.claim("these are all but the powers of two", wrong_at == [n for n in sizes if n & (n - 1)], equals=True)
    run.note("The example has 1024 numbers, for which it is right. Nothing on the page says that it must be so.")
    errors = [abs(reduce_sum(x[:n])[0] - x[:n].sum()) for n in sizes]
    run.claim("the exercise's reduction at all these sizes: largest error", max(errors), below=1e-13)


@lesson.erratum(
    "W",
    "Why the naive product is slow",
    printed="performs poorly, because the same matrix elements will be loaded multiple times from device memory",
    right="It also loads them in the worst order: with two names swapped it loads as many, and saves 13 of 17 sectors.",
)
def why_naive_is_slow(run: Run) -> None:
    a, b = matrices(run.rng, TILE, TILE, TILE)
    one, two = (cost_of(first_block(step, a, b), step, TILE) for step in (NAIVE, COALESCED))
    run.claim("numbers loaded by `i, j = cuda.grid(2)` and by `j, i`, the same", one.loads - two.loads, equals=0.0)
    run.refuted("sectors, times as many", one.sectors / two.sectors, above=4)


# %% [markdown]
# ## Beside PyTorch


# %%
def backward_by_torch(torch: Any, given: dict[str, np.ndarray]) -> dict[str, Any]:
    """The gradients of torch's batch norm at the recorded data."""
    x, gamma, beta = (torch.tensor(given[name], requires_grad=True) for name in ("x", "gamma", "beta"))
    y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=float(given["eps"]))
    return dict(zip(("dx", "dgamma", "dbeta"), torch.autograd.grad(y, (x, gamma, beta), torch.tensor(given["dy"])),
                    strict=True))  # fmt: skip


@lesson.compare("PyTorch")
def against_torch(run: Run) -> None:
    saved = recorded_by_torch(lesson)
    a, b = saved["a"], saved["b"]
    for step in STEPS:
        found = product(step, a.astype(np.float32), b.astype(np.float32))
        run.compare(f"matrix product, {step.title}", found, recorded=saved["product"], below=1e-6,
                    live=lambda torch: torch.tensor(a) @ torch.tensor(b))  # fmt: skip
    run.compare("tiled_matmul in float64", tiled_matmul(a, b), recorded=saved["product"], below=1e-13,
                live=lambda torch: torch.tensor(a) @ torch.tensor(b))  # fmt: skip
    run.compare("reduce_sum", reduce_sum(a.ravel()), recorded=saved["sum"], below=1e-13,
                live=lambda torch: torch.tensor(a).sum().reshape(1))  # fmt: skip
    ours = batchnorm_backward(*(saved[name] for name in ("dy", "x_hat", "gamma", "inv_std")))
    for name, found in zip(("dx", "dgamma", "dbeta"), ours, strict=True):
        run.compare(f"batch norm's {name}", found, recorded=saved[name], below=1e-12,
                    live=lambda torch, name=name: backward_by_torch(torch, saved)[name])  # fmt: skip


# %% [markdown]
# ## Where this breaks
#
# **Counts are not seconds.** Caches turn many of step 1's sectors into hits, and a kernel can be slow for reasons
# that no count of sectors shows: too few warps to hide the wait, too many registers, barriers at which everybody
# waits. On hardware one profiles.
#
# **The recorder puts requests together by guessing**: the k-th time that the lanes of a warp come to an instruction
# is one request. When lanes go round a loop unequally often and skip turns, that is wrong. Below, odd lanes sit out
# the even turns, and the recorder still sees full requests.
#
# **It runs barriers by starting over.** A thread that has passed $B$ barriers has been run $B + 1$ times, so all in
# all the work grows with the square of the barriers. That needs no threads of the operating system, and is fine for
# the sizes of a lesson.
#
# **It knows `syncthreads` and atomics, nothing finer**: no warp-level shuffles, no cooperative groups, no memory
# fences. What it calls a race may be ordered by one of those. And two arrays that overlap in memory are two arrays to
# it. NVIDIA's [Compute Sanitizer][sanitizer] (racecheck, memcheck, initcheck, synccheck) does the same on real
# kernels.
#
# **Four steps are not the end.** Fast products read the next tile while they multiply this one, load 16 bytes at a
# time, and hand small tiles to tensor cores; [Boehm's worklog][boehm] goes on from here. `kernels/cuda` in
# this repository computes its convolutions with blocks of 128 x 128 results and 8 x 8 for each thread: half of step
# 4's traffic.
#
# [sanitizer]: https://docs.nvidia.com/compute-sanitizer/ComputeSanitizer/index.html
# [boehm]: https://siboehm.com/articles/22/CUDA-MMM


# %%
@cuda.jit
def odd_lanes_sit_out(x, out):
    t = cuda.threadIdx.x
    total = np.float32(0)
    for turn in range(4):
        if t % 2 == 0 or turn % 2:
            total += x[turn * 32 + t]
    out[t] = total


@cuda.jit
def shift(x, y):
    t = cuda.threadIdx.x
    y[t] = x[t] + 1


def runs_of_a_thread(barriers: int) -> int:
    """How often the executor begins a thread that passes so many barriers."""
    begun = 0

    @cuda.jit
    def waits(x):
        nonlocal begun
        begun += 1
        for _ in range(barriers):
            cuda.syncthreads()

    waits[1, 1](np.zeros(1))
    return begun


@lesson.step("Where this breaks")
def where_this_breaks(run: Run) -> None:
    launch = recorded(odd_lanes_sit_out, 1, 32, np.ones(128, np.float32), np.zeros(32, np.float32))
    reads = launch.on("x")
    sizes = np.bincount(cuda.requests(launch, reads))
    run.claim("lanes that sit out: requests of 16, 32, 16 and 32 lanes are taken for", sizes.tolist(),
              equals=[32, 32, 16, 16])  # fmt: skip
    run.claim("runs of a thread that passes 10 barriers", runs_of_a_thread(10), equals=11)
    x = np.ones(8)
    overlapping = fault_of(shift, 1, 7, x[1:], x[:-1])
    run.claim(
        "two views of the same memory, one read and one written: the race is not seen", overlapping == "", equals=True
    )
    from kernels.cuda.multiplication import TILES, Tile

    largest = max(TILES, key=lambda tile: tile.tm)
    tile = largest if largest.tm > FAR else Tile(128, 128, 8, 8, 8)  # under Numba's simulator the tiles are tiny
    there = (1 / tile.tm + 1 / tile.tn) / 8  # sectors for each multiply-add, all of them used fully
    run.claim("kernels.cuda's largest tile: sectors against step 4", there * 256, equals=0.5)


# %% [markdown]
# ## How your answers are judged
#
# Your function is called on random numbers of awkward sizes. Whatever your kernels touch is watched: a race, a read
# beyond an array or of shared memory that nobody wrote, and a barrier that not all threads reach end the check, with
# the two lines of your code that are in conflict, whatever the numbers say. Then the numbers are compared. Then come
# the counts: a kernel must have been launched, its threads must read side by side, and a tile must be used more than
# once. Mistakes that must not pass:


# %%
def on_the_device(check: Callable[[Callable[..., Any]], Verdict]) -> Callable[[Callable[..., Any]], Verdict]:
    """A check that also fails, with its lines, where the simulator finds a fault."""

    @functools.wraps(check)
    def judge(candidate: Callable[..., Any]) -> Verdict:
        try:
            return check(candidate)
        except Exception as fault:
            lines = cuda.faults_of(fault)
            if not lines:
                raise
            return Verdict(False, lines)

    return judge


def watched(candidate: Callable[..., Any], *arguments: Any) -> tuple[Any, list[evidence.Entry]]:
    """What a candidate returns, and the launches that it made for it."""
    with evidence.collected() as told:
        return candidate(*arguments), told


SIDE_BY_SIDE = 1.6  # sectors, as a multiple of the fewest that could hold the bytes


def about_the_launches(launches: list[evidence.Entry], fewest: int, inputs: int, results: int) -> Verdict:
    """Whether kernels were launched that saw all numbers, with enough threads, and read side by side."""
    if not launches:
        return Verdict(False, ("the numbers are right, but no kernel was launched: who computed them?",))
    loads, stores = (sum(launch[name] for launch in launches) for name in ("loads", "stores"))
    if loads < inputs or stores < results:
        said = (
            f"the numbers are right, but the kernels read {loads} numbers and write {stores}, where the inputs have "
            f"{inputs} and the results {results}: who computed the rest?"
        )
        return Verdict(False, (said,))
    threads = max(launch["blocks"] * launch["threads"] for launch in launches)
    if threads < fewest:
        return Verdict(False, (f"the numbers are right, but {threads} threads do all the work; let at least {fewest}",))
    sectors, least = (sum(launch[name] for launch in launches) for name in ("sectors", "least"))
    if sectors > SIDE_BY_SIDE * least:
        said = (
            f"the numbers are right, but the accesses are not coalesced: the warps' requests touch {sectors} sectors "
            f"of 32 bytes, and {least} could hold all they ask for. Neighbours along x should read neighbours in memory"
        )
        return Verdict(False, (said,))
    return Verdict(True)


@lesson.check("vector_add")
@on_the_device
def check_vector_add(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(1)
    launches: list[evidence.Entry] = []
    for n in (1, 31, 32, 33, 100, 257, 1000):
        a, b = rng.normal(size=(2, n))
        found, launches = watched(candidate, a, b)
        verdict = Verdict.from_arrays("out", found, a + b, 1e-12)
        if not verdict.passed:
            return Verdict(False, (f"with {n} numbers:", *verdict.lines))
    return about_the_launches(launches, 32, inputs=2 * 1000, results=1000)


@lesson.check("reduce_sum")
@on_the_device
def check_reduce_sum(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(2)
    launches: list[evidence.Entry] = []
    for n in (1, 2, 33, 100, 257, 1000):
        x = rng.normal(size=n)
        found, launches = watched(candidate, x)
        verdict = Verdict.from_arrays("sum", found, x.sum(keepdims=True), 1e-11)
        if not verdict.passed:
            return Verdict(False, (f"with {n} numbers:", *verdict.lines))
    return about_the_launches(launches, 32, inputs=1000, results=1)


@lesson.check("tiled_matmul")
@on_the_device
def check_tiled_matmul(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(3)
    for m, k, n in ((1, 1, 1), (16, 32, 16), (5, 7, 3), (17, 11, 20), (3, 37, 9)):
        a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
        found, _ = watched(candidate, a, b)
        verdict = Verdict.from_arrays("c", found, a @ b, 1e-12)
        if not verdict.passed:
            lines = (f"({m}, {k}) times ({k}, {n}):", *verdict.lines)
            if (m, k, n) != (1, 1, 1) and (m, k, n) != (16, 32, 16):
                lines += ("It is right where tiles of up to 16 fit: what happens at the last, ragged tile?",)
            return Verdict(False, lines)
    a, b = rng.normal(size=(16, 32)), rng.normal(size=(32, 16))
    found, launches = watched(candidate, a, b)
    verdict = about_the_launches(launches, 16, inputs=a.size + b.size, results=found.size)
    if not verdict.passed:
        return verdict
    loads, one_each = sum(launch["loads"] for launch in launches), 2 * a.size * b.shape[1]
    if loads > one_each / 3:
        said = f"the numbers are right, but nothing is read once and used often: {loads} reads of global memory"
        return Verdict(False, (said, f"for {one_each // 2} multiply-adds. A tile of T x T needs 2 / T for each"))
    return Verdict.from_arrays("c", found, a @ b, 1e-12)


@lesson.check("batchnorm_backward")
@on_the_device
def check_batchnorm_backward(candidate: Callable[..., Any]) -> Verdict:
    question = lesson.exercise_named("batchnorm_backward").question
    assert question is not None
    sizes: list[int] = []

    @functools.wraps(candidate)
    def counted(dy: np.ndarray, *others: np.ndarray) -> Any:
        sizes.append(dy.size)
        return candidate(dy, *others)

    with evidence.collected() as launches:
        verdict = question.check(counted)
    if not verdict.passed:
        return verdict
    results = sum(sizes) if len(launches) < evidence.MOST else 0  # of more launches nothing is known
    return about_the_launches(launches, 2, inputs=2 * results, results=results)


def draw_batch(rng: np.random.Generator, N: int, D: int) -> dict[str, Any]:
    """Draw the inputs of the layer."""
    return {
        "x": rng.normal(size=(N, D)) * 2 + 1,
        "gamma": rng.normal(size=D) + 1,
        "beta": rng.normal(size=D),
        "eps": 1e-5,
    }


@lesson.question(
    "batchnorm_backward",
    inputs=draw_batch,
    sizes={"N": (9, 14), "D": (5, 3)},
    terms={
        "dx": (
            Term("direct", "gamma * inv_std * dy", question="If mean and variance were constants, what would dx be?"),
            Term(
                "mean",
                "-gamma * inv_std / N * sum(dy)",
                through=("mu",),
                question="Each x moves the mean by 1/N of itself, and the mean moves every y. Which sum is that?",
            ),
            Term(
                "var",
                "-gamma * inv_std / N * x_hat * sum(dy * x_hat)",
                through=("var",),
                question="Which of your two sums does the variance bring back, and what does each row multiply it by?",
            ),
        ),
        "dgamma": (Term("dgamma", "sum(dy * x_hat)", question="Over which axis do you sum, and is every row in?"),),
        "dbeta": (Term("dbeta", "sum(dy)", question="Over which axis do you sum, and is every row in?"),),
    },
)
def layer_on_the_tape(named, x, gamma, beta, eps):
    mu = named("mu", x.mean(0))
    centred = x - mu
    var = named("var", (centred**2).mean(0))
    inv_std = named("inv_std", (var + eps) ** -0.5)
    x_hat = named("x_hat", centred * inv_std)
    return gamma * x_hat + beta


# %%
for _exercise, _mistakes in wrong.MISTAKES.items():
    for _name, (_wrong, _terms, _cause) in _mistakes.items():
        lesson.mistake(_exercise, _name, terms=_terms, cause=_cause)(_wrong)
for _exercise, _variants in wrong.VARIANTS.items():
    for _name, _right in _variants.items():
        lesson.variant(_exercise, _name)(_right)
