"""Make the MNIST subset that ships with minigrad: `python -m lessons.data.make_mnist_subset --from DIR`.

Every class keeps its share of the source: a drawn subset of MNIST is as slightly unbalanced as MNIST is.
Training digits come from the training files only, test digits from the test files only, and both are
stored in a shuffled order. The same seed and the same files give the same bytes, run after run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np

from .errors import DataError
from .mnist import MNIST, SUBSET_NAME, load_idx

SEED = 1998  # the year of the paper
TRAIN, TEST = 5_000, 1_000


def class_quotas(labels: np.ndarray, size: int) -> np.ndarray:
    """How many of each class to draw so that `size` digits have the class shares of `labels`.

    Fractions are settled by largest remainder: round down, then give the leftover places to the classes
    that lost most. Returns counts (10,) that sum to `size`.
    """
    shares = np.bincount(labels, minlength=10) * size / len(labels)
    quotas = np.floor(shares).astype(np.int64)
    losers = np.argsort(quotas - shares, kind="stable")
    quotas[losers[: size - quotas.sum()]] += 1
    return quotas


def draw(rng: np.random.Generator, labels: np.ndarray, size: int) -> np.ndarray:
    """Indices (size,) of a stratified draw without replacement from `labels` (N,), in random order."""
    chosen = [
        rng.choice(np.flatnonzero(labels == digit), quota, replace=False)
        for digit, quota in enumerate(class_quotas(labels, size))
    ]
    return rng.permutation(np.concatenate(chosen))


def draw_subset(source: MNIST, train: int = TRAIN, test: int = TEST, seed: int = SEED) -> MNIST:
    """The subset: `train` digits of the source's training part and `test` digits of its test part."""
    rng = np.random.default_rng(seed)
    i = draw(rng, source.train_labels, train)
    j = draw(rng, source.test_labels, test)
    return MNIST(source.train_images[i], source.train_labels[i], source.test_images[j], source.test_labels[j])


def pack(subset: MNIST) -> bytes:
    """The content of an `.npz` file, labels as uint8. Unlike `np.savez_compressed`, no clock gets in."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in subset._asdict().items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array.astype(np.uint8), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the same on every platform
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Write the subset and print its size, class counts and the SHA-256 to record in mnist.py."""
    parser = argparse.ArgumentParser(prog="python -m lessons.data.make_mnist_subset", description=__doc__)
    parser.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="DIR", help="folder of the four IDX files"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_name(SUBSET_NAME), help="file to write (%(default)s)"
    )
    arguments = parser.parse_args(argv)
    try:
        subset = draw_subset(load_idx(arguments.source))
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    packed = pack(subset)
    temporary = arguments.out.with_name(arguments.out.name + ".part")
    try:
        temporary.write_bytes(packed)
        os.replace(temporary, arguments.out)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{arguments.out}: {len(packed):,} bytes")
    print(f"training digits per class: {np.bincount(subset.train_labels).tolist()}")
    print(f"test digits per class:     {np.bincount(subset.test_labels).tolist()}")
    print(f'SUBSET_SHA256 = "{hashlib.sha256(packed).hexdigest()}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
