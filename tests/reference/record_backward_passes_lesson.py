"""Record what PyTorch says about the fixed problems of the lesson on backward passes.

Run it where PyTorch and minigrad are installed:

    python tests/reference/record_backward_passes_lesson.py

It writes lessons/foundations/backward_passes_torch.npz: the gradients of each layer at the first random problem of
its exercise, in float64, with the version of torch. Record again only when these problems change.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from lessons.foundations.backward_passes import library_gradients

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "foundations" / "backward_passes_torch.npz"


def record() -> dict[str, np.ndarray]:
    """Return torch's gradients by name, and its version."""
    return library_gradients(torch) | {"torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
