"""Noticing that memory has changed between the forward and the backward pass."""

from __future__ import annotations

import zlib

import numpy as np

from .dtypes import Array


class Storage:
    """The version of a piece of memory: shared by all views of it, created when it is first changed or shared.

    Memory that NumPy code can reach (`x.numpy()`, `from_numpy(a)`) can be changed without our knowing: from then on
    a checksum of it is compared wherever the version is asked for, so that a silent change becomes a new version.
    """

    __slots__ = ("checksum", "memory", "version")

    def __init__(self, memory: Array) -> None:
        self.memory = memory  # of the first tensor that asked; those that share it later are views within
        self.version = 0
        self.checksum: int | None = None  # None: no NumPy code has seen this memory

    def expose(self) -> None:
        if self.checksum is None:
            self.checksum = _checksum(self.memory)

    def changed(self) -> None:
        """Note a change that we made ourselves."""
        self.version += 1
        if self.checksum is not None:
            self.checksum = _checksum(self.memory)

    def current_version(self) -> int:
        if self.checksum is not None:
            checksum = _checksum(self.memory)
            if checksum != self.checksum:
                self.version, self.checksum = self.version + 1, checksum
        return self.version


class StorageGroup:
    """The memories of an op's several outputs, which are hidden behind one node."""

    __slots__ = ("parts",)

    def __init__(self, arrays: tuple[Array, ...]) -> None:
        self.parts = tuple(Storage(a) for a in arrays)

    def current_version(self) -> int:
        return sum([part.current_version() for part in self.parts])


def _checksum(memory: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(memory).view(np.uint8).data) if memory.size else 0
