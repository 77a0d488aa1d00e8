"""Vectors, masks and tiles against NumPy; test_instruction_sets.py runs this file for other processors."""

from __future__ import annotations

import operator
import re

import numpy as np
import pytest
from numba import njit
from numba.core.errors import NumbaError

from kernels.cpu import simd
from kernels.cpu.jit import kernel

FLOATS = (np.float32, np.float64)
INTEGERS = (np.int32, np.int64, np.uint32, np.uint64)
TILE_ROWS, TILE_COLS = 3, 2
LANES32 = simd.FLOAT32_LANES
ROWS, COLS = simd.ROWS, simd.COLS


def count(dtype):
    return simd.VECTOR_BYTES // np.dtype(dtype).itemsize


def numbers(dtype, size, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (4 * rng.standard_normal(size)).astype(dtype)
    # Shifts by these stay below the width of the type, and quotients are not asked for.
    return rng.integers(0 if np.dtype(dtype).kind == "u" else -20, 30, size).astype(dtype)


def assert_same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want).astype(got.dtype))


def test_the_registers_of_this_processor_are_known():
    assert (simd.VECTOR_BYTES, simd.REGISTERS) in [(64, 32), (32, 16), (16, 16), (16, 32)]
    assert (simd.FLOAT32_LANES, simd.FLOAT64_LANES) == (simd.VECTOR_BYTES // 4, simd.VECTOR_BYTES // 8)
    assert simd.ROWS * simd.COLS + simd.COLS + 1 <= simd.REGISTERS


# --- memory -----------------------------------------------------------------------------------------------------------


@kernel
def moved(a, i, j, out):
    simd.store(out, 0, simd.load(a, (i, j)))
    simd.store(out, simd.lanes(a), simd.load(a, i * np.uint64(a.shape[1]) + j))
    simd.store(out, 2 * simd.lanes(a), simd.broadcast(a, (i, j)))
    simd.store(out, 3 * simd.lanes(a), simd.ramp(a))
    simd.store(out, 4 * simd.lanes(a), simd.splat(a, 3))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_vectors_are_loaded_from_any_element_of_an_array_of_any_shape(dtype):
    n = count(dtype)
    a, out = numbers(dtype, (3, 2 * n + 1)), np.zeros(5 * n, dtype)
    a.flags.writeable = False
    moved(a, np.int32(1), 3, out)
    wanted = a.reshape(-1)[a.shape[1] + 3 :][:n]
    assert_same(out, np.concatenate([wanted, wanted, [wanted[0]] * n, np.arange(n), [3] * n]))


@kernel
def moved_in_part(a, size, out):
    simd.store(out, 1, simd.load_first(a, a.size - size, size))
    simd.store_first(out, simd.lanes(a) + 1, simd.splat(a, 5), size)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_a_part_of_a_vector_reads_and_writes_nothing_else(dtype):
    n = count(dtype)
    for size in range(n + 1):
        a, out = numbers(dtype, n), np.full(2 * n + 2, 9, dtype)
        moved_in_part(a, size, out)
        assert_same(out, [9, *a[n - size :], *[0] * (n - size), *[5] * size, *[9] * (n - size), 9])


@kernel
def streamed(a, out):
    for i in range(0, a.size, simd.lanes(a)):
        simd.prefetch(a, i)
        simd.stream(out, i, simd.load(a, i))


def test_stores_past_the_cache_store():
    n = simd.FLOAT32_LANES
    memory = np.zeros(9 * n, np.float32)
    first = -memory.ctypes.data // 4 % n
    out, a = memory[first : first + 8 * n], numbers(np.float32, 8 * n)
    streamed(a, out)
    assert_same(out, a)


@kernel
def gathered(a, where, start, out):
    simd.store(out, 0, simd.gather(a, start, simd.load_wide(where, 0, a)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_gather_reads_at_a_vector_of_places(dtype, index_dtype):
    a, n = numbers(dtype, 50), count(dtype)
    where = np.random.default_rng(1).integers(-5, 40, n).astype(index_dtype)
    out = np.zeros(n, dtype)
    gathered(a, where, 5, out)
    assert_same(out, a[5 + where])


# --- arithmetic -------------------------------------------------------------------------------------------------------


@kernel
def calculated(a, out):
    n = simd.lanes(a)
    v, w = simd.load(a, 0), simd.load(a, n)
    simd.store(out, 0 * n, v + w)
    simd.store(out, 1 * n, v - w)
    simd.store(out, 2 * n, v * w)
    simd.store(out, 3 * n, 2 * v)
    simd.store(out, 4 * n, v - 1)
    simd.store(out, 5 * n, -v)
    simd.store(out, 6 * n, simd.fma(v, w, v))
    simd.store(out, 7 * n, simd.minimum(v, w))
    simd.store(out, 8 * n, simd.maximum(v, w))
    running = v
    for _ in range(3):
        running += w
        running *= v
        running -= w
    simd.store(out, 9 * n, running)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_arithmetic(dtype):
    n = count(dtype)
    a = numbers(dtype, 2 * n)
    v, w = a[:n], a[n:]
    running = v
    with np.errstate(all="ignore"):
        for _ in range(3):
            running = (running + w) * v - w
        want = [v + w, v - w, v * w, 2 * v, v - dtype(1), -v, v * w + v, np.minimum(v, w), np.maximum(v, w), running]
    out = np.zeros(len(want) * n, dtype)
    calculated(a, out)
    # A fused product and sum is rounded once, NumPy's twice.
    np.testing.assert_allclose(out.reshape(len(want), n), want, rtol=1e-5 if dtype == np.float32 else 1e-14)


@kernel
def of_floats(a, out):
    n = simd.lanes(a)
    v, w = simd.load(a, 0), simd.load(a, n)
    simd.store(out, 0 * n, v / w)
    simd.store(out, 1 * n, 0.5 / v)
    simd.store(out, 2 * n, simd.floor(v))
    simd.store(out, 3 * n, simd.absolute(v))
    simd.store(out, 4 * n, simd.sqrt(simd.absolute(v)))
    simd.store(out, 5 * n, simd.truncate(v))
    out[6 * n] = simd.total(v)


@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_of_floats(dtype):
    n = count(dtype)
    a, out = numbers(dtype, 2 * n), np.zeros(6 * n + 1, dtype)
    v, w = a[:n], a[n:]
    of_floats(a, out)
    want = [v / w, dtype(0.5) / v, np.floor(v), np.abs(v), np.sqrt(np.abs(v)), np.trunc(v)]
    assert_same(out[:-1].reshape(6, n), want)
    np.testing.assert_allclose(out[-1], v.sum(dtype=np.float64), rtol=10 * np.finfo(dtype).eps, atol=1e-5)


@kernel
def of_integers(a, out):
    n = simd.lanes(a)
    v, w = simd.load(a, 0), simd.load(a, n)
    simd.store(out, 0 * n, v & w)
    simd.store(out, 1 * n, v | w)
    simd.store(out, 2 * n, v ^ w)
    simd.store(out, 3 * n, v << 3)
    simd.store(out, 4 * n, v >> 2)
    simd.store(out, 5 * n, simd.popcount(v))
    simd.store(out, 6 * n, simd.shift_in(v, w))
    running = v
    running &= w
    running |= v
    running ^= w
    simd.store(out, 7 * n, running)
    out[8 * n] = simd.total(v)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_functions_of_integers(dtype):
    n, width = count(dtype), 8 * np.dtype(dtype).itemsize
    a = numbers(dtype, 2 * n)
    a[n : n + n // 2] = ~a[n : n + n // 2]  # some with the topmost bit set, whatever the sign means
    v, w = a[:n], a[n:]
    unsigned = f"u{np.dtype(dtype).itemsize}"
    ones = [bin(int(bits)).count("1") for bits in v.view(unsigned)]
    shifted = ((v.view(unsigned) << 1) | (w.view(unsigned) >> np.array(width - 1, unsigned))).view(dtype)
    want = [v & w, v | w, v ^ w, v << 3, v >> 2, ones, shifted, ((v & w) | v) ^ w]
    out = np.zeros(8 * n + 1, dtype)
    of_integers(a, out)
    for got, expected in zip(out[:-1].reshape(8, n), want, strict=True):
        assert_same(got, expected)
    assert_same(out[-1:], [v.sum(dtype=dtype)])


@kernel
def compared(a, out, bits):
    n = simd.lanes(a)
    v, w = simd.load(a, 0), simd.load(a, n)
    bits[0] = simd.mask_bits(v < w)
    bits[1] = simd.mask_bits(v <= w)
    bits[2] = simd.mask_bits(v > w)
    bits[3] = simd.mask_bits(v >= w)
    bits[4] = simd.mask_bits(v == w)
    bits[5] = simd.mask_bits(v != w)
    bits[6] = simd.mask_bits((v < w) & (v != 3))
    bits[7] = simd.mask_bits((v < w) | (v == w))
    bits[8] = simd.mask_bits((v < w) ^ (v <= w))
    bits[9] = simd.mask_bits(~(v < w))
    bits[10] = simd.any_lane(v == w)
    simd.store(out, 0, simd.where(v < w, v, w))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_comparisons_and_masks(dtype):
    n = count(dtype)
    a = numbers(dtype, 2 * n)
    if np.dtype(dtype).kind == "u":
        a[1::3] = ~a[1::3]  # beyond what a signed number can be
    a[n] = a[0]
    if np.dtype(dtype).kind == "f":
        a[1] = np.nan
        a[-1] = np.inf
    v, w = a[:n], a[n:]
    out, bits = np.zeros(n, dtype), np.zeros(11, np.uint64)
    compared(a, out, bits)
    less, equal = v < w, v == w
    named = [getattr(operator, name)(v, w) for name in ("lt", "le", "gt", "ge", "eq", "ne")]
    masks = [*named, less & (v != 3), less | equal, less ^ (v <= w), ~less]
    for got, mask in zip(bits, masks, strict=False):
        assert int(got) == sum(1 << lane for lane in np.flatnonzero(mask))
    assert bits[10] == equal.any()
    assert_same(out, np.where(less, v, w))


@kernel
def extremes(a, out):
    n = simd.lanes(a)
    v, w = simd.load(a, 0), simd.load(a, n)
    simd.store(out, 0, simd.minimum(v, w))
    simd.store(out, n, simd.maximum(v, w))


def test_a_nan_on_either_side_gives_the_second_operand():
    n = simd.FLOAT32_LANES
    a, out = np.arange(2 * n, dtype=np.float32), np.zeros(2 * n, np.float32)
    a[0] = a[n + 1] = np.nan
    extremes(a, out)
    assert_same(out[[0, n]], [n, n])
    assert np.isnan(out[[1, n + 1]]).all()


@kernel
def converted(a, to, back, viewed):
    v = simd.load(a, 0)
    simd.store(to, 0, simd.astype(v, to))
    simd.store(back, 0, simd.astype(simd.astype(v, to), back))
    simd.store(viewed, 0, simd.bits(v, viewed))


@pytest.mark.parametrize("source", FLOATS + INTEGERS)
@pytest.mark.parametrize("target", FLOATS + INTEGERS)
def test_conversions(source, target):
    n = count(source)
    a = np.abs(numbers(source, n))
    to, back = np.zeros(n, target), np.zeros(n, source)
    viewed = np.zeros(a.nbytes // 8, np.uint64)
    converted(a, to, back, viewed)
    assert_same(to, a.astype(target))
    assert_same(back, a.astype(target).astype(source))
    assert_same(viewed, a.view(np.uint64))


def test_the_topmost_bit_of_unsigned_numbers_is_no_sign():
    n = count(np.uint32)
    a = np.full(2 * n, 0xFFFF_FFF0, np.uint32)
    out = np.zeros(8 * n + 1, np.uint32)
    of_integers(a, out)
    assert_same(out[4 * n : 5 * n], a[:n] >> 2)
    to = np.zeros(n, np.uint64)
    converted(a[:n], to, np.zeros(n, np.uint32), np.zeros(n // 2, np.uint64))
    assert_same(to, a[:n])


def test_of_two_zeros_the_second_is_the_extreme():
    n = simd.FLOAT32_LANES
    a, out = np.zeros(2 * n, np.float32), np.zeros(2 * n, np.float32)
    a[:n] = -0.0
    extremes(a, out)
    assert not np.signbit(out).any()


def test_signs_survive_conversions():
    whole = np.arange(-3, count(np.int32) - 3, dtype=np.int32)
    wide = np.zeros(whole.size, np.int64)
    converted(whole, wide, np.zeros(whole.size, np.int32), np.zeros(whole.size // 2, np.uint64))
    assert_same(wide, whole)
    a = -np.arange(simd.FLOAT32_LANES, dtype=np.float32)
    to, back = np.zeros(a.size, np.int64), np.zeros(a.size, np.float32)
    converted(a, to, back, np.zeros(a.size // 2, np.uint64))
    assert_same(to, a)
    assert_same(back, a)


# --- order ------------------------------------------------------------------------------------------------------------

REVERSED = simd.shuffle(range(LANES32 - 1, -1, -1))
EVEN = simd.shuffle(range(0, 2 * LANES32, 2))


@kernel
def rearranged(a, out):
    n = simd.lanes(a)
    v, w = simd.load(a, 0), simd.load(a, n)
    simd.store(out, 0, REVERSED(v, w))
    simd.store(out, n, EVEN(v, w))
    simd.store(out, 2 * n, simd.concatenate(simd.second_half(v), simd.first_half(w)))


def test_lanes_change_places():
    n = LANES32
    a, out = numbers(np.float32, 2 * n), np.zeros(3 * n, np.float32)
    rearranged(a, out)
    assert_same(out, np.concatenate([a[:n][::-1], a[::2], a[n // 2 : n], a[n : n + n // 2]]))


@kernel
def mirrored(a, out, rows):
    simd.store_tile(out, 0, rows, simd.transpose(simd.load_tile(a, 0, rows, LANES32, 1)))


def test_a_square_of_numbers_is_transposed():
    square = numbers(np.float32, (LANES32, LANES32))
    out = np.zeros_like(square)
    mirrored(square, out, LANES32)
    assert_same(out, square.T)


# --- tiles ------------------------------------------------------------------------------------------------------------


@kernel
def multiplied(a, b, table, out):
    """Two products and a sum of tiles; a (rows, depth) times b (depth, cols * lanes), by strides and by places."""
    depth, width = a.shape[1], b.shape[1]
    by_stride = simd.zeros(a, TILE_ROWS, TILE_COLS)
    by_places = simd.load_tile(out, 0, width, TILE_ROWS, TILE_COLS)
    rows = simd.places(table, 1, TILE_ROWS)
    for k in range(depth):
        by_stride = simd.outer_fma(by_stride, a, k, depth, b, (k, 0))
        by_places = simd.outer_fma_at(by_places, a, rows, k, b, k * width)
    simd.store_tile(out, 0, width, simd.add_row(by_stride + by_places, b, 0))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_tile_adds_up_a_matrix_product(dtype):
    a, b = numbers(dtype, (TILE_ROWS, 5)), numbers(dtype, (5, TILE_COLS * count(dtype)), seed=1)
    out = np.ones((TILE_ROWS, b.shape[1]), dtype)
    table = np.array([-1, 10, 0, 5])  # the rows of a in another order
    multiplied(a, b, table, out)
    want = (a + a[[2, 0, 1]]).astype(np.float64) @ b + 1 + b[0]
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-4)


@njit
def full_tile(a, b, depth, out):
    tile = simd.zeros(out, ROWS, COLS)
    for p in range(depth):
        tile = simd.outer_fma(tile, a, p, depth, b, p * COLS * simd.lanes(b))
    simd.store_tile(out, 0, COLS * simd.lanes(out), tile)


def test_a_loop_over_full_tiles_is_not_unrolled():
    """Or else there are more sums than registers, which makes it several times slower on some processors."""
    depth, width = 9, COLS * LANES32
    a, b = numbers(np.float32, (ROWS, depth)), numbers(np.float32, (depth, width))
    out = np.zeros((ROWS, width), np.float32)
    full_tile(a, b, depth, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-4)
    (code,) = full_tile.inspect_asm().values()
    steps = re.findall(r"\b(?:vfmadd\w+|v?mulps|fmla)\b", code)
    assert len(steps) == ROWS * COLS


@kernel
def along_pixels(a, b, table, out):
    """out[r, c] = sum over k of a[k, r] times the vector of b at table[c] + k; columns lie apart in out as well."""
    columns = simd.places(table, 0, TILE_COLS)
    tile = simd.zeros(b, TILE_ROWS, TILE_COLS)
    for k in range(a.shape[0]):
        tile = simd.inner_fma_at(tile, a, (k, 0), 1, b, columns, k)
    simd.store_tile_at(out, 0, out.shape[1], columns, tile)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_tile_whose_columns_come_from_anywhere(dtype):
    n = count(dtype)
    a, b = numbers(dtype, (4, TILE_ROWS)), numbers(dtype, 4 * n, seed=1)
    table, out = np.array([2 * n - 1, 3]), np.zeros((TILE_ROWS, 4 * n), dtype)
    along_pixels(a, b, table, out)
    want = np.zeros((TILE_ROWS, 4 * n))
    for place in table:
        for r in range(TILE_ROWS):
            want[r, place : place + n] = sum(float(a[k, r]) * b[place + k : place + k + n] for k in range(4))
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-4)


@kernel
def exchanged(a, out):
    tile = simd.load_tile(a, 0, a.shape[1], 2, 1)
    first = simd.get(tile, 0, 0)
    simd.store_tile(out, 0, a.shape[1], simd.put(simd.put(tile, 0, 0, simd.get(tile, 1, 0)), 1, 0, first))


def test_vectors_of_a_tile_are_taken_out_and_put_in():
    a = numbers(np.float64, (2, simd.FLOAT64_LANES))
    out = np.zeros_like(a)
    exchanged(a, out)
    assert_same(out, a[::-1])


@kernel
def combined(a, b, out):
    x, y = (
        simd.load_tile(a, 0, a.shape[1], TILE_ROWS, TILE_COLS),
        simd.load_tile(b, 0, b.shape[1], TILE_ROWS, TILE_COLS),
    )
    v = simd.load(b, 0)
    simd.store_tile(out, (0, 0, 0), a.shape[1], x + y)
    simd.store_tile(out, (1, 0, 0), a.shape[1], x - y)
    simd.store_tile(out, (2, 0, 0), a.shape[1], x * y)
    simd.store_tile(out, (3, 0, 0), a.shape[1], x + v)
    simd.store_tile(out, (4, 0, 0), a.shape[1], x - v)
    simd.store_tile(out, (5, 0, 0), a.shape[1], x * v)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_tiles_and_vectors_are_added_subtracted_and_multiplied(dtype):
    n = count(dtype)
    a, b = numbers(dtype, (TILE_ROWS, TILE_COLS * n)), numbers(dtype, (TILE_ROWS, TILE_COLS * n), seed=1)
    out = np.zeros((6, *a.shape), dtype)
    combined(a, b, out)
    v = np.tile(b[0, :n], TILE_COLS)
    assert_same(out, [a + b, a - b, a * b, a + v, a - v, a * v])


@kernel
def narrowed(a, like, out, corner, rows, count):
    tile = simd.astype(simd.load_tile(a, 0, a.shape[1], TILE_ROWS, 1), like)
    simd.store_tile(out, 0, out.shape[1], tile)
    simd.store_square(corner, 0, corner.shape[1], tile, rows, count)


@pytest.mark.parametrize("to", FLOATS)
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_a_tile_changes_its_type_and_then_fills_parts_of_registers(dtype, to):
    n = count(dtype)
    a = numbers(dtype, (TILE_ROWS, n))
    out, corner = np.zeros((TILE_ROWS, n + 1), to), np.zeros((TILE_ROWS, n + 1), to)
    narrowed(a, np.empty(0, to), out, corner, TILE_ROWS - 1, n - 1)
    assert_same(out[:, :n], a)
    assert not out[:, n].any()
    assert_same(corner[:-1, : n - 1], a[:-1, : n - 1])
    assert not corner[-1].any()
    assert not corner[:, n - 1 :].any()


@kernel
def differing(a, b, out):
    tile = simd.load_tile(out, 0, out.shape[1], TILE_ROWS, TILE_COLS)
    for k in range(a.shape[0]):
        tile = simd.outer_differences(tile, a, (k, 0), b, (k, 0))
    simd.store_tile(out, 0, out.shape[1], tile)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_a_tile_counts_bits_that_differ(dtype):
    rng = np.random.default_rng(0)
    n = TILE_COLS * count(dtype)
    a, b = (rng.integers(0, 2**64, (5, size), np.uint64) for size in (TILE_ROWS, n))
    out = np.full((TILE_ROWS, n), 7, dtype)
    differing(a.view(dtype), b.view(dtype), out)
    assert_same(out, 7 + np.bitwise_count(a[:, :, None] ^ b[:, None]).sum(0, dtype=int))


@kernel
def shifted(a, start, begin, end, most, out):
    """Three shifts of a; then three more columns: one pushed, three times a matrix, and scaled by the first shift."""
    n = simd.lanes(a)
    shifts = simd.load_shifts(a, start, begin, end, most, 3, 1)
    simd.store_tile(out, 0, n, shifts)
    first = simd.get(shifts, 0, 0)
    simd.store_tile(out, 3 * n, n, simd.pushed(shifts, simd.splat(a, 7)))
    matrix = simd.rows_from(simd.zeros(a, 6, 1), a, 0)
    simd.store_tile(out, 6 * n, n, simd.column_fma(simd.zeros(a, 2, 1), matrix, shifts))
    simd.store_tile(out, 8 * n, n, simd.add_scaled(shifts, first, shifts))
    simd.store_tile(out, 11 * n, n, simd.load_shifts(a, start, begin, end, most, 5, 2))


def shifts_of(a, start, begin, end, most, shifts, stride):
    s, lane = np.mgrid[:shifts, : count(a.dtype)]
    at = s + lane * stride
    return np.where((begin <= at) & (at < end) & (lane < most), a[np.minimum(start + at, a.size - 1)], 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("begin", "end", "most"),
    [(0, 99, 99), (1, 99, 99), (2, 4, 99), (-1, 3, 99), (0, 99, 2), (9, 9, 1), (1, 6, 3), (-9, 7, 1), (3, 99, 2)],
)
def test_columns_of_shifted_vectors(dtype, begin, end, most):
    n = count(dtype)
    a, out = numbers(dtype, 2 * n + 9), np.zeros((16, n), dtype)
    shifted(a, 5, begin, end, most, out)
    want = shifts_of(a, 5, begin, end, most, 3, 1)
    assert_same(out[:3], want)
    assert_same(out[3:6], [np.full(n, 7), *want[:2]])
    np.testing.assert_allclose(out[6:8], a[:6].reshape(2, 3) @ want, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(out[8:11], want + want[0] * want, rtol=1e-5, atol=1e-4)
    assert_same(out[11:], shifts_of(a, 5, begin, end, most, 5, 2))


def test_what_a_shift_leaves_out_may_lie_before_the_array():
    a, out = np.ones(LANES32 + 2, np.float32), np.zeros((16, LANES32), np.float32)
    shifted(a[1:], -1, 1, 4, 99, out)
    assert_same(out[:3].sum(axis=1), [3, 3, 2])


@kernel
def paired(a, b, out):
    """A tile of 2 x 3 vectors, each with a factor of its own; and a vector cut off on either side."""
    n = simd.lanes(b)
    tile = simd.paired_fma(simd.zeros(b, 2, 3), a, 1, b, 2, n + 1)
    simd.store_tile(out, 0, 3 * n, tile)
    simd.store(out, 6 * n, simd.load_between(b, 1, 1, 3))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_tile_whose_vectors_have_factors_of_their_own(dtype):
    n = count(dtype)
    a, b, out = numbers(dtype, 7), numbers(dtype, 3 * n + 6, seed=1), np.zeros((7, n), dtype)
    paired(a, b, out)
    columns = np.stack([b[2 + c * (n + 1) :][:n] for c in range(3)])
    np.testing.assert_allclose(out[:6].reshape(2, 3, n), a[1:].reshape(2, 3, 1) * columns, rtol=1e-6)
    assert_same(out[6], np.where((np.arange(n) >= 1) & (np.arange(n) < 3), b[1 : n + 1], 0))


# --- maps -------------------------------------------------------------------------------------------------------------


@kernel
def three_of_two(x, y):
    return x, x + 2.0 * y, x - y


@kernel
def mapped(a, out, rows_out, columns_out, total_out, shifted_out):
    n = simd.lanes(a)
    tile = simd.load_grid(a, n, 5 * n, -n, 2, 2)
    simd.store_grid(out, 0, 3 * n, n, simd.both_ways(three_of_two, tile))
    simd.store_grid(rows_out, 0, 3 * n, n, simd.each_row(three_of_two, tile))
    simd.store_grid(columns_out, 0, n, 3 * n, simd.each_column(three_of_two, tile))
    simd.store(total_out, 0, simd.sum_vectors(tile))
    simd.store_grid(shifted_out, 0, 2 * n, n, simd.plus(tile, simd.load(a, 0)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_maps_multiply_a_tile_by_a_matrix_on_either_side(dtype):
    n = count(dtype)
    a = np.random.default_rng(0).integers(-9, 9, (7, n)).astype(dtype)  # exact sums
    out, rows, columns, total, shifted = (
        np.zeros((*shape, n), dtype) for shape in [(3, 3), (2, 3), (2, 3), (), (2, 2)]
    )
    mapped(a, out, rows, columns, total, shifted)
    tile, matrix = a[[[1, 0], [6, 5]]], np.array([[1, 0], [1, 2], [1, -1]])
    assert_same(rows, np.einsum("ij,rjn->rin", matrix, tile))
    assert_same(columns, np.einsum("ij,jcn->cin", matrix, tile))
    assert_same(out, np.einsum("ij,jkn,lk->iln", matrix, tile, matrix))
    assert_same(total, tile.sum((0, 1)))
    assert_same(shifted, tile + a[0])


@kernel
def weighted(a, out):
    n = simd.lanes(a)
    tile = simd.load_tile(a, 0, n, 4, 1)
    simd.store_tile(out, 0, n, simd.weighted_halves(tile, simd.load(a, 4 * n), simd.load(a, 5 * n)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_halves_of_a_tile_are_added_with_weights(dtype):
    a = np.random.default_rng(0).integers(-9, 9, (6, count(dtype))).astype(dtype)
    out = np.zeros((2, count(dtype)), dtype)
    weighted(a, out)
    assert_same(out, a[:2] * a[4] + a[2:4] * a[5])


@kernel
def stored_wrongly(a, out):
    simd.store_grid(out, 0, 2, 2, simd.load_grid(a, 0, 2, 2, 2, 2))


def test_a_grid_is_not_stored_as_another_dtype():
    with pytest.raises((NumbaError, TypeError), match="store_grid: cannot put"):
        stored_wrongly(np.zeros(99, np.float32), np.zeros(99, np.float64))


# --- widths -----------------------------------------------------------------------------------------------------------


@kernel
def column_first(a, rows, columns, out, width):
    tile = simd.load_column_first(a, 0, a.shape[1], rows, columns, width)
    simd.store_tile(out, 0, simd.lanes(a), tile)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_column_is_loaded_with_zeros_behind_its_edges(dtype):
    n = count(dtype)
    a = numbers(dtype, (4, n + 1))
    for rows in (0, 1, 3, 4, 9):
        for columns in (-1, 0, 1, n - 1, n, n + 5):
            out = np.ones((4, n), dtype)
            column_first(a, rows, columns, out, simd.Width(4))
            want = np.zeros((4, n), dtype)
            want[:rows, : max(columns, 0)] = a[:rows, :n][:, : max(columns, 0)]
            assert_same(out, want)


# --- what cannot be compiled ------------------------------------------------------------------------------------------


@kernel
def written(a):
    simd.store(a, 0, simd.splat(a, 0))


@kernel
def mixed(a, b, out):
    simd.store(out, 0, simd.load(a, 0) + simd.load(b, 0))


@kernel
def indexed(a, out):
    simd.store(out, 0, simd.load(a, (0, 0, 0)))


def test_mistakes_are_refused_when_the_kernel_is_compiled():
    single, double = np.zeros((2, 32), np.float32), np.zeros((2, 32))
    read_only = single.copy()
    read_only.flags.writeable = False
    for call, arguments in (
        (written, (read_only,)),  # an input
        (written, (np.zeros((32, 2), np.float32).T,)),  # not contiguous
        (mixed, (single, double, double)),  # two dtypes
        (mixed, (single, single, double)),  # a result of another dtype
        (indexed, (single, single)),  # more numbers than dims
    ):
        with pytest.raises((NumbaError, TypeError)):
            call(*arguments)
