"""Winograd's convolution in plain NumPy: where the matrices come from, and that they compute a convolution.

Three taps g and six inputs d give four outputs y[i] = g[0] d[i] + g[1] d[i + 1] + g[2] d[i + 2]. Read backwards (by
transposition) this is a product of polynomials: g of degree 2 and y of degree 3 give d of degree 5. A polynomial
of degree 5 is known by its values at six points, and values of products are products of values. So six
multiplications are enough where the definition has twelve, and on both axes of an image 36 instead of 144. Five taps
and two outputs make degree 5 as well: 36 multiplications instead of 100.

    y = A^T [ (G g) * (B^T d) ]              Y = A^T [ (G g G^T) * (B^T d B) ] A

    A^T   outputs x 6  values of the powers 1, x, x^2, ... at the points; at infinity only the highest power counts
    G     6 x taps     values of the same, divided by N_i = product over j != i of (p_i - p_j), as Lagrange does
    B^T   6 x 6        the coefficients of the polynomials that vanish at all finite points but one, and, for infinity,
                       of the one that vanishes at all of them

Any points will do in exact arithmetic. In floating point their powers should neither grow nor shrink; `POINTS` were
chosen by measurement. Sources: S. Winograd, "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray, "Fast
Algorithms for Convolutional Neural Networks", 2015, https://arxiv.org/abs/1509.09308; on points B. Barabasz, A.
Anderson, K. Soodhalter and D. Gregg, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
Neural Networks", 2018, https://arxiv.org/abs/1803.10986.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]
Padding = Sequence[tuple[int, int]]

INPUTS = 6  # = outputs + taps - 1

POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2.0**0.5, -(2.0**0.5))  # and infinity


def matrices(taps: int = 3, points: Sequence[float] = POINTS) -> tuple[Array, Array, Array]:
    """B^T (6, 6), G (6, taps) and A^T (7 - taps, 6) in float64, for five finite points, all different, and infinity."""
    outputs = INPUTS + 1 - taps
    others = [[q for q in points if q != p] for p in points]
    b_transpose = np.zeros((INPUTS, INPUTS))
    for i, rest in enumerate(others):
        b_transpose[i, :-1] = np.poly(rest)[::-1]
    b_transpose[-1] = np.poly(points)[::-1]
    g = np.zeros((INPUTS, taps))
    for i, (p, rest) in enumerate(zip(points, others, strict=True)):
        g[i] = [p**power / np.prod([p - q for q in rest]) for power in range(taps)]
    g[-1, -1] = 1.0
    a_transpose = np.zeros((outputs, INPUTS))
    a_transpose[:, :-1] = [[p**power for p in points] for power in range(outputs)]
    a_transpose[-1, -1] = 1.0
    return b_transpose, g, a_transpose


def tile(d: Array, g: Array, points: Sequence[float] = POINTS) -> Array:
    """Y (..., 4, 4) from inputs d (..., 6, 6) and taps g (..., 3, 3), or (..., 2, 2) from 5 x 5, in their own dtype."""
    b_transpose, g_matrix, a_transpose = (matrix.astype(d.dtype) for matrix in matrices(g.shape[-1], points))
    u, v = g_matrix @ g @ g_matrix.T, b_transpose @ d @ b_transpose.T
    return np.asarray(a_transpose @ (u * v) @ a_transpose.T)


def forward(x: Array, weight: Array, padding: Padding) -> Array:
    """The convolution (N, K, H', W') of x (N, C, H, W) with weight (K, C, taps, taps), stride 1, tile by tile.

    padding is (before, after) for H and W, before >= 0; a negative `after` leaves out pixels at the end.
    """
    taps = weight.shape[-1]
    outputs = INPUTS + 1 - taps
    sizes = [n + sum(pads) - taps + 1 for n, pads in zip(x.shape[2:], padding, strict=True)]
    down, wide = (-(-size // outputs) for size in sizes)
    (top, _), (left, _) = padding
    padded = np.zeros((*x.shape[:2], down * outputs + taps - 1, wide * outputs + taps - 1), x.dtype)
    seen = x[:, :, : max(0, padded.shape[2] - top), : max(0, padded.shape[3] - left)]
    padded[:, :, top : top + seen.shape[2], left : left + seen.shape[3]] = seen
    tiles = sliding_window_view(padded, (INPUTS, INPUTS), axis=(2, 3))[:, :, ::outputs, ::outputs]
    y = np.zeros((len(x), len(weight), down, wide, outputs, outputs), x.dtype)
    for c in range(x.shape[1]):
        y += tile(tiles[:, None, c], weight[:, c, None, None])
    images = y.swapaxes(3, 4).reshape(len(x), len(weight), down * outputs, wide * outputs)
    return np.ascontiguousarray(images[:, :, : sizes[0], : sizes[1]])
