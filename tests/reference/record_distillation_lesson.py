"""Record what PyTorch says about the distillation lesson's fixed data.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_distillation_lesson.py

It writes lessons/training/distillation_torch.npz: the inputs, the softened probabilities, the loss, its gradient, and
the gradient of T^2 times torch's kl_div, all float64, with the version of torch that produced them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "training" / "distillation_torch.npz"

T, ALPHA, DLOSS = 3.5, 0.3, 1.7


def inputs() -> dict[str, np.ndarray]:
    """Draw the fixed inputs: 8 samples of 10 classes."""
    rng = np.random.default_rng(2015)
    return {
        "z": 2 * rng.normal(size=(8, 10)),
        "z_teacher": 4 * rng.normal(size=(8, 10)),
        "labels": rng.integers(0, 10, 8),
        "T": np.array(T),
        "alpha": np.array(ALPHA),
        "dloss": np.array(DLOSS),
    }


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    z = torch.tensor(given["z"], requires_grad=True)
    target = torch.softmax(torch.tensor(given["z_teacher"]) / T, 1)
    hard = F.cross_entropy(z, torch.tensor(given["labels"]))
    loss = ALPHA * hard + (1 - ALPHA) * T**2 * F.cross_entropy(z / T, target)
    (dz,) = torch.autograd.grad(DLOSS * loss, z)
    divergence = F.kl_div(F.log_softmax(z / T, 1), target, reduction="batchmean")
    (dz_kl,) = torch.autograd.grad(T**2 * divergence, z)
    results = {"p": torch.softmax(z / T, 1), "loss": loss, "dz": dz, "dz_kl": dz_kl}
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
