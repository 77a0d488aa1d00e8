"""Record what PyTorch returns for every case of tests/minigrad/op_tables.

Run it where PyTorch is installed, from the root of the checkout, whenever cases were added or changed:

    python tests/reference/record_ops.py [TABLE ...]

It writes tests/reference/ops/TABLE.npz, for all tables or for those named: outputs, gradients and
second gradients, in float64, with the dtypes of both runs and the version of PyTorch.
The inputs come from seeds made of the names of the cases, so they are not stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "minigrad")]

import op_records  # noqa: E402
from op_cases import TABLES  # noqa: E402
from op_harness import run  # noqa: E402


def main(names: list[str]) -> None:
    op_records.FOLDER.mkdir(exist_ok=True)
    for table in TABLES:
        if names and table.name not in names:
            continue
        runs = {case.name: [run(case, torch, dtype) for dtype in case.dtypes] for case in table.cases}
        path = op_records.FOLDER / f"{table.name}.npz"
        op_records.save(torch.__version__, runs, path)
        print(f"{len(runs)} cases, {path.stat().st_size / 1024:.0f} KiB, torch {torch.__version__}: {path}")
    known = {table.name for table in TABLES}
    for path in op_records.FOLDER.glob("*.npz"):
        if not names and path.stem not in known:
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
