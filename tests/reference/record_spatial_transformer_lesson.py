"""Record what PyTorch says about a fixed scene of the lesson on spatial transformers.

Run it where PyTorch and minigrad are installed:

    python tests/reference/record_spatial_transformer_lesson.py

It writes lessons/vision/spatial_transformer_torch.npz: the scene, torch's grid and output, and its gradients at the
grid and at theta, in float64, with the version of torch. Record again only when the scene changes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from lessons.vision.spatial_transformer import library_scene

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "vision" / "spatial_transformer_torch.npz"


def inputs() -> dict[str, np.ndarray]:
    """Three images of two channels, 7 x 10, seen through maps that reach outside, on a grid of 5 x 8."""
    rng = np.random.default_rng(2015)
    return {
        "u": rng.normal(size=(3, 2, 7, 10)),
        "theta": np.eye(2, 3) + 0.35 * rng.normal(size=(3, 2, 3)),
        "dv": rng.normal(size=(3, 2, 5, 8)),
    }


def record() -> dict[str, np.ndarray]:
    """Return the scene and what torch computes from it."""
    given = inputs()
    return given | library_scene(torch, **given) | {"torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
