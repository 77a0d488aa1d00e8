"""Which files make up the full MNIST, how to recognise them, and where they live on this machine."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

from .errors import DataError


class IdxFile(NamedTuple):
    """One file of a data set: its name without `.gz`, the shape it must hold, and a hash that identifies it.

    The hash is the SHA-256 of the *unpacked* content. The same digits packed by another gzip give other
    bytes on disk, so a hash of the `.gz` would refuse perfectly good copies.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def content_bytes(self) -> int:
        """Size of the unpacked file: 4 bytes of magic number, 4 per dimension, 1 per value."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)

    def find(self, folder: Path) -> Path | None:
        """The file inside `folder`, packed or not, or None. Some archives write `.idx3` for `-idx3`."""
        names = (f"{self.name}.gz", self.name, self.name.replace("-idx", ".idx"))
        return next((folder / name for name in names if (folder / name).exists()), None)


class MnistFiles(NamedTuple):
    """The four files of MNIST."""

    train_images: IdxFile
    train_labels: IdxFile
    test_images: IdxFile
    test_labels: IdxFile

    def locate(self, folder: Path) -> list[Path]:
        """The four paths inside `folder`, in the order of the fields.

        Raises:
            DataError: some are not there; the message names them all.
        """
        if missing := [file.name for file in self if file.find(folder) is None]:
            raise DataError(f"{folder} has no {', '.join(missing)} (.gz or unpacked)")
        return [path for file in self if (path := file.find(folder))]


MNIST_FILES = MnistFiles(
    train_images=IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    train_labels=IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    test_images=IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    test_labels=IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def data_folder() -> Path:
    """Where downloaded data lives: `$MINIGRAD_DATA` if set, else this platform's cache folder for the user.

    The cache folder is `%LOCALAPPDATA%\\minigrad` on Windows, `~/Library/Caches/minigrad` on macOS, and
    `$XDG_CACHE_HOME/minigrad` or `~/.cache/minigrad` elsewhere. The folder need not exist yet.

    Raises:
        DataError: no home folder is known, so there is no sensible place.
    """
    try:
        if chosen := os.environ.get("MINIGRAD_DATA"):
            return Path(chosen).expanduser().absolute()
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData" / "Local") / "minigrad"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "minigrad"
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification says that a relative path counts as not set.
        return (cache if cache.is_absolute() else Path.home() / ".cache") / "minigrad"
    except RuntimeError as error:  # what pathlib raises when it cannot tell who the user is
        raise DataError(
            f"no home folder is known ({error}); set MINIGRAD_DATA to the folder that data should go to"
        ) from error


def mnist_folder() -> Path:
    """Where the four full MNIST files live: the folder `mnist` inside `data_folder()`."""
    return data_folder() / "mnist"
