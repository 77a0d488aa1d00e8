"""Record what PyTorch says about the fixed network of the lesson `tape`.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_tape_lesson.py

It writes lessons/systems/tape_torch.npz: data, weights and a direction, torch's gradients, its Hessian-vector product
and its losses over 50 steps of gradient descent, in float64, with the version of torch.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

TARGET = Path(__file__).resolve().parents[2] / "lessons" / "systems" / "tape_torch.npz"
NAMES = ("w1", "b1", "w2", "b2")
SHAPES = ((2, 5), (5,), (5, 1), (1,))
LEARNING_RATE, STEPS = 0.3, 50


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2020)
    given = {"inputs": rng.normal(size=(12, 2)), "targets": rng.choice([-1.0, 1.0], (12, 1))}
    for name, shape in zip(NAMES, SHAPES, strict=True):
        given |= {name: rng.normal(size=shape), f"v_{name}": rng.normal(size=shape)}
    return given


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    x, targets = torch.tensor(given["inputs"]), torch.tensor(given["targets"])
    parameters = [torch.tensor(given[name], requires_grad=True) for name in NAMES]

    def loss() -> torch.Tensor:
        w1, b1, w2, b2 = parameters
        miss = (x @ w1 + b1).tanh() @ w2 + b2 - targets
        return (miss * miss).sum() / len(x)

    slopes = torch.autograd.grad(loss(), parameters, create_graph=True)
    along = sum((slope * torch.tensor(given[f"v_{name}"])).sum() for name, slope in zip(NAMES, slopes, strict=True))
    curved = torch.autograd.grad(along, parameters)
    recorded = dict(given)
    for name, slope, curve in zip(NAMES, slopes, curved, strict=True):
        recorded |= {f"d_{name}": slope.detach().numpy(), f"h_{name}": curve.numpy()}
    optimizer, losses = torch.optim.SGD(parameters, lr=LEARNING_RATE), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss()
        losses.append(value.item())
        value.backward()
        optimizer.step()
    return recorded | {"losses": np.array(losses), "torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
