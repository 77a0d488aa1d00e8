"""Record what PyTorch says about the fixed data of the lesson `vae`.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_vae_lesson.py

It writes lessons/generative/vae_torch.npz: the inputs, divergences and densities by torch.distributions, a bound by
torch.logsumexp, and the loss of a linear VAE with its autograd gradients, all float64, with the version of torch.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "generative" / "vae_torch.npz"

SAMPLES, LATENTS, PIXELS = 4, 3, 6


def inputs() -> dict[str, np.ndarray]:
    """Draw the fixed inputs: variances away from 1, and images of zeros and ones."""
    rng = np.random.default_rng(2013)
    return {
        "mu": rng.normal(size=(SAMPLES, LATENTS)),
        "log_var": rng.normal(size=(SAMPLES, LATENTS)) * 0.8 - 0.4,
        "eps": rng.normal(size=(SAMPLES, LATENTS)),
        "weight": rng.normal(size=(LATENTS, PIXELS)),
        "x": rng.integers(0, 2, (SAMPLES, PIXELS)).astype(float),
    }


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    mu, log_var = (torch.tensor(given[name], requires_grad=True) for name in ("mu", "log_var"))
    eps, weight, x = (torch.tensor(given[name]) for name in ("eps", "weight", "x"))
    q = torch.distributions.Normal(mu, (0.5 * log_var).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    decoder = torch.distributions.Bernoulli(logits=(mu + q.stddev * eps) @ weight)
    loss = -decoder.log_prob(x).sum() + kl.sum()
    dmu, dlog_var = torch.autograd.grad(loss, (mu, log_var))
    results = {
        "kl": kl,
        "log_density": q.log_prob(eps).sum(1),
        "bound": torch.logsumexp(100 * mu, 1) - math.log(LATENTS),
        "loss": loss,
        "dmu": dmu,
        "dlog_var": dlog_var,
    }
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
