"""What a submission may use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What a submission may use; going over it ends its process with a status of its own.

    ``seconds``: how long its code may run, by the clock: to load, and then again for each check.  Time that the check
    itself takes in the parent does not count.  ``memory``: bytes that it may add to what Python and NumPy occupy.
    ``output``: bytes that it may print.  ``file_size``: bytes of a file that it writes.  ``reply``: bytes of one
    result.  ``confined``: run somebody else's file, so deny writes, network and processes wherever the system can
    (`Submission.isolation` tells); otherwise the file may do what it might when its author runs it.  ``readable``:
    files and folders that a confined submission may read besides its own file and the Python installation.

    Raises ``ValueError`` for a limit that is not positive.
    """

    seconds: float = 10.0
    memory: int = 2048 * MIB
    output: int = 8 * MIB
    file_size: int = 64 * MIB
    reply: int = 256 * MIB
    confined: bool = False
    readable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("seconds", "memory", "output", "file_size", "reply"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"Limits: {name} must be positive, got {value!r}")
