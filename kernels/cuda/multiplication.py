"""One tiled matrix product, which every convolution on the GPU is.

out[i, j] = sum over l of a(i, l) * b(l, j), with a and b given by functions that read them, so that the matrix of a
convolution's windows never exists ("implicit GEMM"). Why tiles? A product of m x n x k multiplications reads each
element n or m times, and from the GPU's memory that would take a hundred times as long as the arithmetic. A block of
threads therefore computes a tile of tm x tn results: it copies tm x tk of a and tk x tn of b into shared memory, and
multiplies from there. Each element that a block reads is used tm or tn times. And each thread computes rm x rn results
in registers, so that what it reads from shared memory is used rm or rn times again: with 8 x 8, it reads 16 numbers for
64 multiplications, which is what the multiprocessor's ports can deliver.

The threads' results lie apart by the number of threads, not side by side: neighbouring threads then read neighbouring
words of shared memory, and write neighbouring results.

A sum that is long while the result is small (the gradient of a weight) is cut into parts, each with blocks of its own;
the parts are added afterwards, in a fixed order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import cuda

from kernels.cuda import device


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


if device.SIMULATED:
    TILES: tuple[Tile, ...] = (Tile(4, 8, 4, 2, 2),)
else:
    TILES = (Tile(32, 128, 8, 4, 4), Tile(64, 128, 8, 8, 4), Tile(128, 128, 8, 8, 8))


def tile_for(m: int) -> Tile:
    """The tile for a result with m rows: the smallest that holds them all, or the largest."""
    return next((tile for tile in TILES if tile.tm >= m), TILES[-1])


def product(
    read_a: Callable[..., Any],
    read_b: Callable[..., Any],
    multiply_add: Callable[..., Any],
    write: Callable[..., Any],
    types: tuple[Any, Any],
    tile: Tile,
    b_along_sum: bool = False,
) -> Any:
    """The kernel `(a, b, extra, out, m, n, k, part, parts, sizes)`, for blocks (n / tn, m / tm, matrices * parts).

    Args:
        read_a: device function (a, matrix, i, l, sizes); called for 0 <= i < m and 0 <= l < k.
        read_b: device function (b, matrix, l, j, sizes); called for 0 <= l < k and 0 <= j < n.
        multiply_add: device function (accumulator, a, b).
        write: device function (out, extra, matrix, part, i, j, accumulator, sizes).
        types: Numba's types of elements and accumulators.
        tile: the shares of blocks and threads.
        b_along_sum: whether neighbours of b along the sum, and not along its columns, are neighbours in memory.
    """
    element, accumulator = types
    tm, tn, tk, rm, rn = tile
    threads = tile.threads
    across, down = tn // rn, tm // rm  # threads along the columns and the rows of the tile
    a_reads, b_reads = tm * tk // threads, tk * tn // threads
    pitch = tm + 4  # keeps threads that store a column of a apart: they would wait for the same bank

    @cuda.jit
    def tiled_product(a, b, extra, out, m, n, k, part, parts, sizes):
        a_tile = cuda.shared.array((tk, pitch), element)
        b_tile = cuda.shared.array((tk, tn), element)
        found = cuda.local.array((rm, rn), accumulator)
        a_values = cuda.local.array(rm, element)
        b_values = cuda.local.array(rn, element)

        thread = cuda.threadIdx.x
        column, row = thread % across, thread // across
        left, top = cuda.blockIdx.x * tn, cuda.blockIdx.y * tm
        matrix, share = cuda.blockIdx.z // parts, cuda.blockIdx.z % parts
        for i in range(rm):
            for j in range(rn):
                found[i, j] = 0

        for start in range(share * part, min((share + 1) * part, k), tk):
            for step in range(a_reads):
                i, l = (thread + step * threads) // tk, thread % tk  # noqa: E741
                value = element(0)
                if top + i < m and start + l < k:
                    value = read_a(a, matrix, top + i, start + l, sizes)
                a_tile[l, i] = value
            for step in range(b_reads):
                place = thread + step * threads
                if b_along_sum:
                    l, j = place % tk, place // tk  # noqa: E741
                else:
                    l, j = place // tn, place % tn  # noqa: E741
                value = element(0)
                if left + j < n and start + l < k:
                    value = read_b(b, matrix, start + l, left + j, sizes)
                b_tile[l, j] = value
            cuda.syncthreads()
            for l in range(tk):  # noqa: E741
                for i in range(rm):
                    a_values[i] = a_tile[l, row + i * down]
                for j in range(rn):
                    b_values[j] = b_tile[l, column + j * across]
                for i in range(rm):
                    for j in range(rn):
                        found[i, j] = multiply_add(found[i, j], a_values[i], b_values[j])
            cuda.syncthreads()

        for i in range(rm):
            for j in range(rn):
                y, x = top + row + i * down, left + column + j * across
                if y < m and x < n:
                    write(out, extra, matrix, share, y, x, found[i, j], sizes)

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
