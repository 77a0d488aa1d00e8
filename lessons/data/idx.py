"""Read IDX, the file format of MNIST, and refuse by name everything that is not quite right.

An IDX file is: two zero bytes, one byte for the type of the values (8 is uint8), one byte for the number of
dimensions, each dimension as a big-endian 32-bit integer, and then the values, last dimension fastest. It
may be packed with gzip; we look at the first bytes, not at the file's name.

A header is a claim. The reader checks it against a bound before it makes room for the values, and against
the bytes that really follow, so a damaged or hostile file costs an error message and no memory.

Source: Yann LeCun, Corinna Cortes, Christopher J.C. Burges, "The MNIST database of handwritten digits",
section "File formats", http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import DataError

MAX_BYTES = 256 * 2**20  # five times the largest MNIST file
CHUNK = 2**20

_UINT8 = 0x08
_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_KINDS = {1: "1 dimension (labels)", 3: "3 dimensions (images)"}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, ndim: int, sha256: str | None = None) -> np.ndarray:
    """Read one IDX file of uint8 values, packed with gzip or not.

    Args:
        path: the file.
        ndim: the number of dimensions that it must have: 3 for images, 1 for labels.
        sha256: if given, the hash that the unpacked content must have.

    Returns:
        A read-only uint8 array with the shape in the file's header.

    Raises:
        DataError: the file is missing, not a file, empty, not IDX, of another type or number of dimensions,
            larger than `MAX_BYTES`, truncated, too long, damaged, or not the one with that hash.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_file():
        raise DataError(f"{path}: {'a folder' if path.is_dir() else 'not a regular file'}, expected an IDX file")
    try:
        with path.open("rb") as raw:
            if not is_packed(raw):
                return _parse(raw, path, ndim, sha256)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _parse(unpacked, path, ndim, sha256)
    except EOFError as error:
        raise DataError(f"{path}: truncated, the gzip data stops before its end") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip data ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def read_pair(
    images: Path, labels: Path, images_sha256: str | None = None, labels_sha256: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of digits and the file of their labels, and check that they belong together.

    Returns:
        Images (N, 28, 28) uint8 and labels (N,) uint8 in 0..9, both read-only.

    Raises:
        DataError: as `read_idx`; or the images are not 28 x 28, the counts differ, or a label is above 9.
    """
    digits = read_idx(images, 3, images_sha256)
    answers = read_idx(labels, 1, labels_sha256)
    if digits.shape[1:] != (28, 28):
        rows, columns = digits.shape[1:]
        raise DataError(f"{images}: holds images of {rows} x {columns} pixels, expected 28 x 28")
    if len(digits) != len(answers):
        raise DataError(
            f"{images} holds {len(digits)} images but {labels} holds {len(answers)} labels; "
            "they are not from the same set"
        )
    if len(answers) and answers.max() > 9:
        where = int(np.argmax(answers > 9))
        raise DataError(f"{labels}: label {answers[where]} at position {where}, expected 0 to 9")
    return digits, answers


def is_packed(stream: BinaryIO) -> bool:
    """Whether an open file starts like gzip; leaves it at its beginning."""
    start = stream.read(len(_GZIP_MAGIC))
    stream.seek(0)
    return start == _GZIP_MAGIC


def _parse(stream: BinaryIO | gzip.GzipFile, path: Path, ndim: int, sha256: str | None) -> np.ndarray:
    magic = _take(stream, 4)
    if not magic:
        raise DataError(f"{path}: the file is empty")
    if magic[:2] != b"\0\0"[: len(magic)]:
        raise DataError(f"{path}: not an IDX file, it starts with {bytes(magic)!r} instead of two zero bytes")
    if len(magic) < 4:
        raise DataError(f"{path}: truncated inside the header, only {len(magic)} bytes")
    if magic[2] != _UINT8:
        raise DataError(f"{path}: holds {_TYPES.get(magic[2], f'unknown type 0x{magic[2]:02x}')}, expected uint8")
    if magic[3] != ndim:
        have, want = (_KINDS.get(n, f"{n} dimensions") for n in (magic[3], ndim))
        raise DataError(f"{path}: has {have}, expected {want}")
    sizes = _take(stream, 4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: truncated inside the header, only {4 + len(sizes)} bytes")
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * ndim, 4))
    claimed = math.prod(shape)
    if claimed > MAX_BYTES:
        raise DataError(
            f"{path}: the header claims {' x '.join(map(str, shape))} values = {claimed:,} bytes, "
            f"more than the {MAX_BYTES:,} that we read; the file is damaged or not MNIST"
        )
    # One byte more than claimed: a longer file is noticed, and gzip gets to the checksum at its end.
    values = _take(stream, claimed + 1)
    if len(values) < claimed:
        raise DataError(f"{path}: truncated, {len(values):,} of the {claimed:,} values that its header claims")
    if len(values) > claimed:
        raise DataError(f"{path}: too long, more bytes follow the {claimed:,} values that its header claims")
    if sha256 is not None:
        digest = hashlib.sha256(magic + sizes)
        digest.update(values)
        if digest.hexdigest() != sha256:
            raise DataError(
                f"{path}: not the expected file: the SHA-256 of its content is {digest.hexdigest()}, expected {sha256}"
            )
    array = np.frombuffer(values, np.uint8).reshape(shape)
    array.flags.writeable = False
    return array


def _take(stream: BinaryIO | gzip.GzipFile | gzip.GzipFile, size: int) -> bytearray:
    """Up to `size` bytes, fewer only at the end; grows with what is really there, not with what is asked."""
    taken = bytearray()
    while len(taken) < size:
        chunk = stream.read(min(CHUNK, size - len(taken)))
        if not chunk:
            break
        taken += chunk
    return taken
