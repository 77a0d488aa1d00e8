"""The tables of cases and wrong calls: every public op, called in every form we promise, as PyTorch would be.

A case is one line of a file in `op_tables`. It needs nothing else to be compared with recorded and with live PyTorch:
values, gradients and second gradients, in float64 and in float32. Each line was added because something can go wrong
there. A new family is a new file; every file there takes part.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from op_harness import Case, Mistake, Table

TABLES: list[Table] = [
    importlib.import_module(f"op_tables.{module.name}").table
    for module in pkgutil.iter_modules([str(Path(__file__).parent / "op_tables")])
]
CASES: list[Case] = [case for table in TABLES for case in table.cases]
MISTAKES: list[Mistake] = [mistake for table in TABLES for mistake in table.mistakes]
