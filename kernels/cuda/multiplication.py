"""One tiled matrix product, which every convolution on the GPU is.

out[i, j] = sum over l of a(i, l) * b(l, j), with a and b given by functions that read them, so that the matrix of a
convolution's windows never exists ("implicit GEMM"). Why tiles? A product of m x n x k multiplications reads each
element n or m times, and from the GPU's memory that would take a hundred times as long as the arithmetic. A block of
threads therefore computes a tile of tm x tn results: it copies tm x tk of a and tk x tn of b into shared memory, and
multiplies from there. Each element that a block reads is used tm or tn times. And each thread computes rm x rn results
in registers, so that what it reads from shared memory is used rm or rn times again.

                          b  [ tk x tn ]        One of a thread's rm x rn results, in groups that lie side by side:
                               . . . .          one instruction reads 16 bytes from shared memory, and neighbouring
        a  [ tm x tk ]   [ : : * * : : * * ]    threads read neighbouring groups. With 8 x 8 results of 4 bytes, four
            : : :        [ : : * * : : * * ]    such reads stand beside 64 multiplications.

Reading from the GPU's memory takes hundreds of cycles. So there are two pairs of tiles in shared memory: while one is
multiplied, what comes next is already on its way into registers, and then moves to the other. One barrier a step is
enough, since nobody writes to the tiles that others still read.

A sum that is long while the result is small (the gradient of a weight) is cut into parts, each with blocks of its own;
the parts are added afterwards, in a fixed order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import cuda, uint64

from kernels.cuda import device
from kernels.cuda.device import SIMULATED


class Tile(NamedTuple):
    """A block's share of the result, tm x tn, in steps of tk along the sum; each thread computes rm x rn of it."""

    tm: int
    tn: int
    tk: int
    rm: int
    rn: int

    @property
    def threads(self) -> int:
        return (self.tm // self.rm) * (self.tn // self.rn)

    @property
    def cost(self) -> int:
        """Instructions of a step: its multiplications, and some 20 for each element that is fetched."""
        return self.tk * (self.tm * self.tn + 20 * (self.tm + self.tn))


if SIMULATED:
    TILES: tuple[Tile, ...] = (Tile(16, 8, 4, 4, 4),)
else:
    TILES = (Tile(32, 128, 8, 8, 4), Tile(64, 128, 8, 8, 4), Tile(128, 128, 8, 8, 8))

# Unused elements between two rows of a tile in shared memory: threads that store a column would otherwise wait for the
# same bank.
APART = 4
VECTOR_BYTES = 16  # the most that one instruction reads


def tile_for(m: int, n: int, matrices: int, divided: bool = False) -> Tile:
    """The tile that should need the least time for that many results m x n.

    A larger tile needs fewer instructions for each multiplication, a smaller one keeps more multiprocessors busy.
    `divided` says that the sum will be cut until all are busy.
    """

    def time(tile: Tile) -> float:
        blocks = -(-m // tile.tm) * -(-n // tile.tn) * matrices
        turns = blocks / device.multiprocessors()
        return tile.cost * (turns if divided else -(-turns // 1))

    return min(TILES, key=time)


def product(
    place: Callable[..., Any],
    read_a: Callable[..., Any],
    read_b: Callable[..., Any],
    multiply_add: Callable[..., Any],
    aim: Callable[..., Any],
    write: Callable[..., Any],
    types: tuple[Any, Any, int],
    tile: Tile,
    b_along_sum: bool = False,
) -> Any:
    """The kernel `(a, b, table, extra, out, m, n, k, part, parts, sizes)`, for (n/tn, m/tm, matrices * parts) blocks.

    All functions are device functions, and what they need of an index is asked for as rarely as possible: a thread's
    elements of b share their column, or with b_along_sum their place in the sum, and `place` is called once for all.

    Args:
        place: (matrix, index, sizes) -> what there is to know of column `index`, or with b_along_sum of term `index`;
            also called for indices beyond the last.
        read_a: (a, table, matrix, i, l, placed, sizes); called for 0 <= i < m and 0 <= l < k.
        read_b: (b, table, l, j, placed, sizes); called for 0 <= l < k and 0 <= j < n.
        multiply_add: (accumulator, a, b).
        aim: (matrix, share, j, sizes) -> where column j of the result goes; called for 0 <= j < n.
        write: (out, extra, matrix, aimed, i, accumulator, sizes).
        types: Numba's types of elements and accumulators, and the bytes of an element.
        tile: the shares of blocks and threads.
        b_along_sum: whether neighbours of b along the sum, and not along its columns, are neighbours in memory.
    """
    element, accumulator, itemsize = types
    tm, tn, tk, rm, rn = tile
    threads = tile.threads
    across, down = tn // rn, tm // rm  # threads along the columns and the rows of the tile
    a_reads, b_reads = tm * tk // threads, tk * tn // threads
    a_pitch, b_pitch = tm + APART, tn + APART
    a_room, b_room = 2 * tk * a_pitch, 2 * tk * b_pitch
    group = min(VECTOR_BYTES // itemsize, rm, rn)  # results of a thread that lie side by side
    for fits in (tm * tk % threads, tk * tn % threads, threads % tk, 0 if b_along_sum else threads % tn):
        assert fits == 0, f"{tile} cannot be shared out evenly among {threads} threads"

    @cuda.jit(device=True)
    def line(number, thread, count):
        """Which row or column of the tile is a thread's result `number`, among `count` threads."""
        return (number // group * count + thread) * group + number % group

    @cuda.jit
    def tiled_product(a, b, table, extra, out, m, n, k, part, parts, sizes):
        if SIMULATED:  # where memory has no alignment, and two arrays made on one line of code are one
            a_tiles = cuda.shared.array(a_room, element)
            b_tiles = cuda.shared.array(b_room, element)
        else:
            a_tiles = cuda.shared.array(a_room, element, VECTOR_BYTES)
            b_tiles = cuda.shared.array(b_room, element, VECTOR_BYTES)
        a_next = cuda.local.array(a_reads, element)
        b_next = cuda.local.array(b_reads, element)
        a_values = cuda.local.array(rm, element)
        b_values = cuda.local.array(rn, element)
        found = cuda.local.array((rm, rn), accumulator)

        thread = cuda.threadIdx.x
        column, row = thread % across, thread // across
        left, top = cuda.blockIdx.x * tn, cuda.blockIdx.y * tm
        matrix, share = cuda.blockIdx.z // parts, cuda.blockIdx.z % parts
        for i in range(rm):
            for j in range(rn):
                found[i, j] = 0

        first, last = share * part, min((share + 1) * part, k)
        placed = place(matrix, left + thread % tn, sizes)
        now = 1
        for start in range(first - tk, last, tk):  # the first turn only fetches
            ahead = start + tk
            if ahead < last:
                if b_along_sum:
                    placed = place(matrix, ahead + thread % tk, sizes)
                for step in range(a_reads):
                    i, l = top + (thread + step * threads) // tk, ahead + thread % tk  # noqa: E741
                    value = element(0)
                    if i < m and l < last:
                        value = read_a(a, table, matrix, i, l, placed, sizes)
                    a_next[step] = value
                for step in range(b_reads):
                    if b_along_sum:
                        l, j = ahead + thread % tk, left + (thread + step * threads) // tk  # noqa: E741
                    else:
                        l, j = ahead + (thread + step * threads) // tn, left + thread % tn  # noqa: E741
                    value = element(0)
                    if j < n and l < last:
                        value = read_b(b, table, l, j, placed, sizes)
                    b_next[step] = value
            if start >= first:
                for l in range(tk):  # noqa: E741
                    for i in range(rm):
                        a_values[i] = a_tiles[uint64((now * tk + l) * a_pitch + line(i, row, down))]
                    for j in range(rn):
                        b_values[j] = b_tiles[uint64((now * tk + l) * b_pitch + line(j, column, across))]
                    for i in range(rm):
                        for j in range(rn):
                            found[i, j] = multiply_add(found[i, j], a_values[i], b_values[j])
            now = 1 - now
            if ahead < last:
                for step in range(a_reads):
                    a_tiles[uint64((now * tk + thread % tk) * a_pitch + (thread + step * threads) // tk)] = a_next[step]
                for step in range(b_reads):
                    if b_along_sum:
                        b_tiles[uint64((now * tk + thread % tk) * b_pitch + (thread + step * threads) // tk)] = b_next[
                            step
                        ]
                    else:
                        b_tiles[uint64((now * tk + (thread + step * threads) // tn) * b_pitch + thread % tn)] = b_next[
                            step
                        ]
            cuda.syncthreads()

        for j in range(rn):
            x = left + line(j, column, across)
            if x < n:
                aimed = aim(matrix, share, x, sizes)
                for i in range(rm):
                    y = top + line(i, row, down)
                    if y < m:
                        write(out, extra, matrix, aimed, y, found[i, j], sizes)

    return tiled_product


def launch(
    kernel: Any,
    tile: Tile,
    size: tuple[int, int, int],
    matrices: int,
    part: int,
    arguments: tuple[Any, ...],
    sizes: Any,
) -> None:
    """Run a kernel that `product` made on `matrices` products of size (m, n, k), the sum in parts of `part`."""
    m, n, k = size
    device.check_index(m, n, k)
    parts = max(-(-k // part), 1)
    blocks = -(-n // tile.tn), -(-m // tile.tm), matrices * parts
    device.launch(kernel, blocks, tile.threads, *arguments, m, n, k, part, parts, sizes)
