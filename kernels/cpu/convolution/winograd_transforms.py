"""The linear maps of Winograd's F(4x4, 3x3) and F(2x2, 5x5), on vectors whose lanes are channels.

Four outputs of a convolution with three taps, y = (y0 .. y3) from d = (d0 .. d5) and g = (g0, g1, g2), cost 12
multiplications as they stand, and two outputs with five taps cost 10. Both have six inputs, and multiplying polynomials
by their values at six points costs six:

    y = A^T [ (G g) * (B^T d) ]          and for images, on both sides:  Y = A^T [ (G g G^T) * (B^T d B) ] A

`kernels.reference.winograd` builds the three matrices from the points and shows why this holds. The points here are
0, +-a, +-b and infinity with a = sqrt(1/2) and b = sqrt(2), so that a b = 1:

    B^T = [ 1    0   -5/2   0    1  0 ]     values    [ 1   0    0    0    0  ]     G = values of the taps, rows times
          [ 0  -ab^2 -b^2   a    1  0 ]     of 5      [ 1   a   a^2  a^3  a^4 ]         [ 1 -2/3 -2/3 1/6 1/6 1 ]
          [ 0   ab^2 -b^2  -a    1  0 ]     numbers   [ 1  -a   a^2 -a^3  a^4 ]
          [ 0  -a^2b -a^2   b    1  0 ]               [ 1   b   b^2  b^3  b^4 ]     A = values of the outputs
          [ 0   a^2b -a^2  -b    1  0 ]               [ 1  -b   b^2 -b^3  b^4 ]
          [ 0    1     0  -5/2   0  1 ]               [ 0   0    0    0   1   ]     A^T, G^T: moments, the adjoint

The values of fewer numbers have fewer powers; at infinity, the value is the last number. So F(4x4, 3x3) and
F(2x2, 5x5) differ in nothing but how many outputs and taps there are: 4 + 3 - 1 = 2 + 5 - 1 = 6.

The points are not the usual 0, +-1, +-2: those powers spread from 1 to 16 and lose five times as many digits (measured
for 3 x 3 over 16 to 512 channels: a largest error of 1.5e-5 .. 7e-5 of the result's standard deviation against
0.4e-5 .. 1.4e-5). Because the points come in pairs, each pair of rows is an even part plus and minus an odd part.
"""

from functools import cache
from typing import Any, NamedTuple

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import both_ways, lanes, load_grid, plus, store_grid, sum_vectors

POINTS = 6  # values that are multiplied, along a side; also the inputs of a tile
FREQUENCIES = POINTS * POINTS  # products a tile, named as those of Fourier's transform would be

A = 0.5**0.5
B = 2.0**0.5
A2, B2 = 0.5, 2.0
A3, B3 = A * A2, B * B2
A4, B4 = A2 * A2, B2 * B2

Vector = Any
Two = tuple[Vector, Vector]
Three = tuple[Vector, Vector, Vector]
Four = tuple[Vector, Vector, Vector, Vector]
Five = tuple[Vector, Vector, Vector, Vector, Vector]
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


# ---- values of the polynomials y0 + y1 p + y2 p^2 + ... at the points p, and the adjoints


@kernel
def values_of_two(y0: Vector, y1: Vector) -> Six:
    """Two numbers as the values of their polynomial at the points."""
    odd_a, odd_b = A * y1, B * y1
    return y0, y0 + odd_a, y0 - odd_a, y0 + odd_b, y0 - odd_b, y1


@kernel
def values_of_three(y0: Vector, y1: Vector, y2: Vector) -> Six:
    """Three numbers as the values of their polynomial at the points."""
    even_a, odd_a = y0 + A2 * y2, A * y1
    even_b, odd_b = y0 + B2 * y2, B * y1
    return y0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, y2


@kernel
def values_of_four(y0: Vector, y1: Vector, y2: Vector, y3: Vector) -> Six:
    """Four numbers as the values of their polynomial at the points."""
    even_a, odd_a = y0 + A2 * y2, A * (y1 + A2 * y3)
    even_b, odd_b = y0 + B2 * y2, B * (y1 + B2 * y3)
    return y0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, y3


@kernel
def values_of_five(y0: Vector, y1: Vector, y2: Vector, y3: Vector, y4: Vector) -> Six:
    """Five numbers as the values of their polynomial at the points."""
    even_a, odd_a = y0 + (A2 * y2 + A4 * y4), A * (y1 + A2 * y3)
    even_b, odd_b = y0 + (B2 * y2 + B4 * y4), B * (y1 + B2 * y3)
    return y0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, y4


@kernel
def two_moments(m0: Vector, m1: Vector, m2: Vector, m3: Vector, m4: Vector, m5: Vector) -> Two:
    """The adjoint of `values_of_two`: the sums over the points p of m and m p."""
    return m0 + ((m1 + m2) + (m3 + m4)), m5 + (A * (m1 - m2) + B * (m3 - m4))


@kernel
def three_moments(m0: Vector, m1: Vector, m2: Vector, m3: Vector, m4: Vector, m5: Vector) -> Three:
    """The adjoint of `values_of_three`: the sums over the points p of m, m p, and m p^2."""
    even_a, odd_a = m1 + m2, m1 - m2
    even_b, odd_b = m3 + m4, m3 - m4
    return m0 + (even_a + even_b), A * odd_a + B * odd_b, m5 + (A2 * even_a + B2 * even_b)


@kernel
def four_moments(m0: Vector, m1: Vector, m2: Vector, m3: Vector, m4: Vector, m5: Vector) -> Four:
    """The adjoint of `values_of_four`: the sums over the points p of m, m p, m p^2, and m p^3."""
    even_a, odd_a = m1 + m2, m1 - m2
    even_b, odd_b = m3 + m4, m3 - m4
    return (
        m0 + (even_a + even_b),
        A * odd_a + B * odd_b,
        A2 * even_a + B2 * even_b,
        m5 + (A3 * odd_a + B3 * odd_b),
    )


@kernel
def five_moments(m0: Vector, m1: Vector, m2: Vector, m3: Vector, m4: Vector, m5: Vector) -> Five:
    """The adjoint of `values_of_five`: the sums over the points p of m, m p, m p^2, m p^3, and m p^4."""
    even_a, odd_a = m1 + m2, m1 - m2
    even_b, odd_b = m3 + m4, m3 - m4
    return (
        m0 + (even_a + even_b),
        A * odd_a + B * odd_b,
        A2 * even_a + B2 * even_b,
        A3 * odd_a + B3 * odd_b,
        m5 + (A4 * even_a + B4 * even_b),
    )


@kernel
def normalised(u0: Vector, u1: Vector, u2: Vector, u3: Vector, u4: Vector, u5: Vector) -> Six:
    """Each divided by the product of the differences between its point and the others."""
    return u0, u1 * (-2.0 / 3.0), u2 * (-2.0 / 3.0), u3 * (1.0 / 6.0), u4 * (1.0 / 6.0), u5


VALUES = {2: values_of_two, 3: values_of_three, 4: values_of_four, 5: values_of_five}
MOMENTS = {2: two_moments, 3: three_moments, 4: four_moments, 5: five_moments}


# ---- both sides of a tile, between memory and memory


class Method(NamedTuple):
    """F(tile x tile, taps x taps): how many outputs a tile has along a side, and how many taps a kernel."""

    tile: int
    taps: int

    @property
    def halo(self) -> int:
        """Inputs along a side of a tile that it has beyond its outputs."""
        return self.taps - 1


METHODS = {taps: Method(POINTS + 1 - taps, taps) for taps in (3, 5)}


class Transforms(NamedTuple):
    """The transforms of one method."""

    weight: Any
    output: Any
    adjoint_output: Any
    adjoint_weight: Any


@kernel
def transform_input(image: Array, index: int, line: int, v: Array, place: int, step: int) -> None:
    """v = B^T d B: 6 x 6 pixels from image[index] on, lines `line` apart, to 36 places `step` apart."""
    d = load_grid(image, index, line, lanes(image), POINTS, POINTS)
    store_grid(v, place, POINTS * step, step, both_ways(b_transpose, d))


@cache
def transforms(method: Method) -> Transforms:
    """The transforms of a method, each compiled when a kernel first uses it."""
    tile, taps = method
    values_of_taps, values_of_outputs = VALUES[taps], VALUES[tile]
    moments_of_taps, moments_of_outputs = MOMENTS[taps], MOMENTS[tile]

    @kernel
    def weight(g: Array, index: int, step_tap: int, u: Array, place: int, step: int) -> None:
        """u = G g G^T: taps x taps from g[index] on, `step_tap` apart, to 36 places `step` apart."""
        values = both_ways(values_of_taps, load_grid(g, index, taps * step_tap, step_tap, taps, taps))
        store_grid(u, place, POINTS * step, step, both_ways(normalised, values))

    @kernel
    def output(m: Array, place: int, step: int, bias: Vector, image: Array, index: int, line: int) -> Vector:
        """A^T m A + bias: from 36 places `step` apart to a tile of pixels from image[index] on. Returns their sum."""
        y = both_ways(moments_of_outputs, load_grid(m, place, POINTS * step, step, POINTS, POINTS))
        pixels = plus(y, bias)
        store_grid(image, index, line, lanes(image), pixels)
        return sum_vectors(pixels)

    @kernel
    def adjoint_output(image: Array, index: int, line: int, m: Array, place: int, step: int) -> None:
        """m = A y A^T: a tile of pixels from image[index] on, lines `line` apart, to 36 places `step` apart."""
        y = load_grid(image, index, line, lanes(image), tile, tile)
        store_grid(m, place, POINTS * step, step, both_ways(values_of_outputs, y))

    @kernel
    def adjoint_weight(u: Array, place: int, step: int, g: Array, index: int, step_tap: int) -> Vector:
        """G^T u G: from 36 places `step` apart to taps x taps from g[index] on. Returns the sum of all."""
        values = both_ways(normalised, load_grid(u, place, POINTS * step, step, POINTS, POINTS))
        gradients = both_ways(moments_of_taps, values)
        store_grid(g, index, taps * step_tap, step_tap, gradients)
        return sum_vectors(gradients)

    return Transforms(weight, output, adjoint_output, adjoint_weight)
