"""Record what PyTorch says about the XNOR lesson's fixed data.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_xnor_lesson.py

It writes lessons/vision/xnor_torch.npz: the inputs, the scales, the straight-through gradient by torch's autograd, the
map K and a binary convolution, all float64, with the version of torch that produced them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "vision" / "xnor_torch.npz"


def inputs() -> dict[str, np.ndarray]:
    """Draw the fixed inputs: weights on both sides of +-1, an upstream gradient, an image and filters for it."""
    rng = np.random.default_rng(2016)
    return {
        "W": rng.normal(size=(4, 9)),
        "g": rng.normal(size=(4, 9)),
        "image": rng.normal(size=(3, 7, 6)),
        "filters": rng.normal(size=(2, 3, 3, 2)),
    }


def signs(values: torch.Tensor) -> torch.Tensor:
    """Return -1 where a value is below 0 and +1 everywhere else."""
    return torch.where(values < 0, -1.0, 1.0).to(values.dtype)


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    W = torch.tensor(given["W"], requires_grad=True)
    alpha = W.abs().mean(dim=1, keepdim=True)
    clipped = W.clamp(-1, 1)
    binary = alpha * (clipped + (signs(W) - clipped).detach())  # the value of a sign, the slope of a line
    (dW,) = torch.autograd.grad(binary, W, torch.tensor(given["g"]))

    image, filters = torch.tensor(given["image"])[None], torch.tensor(given["filters"])
    K = torch.nn.functional.avg_pool2d(image.abs().mean(1, keepdim=True), (3, 2), stride=1)
    y = torch.nn.functional.conv2d(signs(image), signs(filters)) * K
    y = y * filters.abs().mean(dim=(1, 2, 3))[:, None, None]
    results = {"alpha": alpha[:, 0], "dW": dW, "K": K[0, 0], "y": y[0]}
    recorded = given | {name: tensor.detach().numpy() for name, tensor in results.items()}
    return recorded | {"torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
