"""Saving state dicts as `.npz` files: arrays by name, readable by NumPy alone, with no code inside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, MinigradError
from .tensor import Tensor, tensor


def save(state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write tensors by name to an `.npz` file; an interrupted write leaves the old file as it was.

    Raises:
        ArgumentTypeError: if `state` is not a mapping from names to tensors.
    """
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise ArgumentTypeError("save: expected a mapping from names to Tensors, such as model.state_dict()")
    import tempfile
    import zipfile

    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        # The parameter names are archive members, not keyword arguments: "file" is a legal name for one.
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, tensor in state.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, tensor._array, allow_pickle=False)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save` wrote, as a dictionary of tensors. Nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ArgumentError: if it is not an `.npz` file of plain arrays.
        DtypeError: if an array is not of a supported dtype.
    """
    with open(path, "rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ArgumentError(
                    f"load: {path} holds a single array, expected an .npz file written by minigrad.save"
                )
            with archive:
                return {name: tensor(archive[name]) for name in archive.files}
        except MinigradError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy meet a damaged file with about ten different classes
            raise ArgumentError(
                f"load: {path} is not a readable .npz file of arrays ({error}); it may be truncated"
            ) from error
