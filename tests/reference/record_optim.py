"""Record the trajectories of PyTorch's optimisers, and the learning rates of its schedules.

Run it where PyTorch is installed, from the root of the checkout, whenever options were added or changed in
tests/minigrad/test_optim.py or tests/minigrad/test_lr_scheduler.py:

    python tests/reference/record_optim.py

It writes tests/reference/optim.npz and tests/reference/schedules.npz: an array for each optimiser or schedule with its
options, all float64, and the version of PyTorch.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "minigrad")]

import test_lr_scheduler as schedules  # noqa: E402
import test_optim as optimizers  # noqa: E402


def write(path: Path, arrays: dict[str, Any]) -> None:
    """Write the file under a temporary name first, so that an interrupt leaves the old one whole."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **arrays, torch=np.array(torch.__version__))
    os.replace(partial, path)
    print(f"{len(arrays)} arrays, {path.stat().st_size / 1024:.0f} KiB, torch {torch.__version__}: {path}")


def main() -> None:
    paths = {
        name: optimizers.trajectory(torch, kind.__name__, 40, lr=0.05, **options)[optimizers.RECORDED]
        for name, (kind, options) in zip(optimizers.NAMES, optimizers.ALL, strict=True)
    }
    write(optimizers.RECORD, paths)
    rates = {name: schedules.course(torch, make)[schedules.RECORDED] for name, make in schedules.ALL.items()}
    write(schedules.RECORD, rates)


if __name__ == "__main__":
    main()
