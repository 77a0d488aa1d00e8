"""Record what PyTorch computes from the fixed data of the lesson `cuda_kernels`.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_cuda_kernels_lesson.py

It writes lessons/systems/cuda_kernels_torch.npz: two matrices, their product and the sum of the first; a batch, what
batch norm makes of it, and its gradients; in float64, with the version of torch.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "systems" / "cuda_kernels_torch.npz"
EPS = 1e-5


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2025)
    a, b = rng.normal(size=(11, 13)), rng.normal(size=(13, 19))
    x, gamma, beta, dy = rng.normal(size=(13, 9)), rng.normal(size=9), rng.normal(size=9), rng.normal(size=(13, 9))
    return {"a": a, "b": b, "x": 2 * x + 1, "gamma": gamma, "beta": beta, "dy": dy, "eps": np.array(EPS)}


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    a, b, dy = (torch.tensor(given[name]) for name in ("a", "b", "dy"))
    x, gamma, beta = (torch.tensor(given[name], requires_grad=True) for name in ("x", "gamma", "beta"))
    y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS)
    dx, dgamma, dbeta = torch.autograd.grad(y, (x, gamma, beta), dy)
    inv_std = (x.detach().var(0, unbiased=False) + EPS).rsqrt()
    x_hat = (x.detach() - x.detach().mean(0)) * inv_std
    found = {"product": a @ b, "sum": a.sum().reshape(1), "x_hat": x_hat, "inv_std": inv_std}
    found |= {"dx": dx, "dgamma": dgamma, "dbeta": dbeta}
    recorded = {name: value.numpy() for name, value in found.items()}
    return given | recorded | {"torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
