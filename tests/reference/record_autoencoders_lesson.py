"""Record what PyTorch says about the autoencoder lesson's fixed data.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_autoencoders_lesson.py

It writes lessons/generative/autoencoders_torch.npz: clean and spoiled samples, weights, the loss of a denoising
autoencoder with tied weights and its gradients, all float64, with the version of torch that produced them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "generative" / "autoencoders_torch.npz"

DLOSS = 1.7


def inputs() -> dict[str, np.ndarray]:
    """Draw the fixed inputs: 9 samples of 7 pixels, 4 hidden units."""
    rng = np.random.default_rng(2008)
    x = rng.uniform(0.05, 0.95, (9, 7))
    return {
        "x": x,
        "corrupted": np.where(rng.random(x.shape) < 0.4, 0.0, x),
        "W": rng.normal(size=(4, 7)),
        "b": rng.normal(size=4),
        "c": rng.normal(size=7),
        "dloss": np.array(DLOSS),
    }


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    W, b, c = (torch.tensor(given[name], requires_grad=True) for name in ("W", "b", "c"))
    x, corrupted = torch.tensor(given["x"]), torch.tensor(given["corrupted"])
    logits = torch.sigmoid(corrupted @ W.T + b) @ W + c
    loss = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    dW, db, dc = torch.autograd.grad(DLOSS * loss, (W, b, c))
    results = {"loss": loss, "dW": dW, "db": db, "dc": dc}
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
