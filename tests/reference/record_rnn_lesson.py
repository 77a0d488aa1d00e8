"""Record what PyTorch says about the rnn lesson's fixed data.

Run it where PyTorch is installed, from the root of the checkout:

    python tests/reference/record_rnn_lesson.py

It writes lessons/sequences/rnn_torch.npz: the inputs, and torch's states, gradients, LSTM step, clipped gradient and
loss, all float64, with the version of torch that produced them. Record again only when the inputs change.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lessons.sequences import rnn  # noqa: E402

TARGET = ROOT / "lessons" / "sequences" / "rnn_torch.npz"


def inputs() -> dict[str, np.ndarray]:
    """Draw the fixed inputs: an RNN, one step of an LSTM, and logits."""
    rng = np.random.default_rng(2017)
    given = dict(rnn.draw(rng, T=6, B=3, D=4, H=5)._asdict())
    given |= {f"lstm_{name}": value for name, value in rnn.draw_lstm(rng).items()}
    return given | {"logits": 3 * rng.normal(size=(12, 7)), "targets": rng.integers(0, 7, 12)}


def record() -> dict[str, np.ndarray]:
    """Return the inputs, and what torch computes from them."""
    given = inputs()
    return given | rnn.by_library(torch, given) | {"torch_version": np.array(torch.__version__.split("+")[0])}


def main() -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(partial, **record())
    os.replace(partial, TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
