"""Record what PyTorch returns for every case of tests/minigrad/op_cases.py.

Run it where PyTorch is installed, from the root of the checkout, whenever cases were added or changed:

    python tests/reference/record_ops.py

It writes tests/reference/ops.npz: outputs, gradients and second gradients, in float64, with the dtypes of both runs
and the version of PyTorch. The inputs come from seeds made of the names of the cases, so they are not stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "minigrad")]

import op_records  # noqa: E402
from op_cases import CASES  # noqa: E402
from op_harness import run  # noqa: E402


def main() -> None:
    runs = {case.name: [run(case, torch, dtype) for dtype in case.dtypes] for case in CASES}
    op_records.save(torch.__version__, runs)
    size = op_records.PATH.stat().st_size / 1024
    print(f"{len(runs)} cases, {size:.0f} KiB, torch {torch.__version__}: {op_records.PATH}")


if __name__ == "__main__":
    main()
