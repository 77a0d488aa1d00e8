"""What PyTorch returned for every case, one small file a table: written by tests/reference/record_ops.py.

The inputs are drawn so that float32 holds them exactly; so a float64 run and a float32 run have the same inputs, and
only the float64 results are stored, together with the dtypes that PyTorch returned in each run.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from op_harness import Parts

FOLDER = Path(__file__).resolve().parents[1] / "reference" / "ops"


@dataclass(frozen=True)
class Records:
    """`cases[name]` lists [part, shape, start in `values`, dtype in each of the case's runs]."""

    torch: str
    cases: dict[str, list[list[Any]]]
    values: np.ndarray

    def parts(self, name: str, run: int = 0) -> tuple[Parts, dict[str, str]]:
        """The recorded arrays of a case, in the dtypes of its first run, and the dtypes of run number `run`."""
        found: Parts = {}
        dtypes: dict[str, str] = {}
        for part, shape, start, names in self.cases[name]:
            stop = start + math.prod(shape)
            found[part] = self.values[start:stop].reshape(shape).astype(names[0])
            dtypes[part] = names[run]
        return found, dtypes


def load(path: Path) -> Records:
    with np.load(path, allow_pickle=False) as file:
        return Records(str(file["torch"]), json.loads(file["cases"].tobytes()), file["values"])


def save(torch: str, runs: dict[str, list[Parts]], path: Path) -> None:
    """Write the runs of each case: the values of the first, the dtypes of all."""
    cases: dict[str, list[list[Any]]] = {}
    values: list[np.ndarray] = []
    start = 0
    for name, (first, *others) in runs.items():
        cases[name] = []
        for part, array in first.items():
            for other in others:
                if other[part].shape != array.shape:
                    raise ValueError(f"{name}: {part} has shapes {array.shape} and {other[part].shape} in two dtypes")
            cases[name].append([part, list(array.shape), start, [r[part].dtype.name for r in (first, *others)]])
            values.append(array.astype(np.float64).reshape(-1))
            start += array.size
    temporary = path.with_name(path.stem + ".partial.npz")
    np.savez_compressed(
        temporary,
        torch=np.array(torch),
        cases=np.frombuffer(json.dumps(cases, separators=(",", ":")).encode(), np.uint8),
        values=np.concatenate(values),
    )
    os.replace(temporary, path)
