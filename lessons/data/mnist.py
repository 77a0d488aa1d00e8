"""MNIST: 28 x 28 grey digits. A subset ships with minigrad; the full set is a download away.

    from lessons.data import mnist
    train_images, train_labels, test_images, test_labels = mnist.load()

Source: Yann LeCun, Corinna Cortes, Christopher J.C. Burges, "The MNIST database of handwritten digits",
http://yann.lecun.com/exdb/mnist/ (licence and changes: README.md beside this file).
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import DataError
from .files import MNIST_FILES, MnistFiles, mnist_folder
from .idx import read_pair

SUBSET_NAME = "mnist_subset.npz"
SUBSET_SHA256 = "b3230356334d28c27ca957a354692381e2895c2c175aa90aa00bea4cfb29858d"  # printed by make_mnist_subset


class MNIST(NamedTuple):
    """Digits with their labels; every array is read-only (`.copy()` gives one to write to)."""

    train_images: np.ndarray  # (N, 28, 28) uint8, 0 is paper and 255 is ink
    train_labels: np.ndarray  # (N,) int64, 0 to 9
    test_images: np.ndarray  # (M, 28, 28) uint8
    test_labels: np.ndarray  # (M,) int64


def load(full: bool = False, root: str | Path | None = None) -> MNIST:
    """Load MNIST from disk; never from the network.

    Args:
        full: False for the subset that ships (5,000 training and 1,000 test digits), True for all
            60,000 and 10,000.
        root: the folder to read from, if not the usual one: this package for the subset, `mnist_folder()`
            for the full set.

    Returns:
        MNIST(train_images (N, 28, 28) uint8, train_labels (N,) int64, test_images, test_labels), read-only.

    Raises:
        DataError: a file is missing (with the command that gets it) or is not the true one.
    """
    if full:
        return load_idx(mnist_folder() if root is None else Path(root))
    return _load_subset((Path(__file__).parent if root is None else Path(root)) / SUBSET_NAME)


def load_idx(folder: Path, files: MnistFiles | None = None) -> MNIST:
    """Load the four IDX files, packed or not, from one folder; `files` says what they must be.

    Raises:
        DataError: a file is missing or is not the one that its hash says.
    """
    files = MNIST_FILES if files is None else files
    try:
        train_images, train_labels, test_images, test_labels = files.locate(folder)
        digits, answers = read_pair(train_images, train_labels, files.train_images.sha256, files.train_labels.sha256)
        test_digits, test_answers = read_pair(
            test_images, test_labels, files.test_images.sha256, files.test_labels.sha256
        )
    except DataError as error:
        raise DataError(
            f"{error}\nTo get the full MNIST, type one of\n"
            "  minigrad data mnist              (downloads it)\n"
            "  minigrad data mnist --from DIR   (takes the files that you have in the folder DIR)"
        ) from error
    return MNIST(digits, _frozen(answers.astype(np.int64)), test_digits, _frozen(test_answers.astype(np.int64)))


def _load_subset(path: Path) -> MNIST:
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); it ships with minigrad: install minigrad again") from error
    digest = hashlib.sha256(packed).hexdigest()
    if digest != SUBSET_SHA256:
        raise DataError(
            f"{path}: damaged: its SHA-256 is {digest}, expected {SUBSET_SHA256}; "
            "it ships with minigrad: install minigrad again"
        )
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return MNIST(
            train_images=_frozen(arrays["train_images"]),
            train_labels=_frozen(arrays["train_labels"].astype(np.int64)),
            test_images=_frozen(arrays["test_images"]),
            test_labels=_frozen(arrays["test_labels"].astype(np.int64)),
        )


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
