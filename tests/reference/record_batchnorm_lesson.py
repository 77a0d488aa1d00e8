"""Record what PyTorch says about the batch-norm lesson's fixed data.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_batchnorm_lesson.py

It writes lessons/vision/batchnorm_torch.npz: the inputs, torch's outputs, its autograd gradients and its
running statistics, all float64, with the version of torch that produced them. The lesson compares itself with
this file on machines without torch, so record again only when the inputs change.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "vision" / "batchnorm_torch.npz"

BATCH, FEATURES = 12, 5
EPS = 1e-2  # far above the usual 1e-5, so that code which forgets eps cannot match
MOMENTUM = 0.1  # torch's default


def inputs() -> dict[str, np.ndarray]:
    """Draw the fixed inputs: features of different mean and spread, gamma away from 1, a random upstream."""
    rng = np.random.default_rng(2016)
    spread = np.array([0.3, 0.7, 1.0, 2.0, 5.0])
    return {
        "x": rng.normal(size=(BATCH, FEATURES)) * spread + rng.normal(size=FEATURES),
        "gamma": rng.uniform(0.5, 2.0, FEATURES) * np.array([1, -1, 1, 1, -1]),
        "beta": rng.normal(size=FEATURES),
        "dy": rng.normal(size=(BATCH, FEATURES)),
    }


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    x, gamma, beta = (torch.tensor(given[name], requires_grad=True) for name in ("x", "gamma", "beta"))
    running_mean = torch.zeros(FEATURES, dtype=torch.float64)
    running_var = torch.ones(FEATURES, dtype=torch.float64)
    y = torch.nn.functional.batch_norm(
        x, running_mean, running_var, gamma, beta, training=True, momentum=MOMENTUM, eps=EPS
    )
    dx, dgamma, dbeta = torch.autograd.grad(y, (x, gamma, beta), torch.tensor(given["dy"]))
    results = {"y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}
    results |= {"running_mean": running_mean, "running_var": running_var}
    recorded = given | {name: tensor.detach().numpy() for name, tensor in results.items()}
    return recorded | {
        "eps": np.array(EPS),
        "momentum": np.array(MOMENTUM),
        "torch_version": np.array(torch.__version__.split("+")[0]),
    }


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
