"""The digits as a network eats them: floats between 0 and 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import mnist
from .batches import as_float


class Digits(NamedTuple):
    """Digits as float32 in [0, 1], of shape (N, 784) or (N, 1, 28, 28), with their labels (N,) int64."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_digits(full: bool = False, flat: bool = True) -> Digits:
    """Load the shipped digits (5,000 and 1,000), or the whole of MNIST; `flat` for linear layers.

    Raises:
        DataError: as `mnist.load`.
    """
    digits = mnist.load(full=full)
    train, test = (as_float(images, flat) for images in (digits.train_images, digits.test_images))
    return Digits(train, digits.train_labels, test, digits.test_labels)
