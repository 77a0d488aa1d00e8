"""Somebody's result as a sum of the derivation's terms: coefficients, and what the terms leave unexplained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import Array

UNEXPLAINED = 1e-8  # a residual below this share of the result is rounding
CONDITION = 1e7  # of the terms, scaled to length one: above it, coefficients mean nothing


@dataclass(frozen=True)
class Fit:
    """Least squares at each setting of the sizes.

    `coefficients` has shape (settings, terms), `residual` is the largest distance at each setting as a share of the
    largest entry, and `condition` the worst condition number: how far the terms are from looking alike.
    """

    coefficients: Array
    residual: Array
    condition: float

    @property
    def explains(self) -> bool:
        return self.condition < CONDITION and bool(np.all(self.residual < UNEXPLAINED))


def fit(columns: Sequence[Array], yours: Sequence[Array]) -> Fit:
    """Fit each array of `yours`, one for a setting, by the columns of the matrix for that setting.

    Args:
        columns: for each setting a matrix (elements of all its draws, terms).
        yours: for each setting the elements of somebody's result in all its draws.
    """
    coefficients, residuals, worst = [], [], 1.0
    for matrix, target in zip(columns, yours, strict=True):
        lengths = np.sqrt((matrix**2).sum(axis=0))
        scaled = matrix / np.where(lengths > 0, lengths, 1.0)
        found, _, _, singular = np.linalg.lstsq(scaled, target, rcond=None)
        least = float(singular[-1]) if len(singular) == matrix.shape[1] and len(matrix) >= matrix.shape[1] else 0.0
        worst = max(worst, float(singular[0]) / least if least > 0 else np.inf)
        coefficients.append(found / np.where(lengths > 0, lengths, 1.0))
        scale = max(float(np.abs(target).max()), float(np.abs(matrix).max()) * 1e-3)
        residuals.append(float(np.abs(matrix @ coefficients[-1] - target).max()) / scale)
    return Fit(np.array(coefficients), np.array(residuals), worst)
