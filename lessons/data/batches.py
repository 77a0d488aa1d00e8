"""From stored digits to what a network eats: float images, and shuffled minibatches of indices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.errors import ArgumentError


def as_float(images: np.ndarray, flat: bool = True) -> np.ndarray:
    """Scale uint8 images (N, H, W) to float32 in [0, 1].

    Returns:
        (N, H * W) for linear layers, or (N, 1, H, W) for convolutions if `flat` is False.

    Raises:
        ArgumentError: the images are not uint8 of shape (N, H, W); floats would be scaled a second time.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ArgumentError(f"expected uint8 images of shape (N, H, W), got {images.dtype} of shape {images.shape}")
    n, height, width = images.shape
    shaped = images.reshape((n, height * width) if flat else (n, 1, height, width))
    scaled: np.ndarray = shaped.astype(np.float32) / np.float32(255)
    return scaled


def halved(images: np.ndarray, dtype: type[np.floating] = np.float64) -> np.ndarray:
    """Digits at half their size, each pixel the mean of four: for trainings that take a second.

    Args:
        images: floats, 28 x 28 pixels each, of any shape that begins with N.
        dtype: of the result, and of the sums.

    Returns:
        shape (N, 14, 14).
    """
    small: np.ndarray = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype=dtype)
    return small


def minibatches(rng: np.random.Generator, n: int, batch_size: int, drop_last: bool = False) -> Iterator[np.ndarray]:
    """One pass over n items in a fresh random order: yields index arrays of `batch_size` items.

    The last array holds the rest, unless `drop_last`. The names are those of torch.utils.data.DataLoader.

    Raises:
        ArgumentError: `batch_size` is not positive, or `n` is negative.
    """
    if batch_size < 1 or n < 0:
        raise ArgumentError(f"expected n >= 0 and batch_size >= 1, got n={n} and batch_size={batch_size}")
    stop = n - n % batch_size if drop_last else n
    order = rng.permutation(n)
    return (order[start : start + batch_size] for start in range(0, stop, batch_size))
