"""How long batch normalisation takes: NumPy in stages, NumPy in closed form, Numba, and PyTorch if it is installed.

    python -m kernels.bench_batchnorm [--rounds N] [--min-time SECONDS] [--dtype float32|float64]

Everything runs in this process, in turns. The columns with two threads are compared with PyTorch on two threads. Both
sides allocate their results anew in each call, as a training step does.
"""

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import kernels
from kernels.benchmark import Timing, interleaved
from kernels.reference import batchnorm as reference
from kernels.runtime import max_num_threads

SHAPES: tuple[tuple[int, ...], ...] = (
    (50, 60),
    (200, 100),
    (1000, 500),
    (4096, 256),
    (65536, 256),
    (32, 64, 16, 16),
    (8, 128, 28, 28),
    (64, 32, 32, 32),
)
EPS = 1e-5

Candidates = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Row:
    """One line of the table: the candidates' times on one shape with one number of threads."""

    direction: str  # "backward" or "forward"
    shape: tuple[int, ...]
    threads: int
    timings: dict[str, Timing]

    def ratio(self, name: str, baseline: str = "torch") -> float | None:
        """Time of one candidate over that of another, or None where one of them was not measured."""
        if name not in self.timings or baseline not in self.timings:
            return None
        return self.timings[name].ratio(self.timings[baseline])


def table_rows(
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    threads: Sequence[int] = (1, 2),
    rounds: int = 7,
    min_time: float = 0.02,
    dtype: Any = np.float32,
    directions: Sequence[str] = ("backward", "forward"),
    seed: int = 0,
) -> list[Row]:
    """Measures every shape with every number of threads that this machine has; seeded inputs.

    The candidates are "staged" and "closed" (NumPy, backward only, one thread only), "reference" (NumPy, forward only,
    one thread only), "numba" (the compiled kernel, called directly whatever the size) and "torch".
    """
    before = kernels.get_num_threads()
    rows = []
    try:
        for count in threads:
            if count > max_num_threads():
                continue
            kernels.set_num_threads(count)
            for shape in shapes:
                for direction in directions:
                    candidates = _candidates(direction, shape, dtype, count, np.random.default_rng(seed))
                    rows.append(Row(direction, shape, count, interleaved(candidates, rounds, min_time)))
    finally:
        kernels.set_num_threads(before)
    return rows


def _candidates(
    direction: str, shape: tuple[int, ...], dtype: Any, threads: int, rng: np.random.Generator
) -> Candidates:
    from kernels.cpu import batchnorm as cpu

    x, dy = rng.standard_normal((2, *shape)).astype(dtype)
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    _, mean, inv_std = cpu.forward(x, weight, bias, EPS)
    candidates: Candidates = {}
    if direction == "backward":
        given = dy, x, weight, mean, inv_std
        if threads == 1:
            candidates["staged"] = lambda: reference.backward_staged(*given)
            candidates["closed"] = lambda: reference.backward_closed(*given)
        candidates["numba"] = lambda: cpu.backward(*given)
    else:
        if threads == 1:
            candidates["reference"] = lambda: reference.forward(x, weight, bias, EPS)
        candidates["numba"] = lambda: cpu.forward(x, weight, bias, EPS)
    if importlib.util.find_spec("torch") is not None:
        candidates["torch"] = _torch(direction, threads, dy, x, weight, bias, mean, inv_std)
    return candidates


def _torch(direction: str, threads: int, *arrays: Any) -> Callable[[], object]:
    """PyTorch's own kernels, without its autograd around them."""
    import torch

    torch.set_num_threads(threads)
    dy, x, weight, bias, mean, inv_std = map(torch.from_numpy, arrays)
    aten = torch.ops.aten
    if direction == "forward":
        return lambda: aten.native_batch_norm(x, weight, bias, None, None, True, 0.1, EPS)
    return lambda: aten.native_batch_norm_backward(
        dy, x, weight, None, None, mean, inv_std, True, EPS, [True, True, True]
    )


def format_table(rows: Sequence[Row]) -> str:
    """The rows as text: microseconds of the compiled kernel, and every time relative to PyTorch's, or else to its."""
    baseline = "torch" if any("torch" in row.timings for row in rows) else "numba"
    names = [name for name in ("staged", "closed", "reference", "numba", "torch") if name != baseline]
    header = f"{'':8} {'shape':16} {'threads':>7} {'numba us':>10} {'quartiles':>17}"
    lines = [header + "".join(f" {name:>9}" for name in names)]
    for row in rows:
        lower, upper = row.timings["numba"].quartiles
        steady = f"{lower * 1e6:.1f}-{upper * 1e6:.1f}"
        text = f"{row.direction:8} {' x '.join(map(str, row.shape)):16} {row.threads:7}"
        text += f" {row.timings['numba'].median * 1e6:10.1f} {steady:>17}"
        for name in names:
            ratio = row.ratio(name, baseline)
            text += f" {'' if ratio is None else f'{ratio:.2f}':>9}"
        lines.append(text)
    lines.append(f"The last columns are times relative to {baseline} on the same number of threads; lower is better.")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m kernels.bench_batchnorm", description="Time batch norm.")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each candidate (default 7)")
    parser.add_argument("--min-time", type=float, default=0.02, help="seconds per turn (default 0.02)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    print(format_table(table_rows(rounds=options.rounds, min_time=options.min_time, dtype=options.dtype)))


if __name__ == "__main__":
    main()
