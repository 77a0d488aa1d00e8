"""Record what PyTorch says about the fixed data of the lesson `mle`.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_mle_lesson.py

It writes lessons/foundations/mle_torch.npz: the inputs, torch's losses and three of its gradients, in float64, with
the version of torch. Record again only when the inputs change.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "foundations" / "mle_torch.npz"


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2019)
    return {
        "y": rng.normal(size=8),
        "mu": rng.normal(size=8),
        "log_sigma": rng.uniform(-1, 1, 8),
        "s": np.array([-60.0, -3.0, -0.5, 0.0, 0.7, 4.0, 45.0, 900.0]),
        "ones": np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        "scores": rng.normal(size=(6, 5)) * 3,
        "labels": rng.integers(0, 5, 6),
        "counts": rng.poisson(3.0, 8).astype(np.float64),
    }


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    mu, log_sigma, s = (torch.tensor(given[name], requires_grad=True) for name in ("mu", "log_sigma", "s"))
    y, ones, scores, labels, counts = (torch.tensor(given[n]) for n in ("y", "ones", "scores", "labels", "counts"))
    losses = {
        "gaussian": F.gaussian_nll_loss(mu, y, (2 * log_sigma).exp(), full=True),
        "bce": F.binary_cross_entropy_with_logits(s, ones),
        "cross_entropy": F.cross_entropy(scores, labels),
    }
    dmu, dlog_sigma = torch.autograd.grad(losses["gaussian"], (mu, log_sigma))
    # exp(900) is no number: counts have logits of their own.
    rates = torch.tensor(given["mu"], requires_grad=True)
    losses["poisson"] = F.poisson_nll_loss(rates, counts)
    (ds,) = torch.autograd.grad(losses["poisson"], rates)
    recorded = given | {name: loss.detach().numpy() for name, loss in losses.items()}
    return recorded | {
        "dmu": dmu.numpy(),
        "dlog_sigma": dlog_sigma.numpy(),
        "ds": ds.numpy(),
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
