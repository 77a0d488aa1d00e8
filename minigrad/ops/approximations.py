"""Special functions that NumPy lacks, for arrays: rational and asymptotic approximations, accurate to rounding.

Sources: W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969),
631-637, https://doi.org/10.1090/S0025-5718-1969-0247736-4; M. Abramowitz and I. Stegun, "Handbook of Mathematical
Functions" (1964), https://personal.math.ubc.ca/~cbm/aands/: 6.1.40 and 6.4.11 (asymptotic series), 6.4.6 (recurrence),
6.4.7 (reflection); S. Winitzki, "A handy approximation for the error function and its inverse" (2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..dtypes import Array

# Numerators and denominators of Cody's three approximations, highest power first.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_FAR = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip
_NEAR_LIMIT, _FAR_LIMIT = 0.46875, 4.0
_ERFC_IS_ZERO = 28.0  # also among the subnormal numbers of float64


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's scheme, highest power first."""
    total = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        total *= x
        total += c
    return total


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], x: Array) -> Array:
    return _polynomial(coefficients[0], x) / _polynomial(coefficients[1], x)


def _erf_near_zero(x: Array) -> Array:
    return x * _ratio(_NEAR, x * x)


def _erfc_beyond(x: Array) -> Array:
    """erfc for x > _NEAR_LIMIT; smaller ones only pass through."""
    scaled = _ratio(_MIDDLE, x)  # erfc(x) * exp(x * x)
    far = x > _FAR_LIMIT
    if far.any():
        z = 1 / np.square(np.where(far, x, 1))
        scaled = np.where(far, (1 / math.sqrt(math.pi) - z * _ratio(_FAR, z)) / x, scaled)
    # The square of a number with few digits is exact, so the large exponent has no rounding error.
    head = np.trunc(x * 16) / 16
    return np.exp(-head * head) * np.exp((head - x) * (head + x)) * scaled


def erf(x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x."""
    if x.dtype == np.float16:
        return erf(x.astype(np.float32)).astype(np.float16)
    x = np.clip(x, -_ERFC_IS_ZERO, _ERFC_IS_ZERO)
    distance = np.abs(x)
    # All elements take both ways: selecting those that need one would cost more than the arithmetic.
    beyond = np.copysign(1 - _erfc_beyond(distance), x)
    return np.where(distance <= _NEAR_LIMIT, _erf_near_zero(x), beyond)


def erfc(x: Array) -> Array:
    """1 - erf(x), without cancellation where erf(x) is nearly 1."""
    if x.dtype == np.float16:
        return erfc(x.astype(np.float32)).astype(np.float16)
    x = np.clip(x, -_ERFC_IS_ZERO, _ERFC_IS_ZERO)
    distance = np.abs(x)
    tail = _erfc_beyond(distance)
    beyond = np.where(x < 0, 2 - tail, tail)
    return np.where(distance <= _NEAR_LIMIT, 1 - _erf_near_zero(x), beyond)


def erfinv(x: Array) -> Array:
    """The y with erf(y) = x: Winitzki's approximation, refined by Halley's method."""
    goal = np.abs(x.astype(np.float64))
    missing = 1 - goal  # for y near infinity this has digits left, erf(y) has none
    logarithm = np.log(missing * (1 + goal))
    middle = 2 / (math.pi * 0.147) + logarithm / 2
    y = np.sqrt(np.sqrt(middle * middle - logarithm / 0.147) - middle)
    for _ in range(3):
        error = np.where(goal < 0.5, erf(y) - goal, missing - erfc(y))
        newton = error * np.exp(y * y) * (math.sqrt(math.pi) / 2)
        y = y - newton / (1 + y * newton)
    y = np.where(goal == 1, np.inf, y)
    return np.copysign(y, x).astype(x.dtype)


# --- the gamma function -------------------------------------------------------------------------------------------

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
_ASYMPTOTIC_FROM = 12  # where the series below have converged to rounding


def _asymptotic_series(factors: Sequence[float], x: Array) -> Array:
    """The sum of B(2k) * factor(k) / x**(2k) over k = 1, 2, ...: B(2k) are Bernoulli's numbers."""
    z = 1 / (x * x)
    return z * _polynomial([b * f for b, f in zip(_BERNOULLI, factors, strict=True)][::-1], z)


def lgamma(x: Array) -> Array:
    """The logarithm of the absolute value of gamma(x)."""
    wide = x.astype(np.float64)
    reflected = wide <= 0
    y = np.where(reflected, 1 - wide, wide)
    product = np.ones_like(y)
    for _ in range(_ASYMPTOTIC_FROM):  # gamma(y) = gamma(y + 1) / y
        low = y < _ASYMPTOTIC_FROM
        product *= np.where(low, y, 1)
        y = y + low
    series = y * _asymptotic_series([1 / (2 * k * (2 * k - 1)) for k in range(1, 11)], y)
    log_gamma = y * (np.log(y) - 1) - np.log(y) / 2 + math.log(2 * math.pi) / 2 + series - np.log(product)
    sine = np.abs(np.sin(np.pi * (wide - np.round(wide))))
    log_gamma = np.where(reflected, np.log(np.pi / sine) - log_gamma, log_gamma)
    log_gamma = np.where((wide == 1) | (wide == 2), 0.0, log_gamma)  # gamma is 1 there: no rounding is left over
    return np.where(np.isinf(wide), np.inf, log_gamma).astype(x.dtype)


def polygamma(n: int, x: Array) -> Array:
    """The derivative of order n + 1 of log(gamma(x))."""
    wide = x.astype(np.float64)
    reflected = wide <= 0
    y = np.where(reflected, 1 - wide, wide)
    sign = -1.0 if n % 2 == 0 else 1.0
    start = _ASYMPTOTIC_FROM + n
    total = np.zeros_like(y)
    for _ in range(start):  # polygamma(n, y) = polygamma(n, y + 1) + sign * n! / y**(n + 1)
        low = y < start
        total += np.where(low, math.factorial(n) / y ** (n + 1), 0)
        y = y + low
    total += math.factorial(n) / (2 * y ** (n + 1))
    total += _asymptotic_series([_rising(2 * k, n) for k in range(1, 11)], y) / y**n
    total += math.factorial(n - 1) / y**n if n else -np.log(y)
    total *= sign
    cotangent = np.poly1d([np.pi, 0])
    for _ in range(n):  # the derivative of cot(pi x) is -pi (1 + cot(pi x)**2)
        cotangent = cotangent.deriv() * np.poly1d([-np.pi, 0, -np.pi])
    cotangents = _polynomial(cotangent.coeffs.tolist(), 1 / np.tan(np.pi * (wide - np.round(wide))))
    total = np.where(reflected, -sign * total - cotangents, total)
    pole = reflected & (wide == np.round(wide))
    return np.where(pole, _at_pole(n, sign, wide), total).astype(x.dtype)


def _rising(m: int, n: int) -> float:
    """(m + n - 1)! / m!"""
    return math.factorial(m + n - 1) / math.factorial(m)


def _at_pole(n: int, sign: float, x: Array) -> Array:
    """At 0, -1, -2, ...: the sign of infinity depends on the side for even orders; PyTorch decides as here."""
    if n == 0:
        return np.where(x == 0, np.copysign(np.inf, -x), np.nan)
    return np.full_like(x, sign * np.inf)
