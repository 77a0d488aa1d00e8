"""The linear maps of Winograd's F(4x4, 3x3), on vectors whose lanes are channels.

Four outputs of a convolution with three taps, y = (y0 .. y3) from d = (d0 .. d5) and g = (g0, g1, g2), cost 12
multiplications as they stand. Multiplying polynomials by their values at six points costs six:

    y = A^T [ (G g) * (B^T d) ]          and for images, on both sides:  Y = A^T [ (G g G^T) * (B^T d B) ] A

`kernels.reference.winograd` builds the three matrices from the points and shows why this holds. The points here are
0, +-a, +-b and infinity with a = sqrt(1/2) and b = sqrt(2), so that a b = 1:

    B^T = [ 1    0   -5/2   0    1  0 ]        G = [  1      0      0   ]      A^T = [ 1  1   1   1   1   0 ]
          [ 0  -ab^2 -b^2   a    1  0 ]            [ -2/3  -2a/3  -1/3  ]            [ 0  a  -a   b  -b   0 ]
          [ 0   ab^2 -b^2  -a    1  0 ]            [ -2/3   2a/3  -1/3  ]            [ 0 a^2 a^2 b^2 b^2  0 ]
          [ 0  -a^2b -a^2   b    1  0 ]            [  1/6   b/6    1/3  ]            [ 0 a^3 -a^3 b^3 -b^3 1 ]
          [ 0   a^2b -a^2  -b    1  0 ]            [  1/6  -b/6    1/3  ]
          [ 0    1     0  -5/2   0  1 ]            [  0      0      1   ]

They are not the usual 0, +-1, +-2: those powers spread from 1 to 16 and lose five times as many digits (measured over
16 to 512 channels: a largest error of 1.5e-5 .. 7e-5 of the result's standard deviation against 0.4e-5 .. 1.4e-5).
Because the points come in pairs, each pair of rows is an even part plus and minus an odd part.
"""

from typing import Any

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import lanes, load, store

A = 0.5**0.5
B = 2.0**0.5
A2, B2 = 0.5, 2.0
A3, B3 = A * A2, B * B2

Vector = Any
Three = tuple[Vector, Vector, Vector]
Four = tuple[Vector, Vector, Vector, Vector]
Six = tuple[Vector, Vector, Vector, Vector, Vector, Vector]


@kernel
def b_transpose(d0: Vector, d1: Vector, d2: Vector, d3: Vector, d4: Vector, d5: Vector) -> Six:
    """B^T d: six inputs in the basis of the points."""
    even_a, odd_a = d4 - B2 * d2, A * (d3 - B2 * d1)
    even_b, odd_b = d4 - A2 * d2, B * (d3 - A2 * d1)
    return (
        (d0 + d4) - (A2 + B2) * d2,
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        (d1 + d5) - (A2 + B2) * d3,
    )


@kernel
def g(g0: Vector, g1: Vector, g2: Vector) -> Six:
    """G g: three taps as the values of their polynomial at the points, each divided by its N."""
    even_a, odd_a = g0 + A2 * g2, A * g1
    even_b, odd_b = g0 + B2 * g2, B * g1
    return (
        g0,
        (even_a + odd_a) * (-2.0 / 3.0),
        (even_a - odd_a) * (-2.0 / 3.0),
        (even_b + odd_b) * (1.0 / 6.0),
        (even_b - odd_b) * (1.0 / 6.0),
        g2,
    )


@kernel
def a_transpose(m0: Vector, m1: Vector, m2: Vector, m3: Vector, m4: Vector, m5: Vector) -> Four:
    """A^T m: four outputs from the products at the points."""
    even_a, odd_a = m1 + m2, m1 - m2
    even_b, odd_b = m3 + m4, m3 - m4
    return (
        m0 + (even_a + even_b),
        A * odd_a + B * odd_b,
        A2 * even_a + B2 * even_b,
        m5 + (A3 * odd_a + B3 * odd_b),
    )


@kernel
def a(y0: Vector, y1: Vector, y2: Vector, y3: Vector) -> Six:
    """A y, the adjoint of A^T: four gradients by outputs give six by products."""
    even_a, odd_a = y0 + A2 * y2, A * (y1 + A2 * y3)
    even_b, odd_b = y0 + B2 * y2, B * (y1 + B2 * y3)
    return y0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, y3


@kernel
def g_transpose(u0: Vector, u1: Vector, u2: Vector, u3: Vector, u4: Vector, u5: Vector) -> Three:
    """G^T u, the adjoint of G: six gradients give three by taps."""
    even_a, odd_a = (u1 + u2) * (-2.0 / 3.0), (u1 - u2) * (-2.0 / 3.0)
    even_b, odd_b = (u3 + u4) * (1.0 / 6.0), (u3 - u4) * (1.0 / 6.0)
    return u0 + (even_a + even_b), A * odd_a + B * odd_b, u5 + (A2 * even_a + B2 * even_b)


@kernel
def six(source: Array, index: int, step: int) -> Six:
    """Six vectors, `step` elements apart."""
    return (
        load(source, index),
        load(source, index + step),
        load(source, index + 2 * step),
        load(source, index + 3 * step),
        load(source, index + 4 * step),
        load(source, index + 5 * step),
    )


@kernel
def store_six(target: Array, index: int, step: int, v: Six) -> None:
    """Stores six vectors, `step` elements apart."""
    store(target, index, v[0])
    store(target, index + step, v[1])
    store(target, index + 2 * step, v[2])
    store(target, index + 3 * step, v[3])
    store(target, index + 4 * step, v[4])
    store(target, index + 5 * step, v[5])


@kernel
def transform_input(image: Array, index: int, line: int, v: Array, place: int, step: int) -> None:
    """v = B^T d B: 6 x 6 pixels from image[index] on, lines `line` apart, to 36 places `step` apart."""
    pixel = lanes(image)
    r0 = b_transpose(*six(image, index, pixel))
    r1 = b_transpose(*six(image, index + line, pixel))
    r2 = b_transpose(*six(image, index + 2 * line, pixel))
    r3 = b_transpose(*six(image, index + 3 * line, pixel))
    r4 = b_transpose(*six(image, index + 4 * line, pixel))
    r5 = b_transpose(*six(image, index + 5 * line, pixel))
    store_six(v, place, 6 * step, b_transpose(r0[0], r1[0], r2[0], r3[0], r4[0], r5[0]))
    store_six(v, place + step, 6 * step, b_transpose(r0[1], r1[1], r2[1], r3[1], r4[1], r5[1]))
    store_six(v, place + 2 * step, 6 * step, b_transpose(r0[2], r1[2], r2[2], r3[2], r4[2], r5[2]))
    store_six(v, place + 3 * step, 6 * step, b_transpose(r0[3], r1[3], r2[3], r3[3], r4[3], r5[3]))
    store_six(v, place + 4 * step, 6 * step, b_transpose(r0[4], r1[4], r2[4], r3[4], r4[4], r5[4]))
    store_six(v, place + 5 * step, 6 * step, b_transpose(r0[5], r1[5], r2[5], r3[5], r4[5], r5[5]))


@kernel
def _three(source: Array, index: int, step: int) -> Three:
    return load(source, index), load(source, index + step), load(source, index + 2 * step)


@kernel
def transform_weight(taps: Array, index: int, step_tap: int, u: Array, place: int, step: int) -> None:
    """u = G g G^T: 3 x 3 taps from taps[index] on, `step_tap` apart, to 36 places `step` apart."""
    r0 = g(*_three(taps, index, step_tap))
    r1 = g(*_three(taps, index + 3 * step_tap, step_tap))
    r2 = g(*_three(taps, index + 6 * step_tap, step_tap))
    store_six(u, place, 6 * step, g(r0[0], r1[0], r2[0]))
    store_six(u, place + step, 6 * step, g(r0[1], r1[1], r2[1]))
    store_six(u, place + 2 * step, 6 * step, g(r0[2], r1[2], r2[2]))
    store_six(u, place + 3 * step, 6 * step, g(r0[3], r1[3], r2[3]))
    store_six(u, place + 4 * step, 6 * step, g(r0[4], r1[4], r2[4]))
    store_six(u, place + 5 * step, 6 * step, g(r0[5], r1[5], r2[5]))


@kernel
def _store_four(image: Array, index: int, line: int, y: Four, bias: Vector) -> Vector:
    """Stores a column of four outputs plus bias; returns their sum."""
    y0, y1, y2, y3 = y[0] + bias, y[1] + bias, y[2] + bias, y[3] + bias
    store(image, index, y0)
    store(image, index + line, y1)
    store(image, index + 2 * line, y2)
    store(image, index + 3 * line, y3)
    return (y0 + y1) + (y2 + y3)


@kernel
def transform_output(m: Array, place: int, step: int, bias: Vector, image: Array, index: int, line: int) -> Vector:
    """A^T m A + bias: from 36 places `step` apart to 4 x 4 pixels from image[index] on. Returns the sum of all."""
    pixel = lanes(image)
    r0 = a_transpose(*six(m, place, step))
    r1 = a_transpose(*six(m, place + 6 * step, step))
    r2 = a_transpose(*six(m, place + 12 * step, step))
    r3 = a_transpose(*six(m, place + 18 * step, step))
    r4 = a_transpose(*six(m, place + 24 * step, step))
    r5 = a_transpose(*six(m, place + 30 * step, step))
    sum0 = _store_four(image, index, line, a_transpose(r0[0], r1[0], r2[0], r3[0], r4[0], r5[0]), bias)
    sum1 = _store_four(image, index + pixel, line, a_transpose(r0[1], r1[1], r2[1], r3[1], r4[1], r5[1]), bias)
    sum2 = _store_four(image, index + 2 * pixel, line, a_transpose(r0[2], r1[2], r2[2], r3[2], r4[2], r5[2]), bias)
    sum3 = _store_four(image, index + 3 * pixel, line, a_transpose(r0[3], r1[3], r2[3], r3[3], r4[3], r5[3]), bias)
    return (sum0 + sum1) + (sum2 + sum3)


@kernel
def _four(source: Array, index: int, step: int) -> Four:
    return (
        load(source, index),
        load(source, index + step),
        load(source, index + 2 * step),
        load(source, index + 3 * step),
    )


@kernel
def adjoint_output(image: Array, index: int, line: int, m: Array, place: int, step: int) -> None:
    """m = A y A^T: 4 x 4 pixels from image[index] on, lines `line` apart, to 36 places `step` apart."""
    pixel = lanes(image)
    r0 = a(*_four(image, index, pixel))
    r1 = a(*_four(image, index + line, pixel))
    r2 = a(*_four(image, index + 2 * line, pixel))
    r3 = a(*_four(image, index + 3 * line, pixel))
    store_six(m, place, 6 * step, a(r0[0], r1[0], r2[0], r3[0]))
    store_six(m, place + step, 6 * step, a(r0[1], r1[1], r2[1], r3[1]))
    store_six(m, place + 2 * step, 6 * step, a(r0[2], r1[2], r2[2], r3[2]))
    store_six(m, place + 3 * step, 6 * step, a(r0[3], r1[3], r2[3], r3[3]))
    store_six(m, place + 4 * step, 6 * step, a(r0[4], r1[4], r2[4], r3[4]))
    store_six(m, place + 5 * step, 6 * step, a(r0[5], r1[5], r2[5], r3[5]))


@kernel
def _store_three(taps: Array, index: int, step: int, w: Three) -> Vector:
    store(taps, index, w[0])
    store(taps, index + step, w[1])
    store(taps, index + 2 * step, w[2])
    return (w[0] + w[1]) + w[2]


@kernel
def adjoint_weight(u: Array, place: int, step: int, taps: Array, index: int, step_tap: int) -> Vector:
    """G^T u G: from 36 places `step` apart to 3 x 3 taps from taps[index] on. Returns the sum of all."""
    r0 = g_transpose(*six(u, place, 6 * step))
    r1 = g_transpose(*six(u, place + step, 6 * step))
    r2 = g_transpose(*six(u, place + 2 * step, 6 * step))
    r3 = g_transpose(*six(u, place + 3 * step, 6 * step))
    r4 = g_transpose(*six(u, place + 4 * step, 6 * step))
    r5 = g_transpose(*six(u, place + 5 * step, 6 * step))
    sum0 = _store_three(taps, index, step_tap, g_transpose(r0[0], r1[0], r2[0], r3[0], r4[0], r5[0]))
    sum1 = _store_three(taps, index + 3 * step_tap, step_tap, g_transpose(r0[1], r1[1], r2[1], r3[1], r4[1], r5[1]))
    sum2 = _store_three(taps, index + 6 * step_tap, step_tap, g_transpose(r0[2], r1[2], r2[2], r3[2], r4[2], r5[2]))
    return (sum0 + sum1) + sum2
