"""Record what PyTorch says about the programs of the lesson `source_to_source`.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_source_to_source_lesson.py

It writes lessons/systems/source_to_source_torch.npz: the gradients of three programs, run on torch's tensors, and
whether torch refuses the call that the post prints with a TypeError. Record again when the programs change.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "lessons" / "systems" / "source_to_source_torch.npz"
POINTS = (np.array([1.3, 0.8]), np.array([0.1, 0.1]), np.array([1.0, 0.5, 0.3]))


def gradient(source: str, at: np.ndarray) -> np.ndarray:
    """Run the program on tensors, and go back."""
    namespace: dict[str, object] = {"torch": torch}
    exec(source.replace("math.", "torch."), namespace)
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in at]
    return torch.stack(torch.autograd.grad(namespace["f"](*leaves), leaves)).numpy()


def record() -> dict[str, np.ndarray]:
    """Return the programs, the points, torch's gradients, and whether it refuses the sum."""
    from lessons.systems.source_to_source import PROGRAMS

    y1 = torch.pow(torch.tensor(2.0), 2)
    try:
        torch.sum(1, y1)
        refused = 0.0
    except TypeError:
        refused = 1.0
    recorded = {f"at{k}": at for k, at in enumerate(POINTS)}
    recorded |= {f"gradient{k}": gradient(*pair) for k, pair in enumerate(zip(PROGRAMS, POINTS, strict=True))}
    return recorded | {
        "programs": np.frombuffer("\n\n".join(PROGRAMS).encode(), dtype=np.uint8),
        "sum_refused": np.array(refused),
        "add": torch.add(1, y1).double().numpy(),
        "torch_version": np.array(torch.__version__.split("+")[0]),
    }


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
