"""Record what PyTorch says about the fixed data of the lesson on affine maps and the bilinear sampler.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_affine_bilinear_lesson.py

It writes lessons/vision/affine_bilinear_torch.npz: images, maps, and torch's grids and samples in both conventions and
with both paddings, all float64, with the version of torch that produced them. The lesson compares itself with this file
on machines without torch, so record again only when the inputs change.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "vision" / "affine_bilinear_torch.npz"

OUTPUT = (6, 8)


def inputs() -> dict[str, np.ndarray]:
    """Draw images that are not square, and maps that look beyond their edges."""
    rng = np.random.default_rng(2017)
    thetas = np.array([[[0.9, -0.6, 0.3], [0.5, 1.1, -0.2]], [[-0.4, 0.3, -0.1], [0.2, 0.5, 0.6]]])
    return {"images": rng.uniform(1, 255, (2, 3, 5, 9)), "thetas": thetas}


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    images, thetas = torch.tensor(given["images"]), torch.tensor(given["thetas"])
    recorded = dict(given)
    for aligned, name in ((True, "aligned"), (False, "edges")):
        grid = torch.nn.functional.affine_grid(thetas, (*images.shape[:2], *OUTPUT), align_corners=aligned)
        recorded[f"{name}_grid"] = grid.numpy()
        for padding in ("zeros", "border"):
            read = torch.nn.functional.grid_sample(images, grid, "bilinear", padding, aligned)
            recorded[f"{name}_{padding}"] = read.numpy()
    return recorded | {"torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
