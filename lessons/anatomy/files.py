"""Writing a file so that an interrupt leaves the old file, the new file, or none: never half of one."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: first under a temporary name in the same folder, then ``os.replace``.

    The folder is made when it is missing.  Raises ``OSError`` as the file system reports it; whatever is
    raised, Ctrl-C included, the temporary file is gone afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
