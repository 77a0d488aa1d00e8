"""The lesson on CUDA kernels: its counts by hand, its races, and its kernels under Numba and for real GPUs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import Run
from lessons.anatomy.homework import check_one
from lessons.lab import cuda
from lessons.systems import _cuda_kernels_wrong as wrong
from lessons.systems import cuda_kernels
from lessons.workbench.sandbox import Limits, check_in_child

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("cuda_kernels")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"cuda_kernels-{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- headline and figures


def test_headline_the_counts_of_four_steps(run):
    shown = data(run, "counts")
    assert shown["loads"].tolist() == [2, 2, 2 / 16, 2 / 64]
    assert shown["sectors"].tolist() == [17 / 32, 4 / 32, 1 / 64, 1 / 256]
    assert shown["shared"].tolist() == [0, 0, 2, 1 / 2]


def test_headline_races_are_found_in_every_run(run):
    shown = data(run, "luck")
    assert shown["found"].tolist() == [0, 1, 1, 1, 1, 1]
    assert shown["right"][:2].tolist() == [1, 1]
    assert shown["right"][4:].max() < 0.1
    assert (shown["right"][2:4] > 0).all()
    assert (shown["right"][2:4] < 1).all()


def test_the_picture_of_accesses_is_what_the_text_says(run):
    shown = data(run, "access")
    k = 16  # columns of a in a quick run
    assert shown["1a"].tolist() == [k * (lane % 16) for lane in range(32)], "a column of a"
    assert shown["1b"].tolist() == [lane // 16 for lane in range(32)]
    assert shown["2a"].tolist() == [k * (lane // 16) for lane in range(32)]
    assert shown["2b"].tolist() == [lane % 16 for lane in range(32)], "neighbours of b"
    for step in "34":
        assert shown[f"{step}a"].tolist() == [k * (lane // 16) + lane % 16 for lane in range(32)]


def test_the_picture_of_tiles(run):
    shown = data(run, "tiles")
    assert sorted(set(shown["intervals"])) == [0, 2, 4]
    for turn in range(3):
        columns = shown["elements"][shown["intervals"] == 2 * turn] % 48
        assert sorted(set(columns)) == list(range(16 * turn, 16 * turn + 16))


def test_the_picture_of_a_race_shows_one(run):
    (one, other) = data(run, "race")["pair"]
    assert one[0] != other[0], "two threads"
    assert one[1] == other[1], "one element"
    assert cuda.WRITE in (one[2], other[2])
    assert one[3] == other[3], "one interval"


def test_the_roofline_by_hand(run):
    shown = data(run, "roofline")
    assert np.allclose(shown["intensity"], [2 / 17, 0.5, 4, 16])
    assert np.allclose(shown["bound"], [2 / 17 * 1.555e12, 0.5 * 1.555e12, 4 * 1.555e12, 19.5e12])


# ---- errata


def test_the_erratum_on_leaving_early(run):
    assert run.results["faults with and"] == {n: "" if n % 4 == 0 else "OutOfBounds" for n in range(1, 9)}
    assert {run.results["faults with or"][n] for n in (1, 2, 3)} == {"BarrierDivergence"}


def test_the_erratum_on_tiles_of_the_sum_by_hand():
    a, b, c = (
        np.arange(115, dtype=np.float32).reshape(5, 23),
        np.ones((23, 7), np.float32),
        np.zeros((5, 7), np.float32),
    )
    cuda_kernels.as_many_turns_as_blocks[(1, 1), (16, 16)](a, b, c)
    assert c[0, 0] == sum(range(16))
    assert cuda_kernels.product(cuda_kernels.TILED, a, b)[0, 0] == sum(range(23))


# ---- exercises


@pytest.mark.parametrize("exercise", ["reduce_sum", "tiled_matmul"])
@pytest.mark.parametrize("order", ["descending", 3])
def test_a_race_is_named_whatever_the_schedule(exercise, order):
    races = {name: made for name, (made, _, cause) in wrong.MISTAKES[exercise].items() if cause and "Race" in cause}
    assert races
    for name, made in races.items():
        with cuda.schedule(order):
            outcome = check_one(cuda_kernels.lesson.exercise_named(exercise), made)
        assert outcome.status == "failed", name
        assert outcome.lines[0].startswith("Race: "), name


HOMEWORK = """
from __future__ import annotations
import numpy as np
from lessons.lab import cuda

@cuda.jit
def add(a, b, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = a[i] + b[i]

def vector_add(a, b):
    out = np.zeros_like(a)
    add[-(-a.size // 64), 64](a, b, out)
    return out

@cuda.jit
def add_up(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[0] += x[i]

def reduce_sum(x):
    out = np.zeros(1)
    add_up[-(-x.size // 64), 64](x, out)
    return out

def tiled_matmul(a, b):
    return a @ b
"""


@pytest.mark.parametrize("confined", [False, True])
def test_a_learners_file_in_a_process_of_its_own(tmp_path, confined):
    path = tmp_path / "student" / "hw.py"
    path.parent.mkdir()
    path.write_text(HOMEWORK, encoding="utf-8")
    outcomes = {one.exercise: one for one in check_in_child(cuda_kernels.lesson, path, Limits(confined=confined))}
    assert outcomes["vector_add"].passed
    assert outcomes["reduce_sum"].status == "failed"
    assert outcomes["reduce_sum"].lines[0].startswith("Race: out[0]: thread 0 ")
    assert "line 21: out[0] += x[i]" in outcomes["reduce_sum"].lines[0]
    assert "no kernel was launched" in outcomes["tiled_matmul"].lines[0]
    assert outcomes["batchnorm_backward"].status == "missing"


# ---- the same kernels elsewhere

UNDER_NUMBA = """
import numpy as np
from numba import cuda
from lessons.lab.cuda import twin
from lessons.systems import cuda_kernels as lesson
from lessons.systems import _cuda_kernels_hardware as hardware

rng = np.random.default_rng(0)
a, b = lesson.matrices(rng, 19, 18, 21)
for step in lesson.STEPS:
    c = np.full((19, 21), np.nan, np.float32)
    twin(step.kernel, cuda)[step.blocks(19, 21), (16, 16)](a, b, c)
    assert np.abs(c - a @ b).max() < 1e-5, step.title
x = rng.normal(size=8)
out = np.zeros(1)
twin(lesson.tree, cuda)[1, 8](x, out)
assert abs(out[0] - x.sum()) < 1e-12
x = rng.normal(size=100)
assert np.array_equal(twin(lesson.vector_add, cuda)(x, x), x + x)
assert abs(twin(lesson.reduce_sum, cuda)(x)[0] - x.sum()) < 1e-12
a, b = rng.normal(size=(9, 11)), rng.normal(size=(11, 10))
assert np.abs(twin(lesson.tiled_matmul, cuda)(a, b) - a @ b).max() < 1e-12
layer = lesson.draw_layer(rng, 9, 5)
for found, ours in zip(twin(lesson.batchnorm_backward, cuda)(*layer), lesson.batchnorm_backward(*layer)):
    assert np.abs(found - ours).max() < 1e-12
assert hardware.gpu() is None
step = lesson.COALESCED
timed = hardware.time_products(cuda, {step.title: step.kernel}, lambda title: step.blocks(16, 16), (16, 16), 16, 1)
assert timed[step.title].error < 1e-5
print("all the same")
"""


def test_numbas_simulator_runs_the_same_kernels():
    done = subprocess.run(
        [sys.executable, "-c", UNDER_NUMBA], capture_output=True, text=True, cwd=ROOT, env=SIMULATOR, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "all the same"


def launched_types() -> list[tuple[Callable[..., None], tuple[object, ...], object]]:
    """Every kernel of the lesson's steps and exercises, with the arguments that it is launched with."""
    found: dict[object, tuple[object, ...]] = {}

    class Compiles:
        """numba.cuda, except that a launch only notes kernel and arguments."""

        def __init__(self, real):
            self.real = real

        def __getattr__(self, name):
            return getattr(self.real, name)

        def jit(self, function):
            return Launches(function)

    class Launches:
        def __init__(self, function):
            self.function = function

        def __getitem__(self, configuration):
            return lambda *arguments: found.setdefault(self.function, arguments)

    from numba import cuda as real

    stand_in, f = Compiles(real), np.ones((3, 3), np.float32)
    for step in cuda_kernels.STEPS:
        cuda.twin(step.kernel, stand_in)[1, 1](f, f, f)
    x, m = np.ones(3), np.ones((3, 3))
    for kernel in (cuda_kernels.tree, cuda_kernels.double):
        cuda.twin(kernel, stand_in)[1, 1](x, x)
    for kernel in (cuda_kernels.turned, cuda_kernels.turned_with_a_column_more):
        cuda.twin(kernel, stand_in)[1, 1](f, f)
    cuda.twin(cuda_kernels.vector_add, stand_in)(x, x)
    cuda.twin(cuda_kernels.reduce_sum, stand_in)(x)
    cuda.twin(cuda_kernels.tiled_matmul, stand_in)(m, m)
    cuda.twin(cuda_kernels.batchnorm_backward, stand_in)(m, m, x, x)
    return [(function, arguments, real) for function, arguments in found.items()]


@pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None or os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"),
    reason="compiles CUDA kernels offline; pip install 'numba-cuda[cu12]' to run it",
)
@pytest.mark.filterwarnings("ignore")
def test_they_compile_for_real_gpus():
    from numba import typeof, types

    compiled = launched_types()
    assert len(compiled) == 4 + 2 + 2 + 1 + 1 + 1 + 2
    for function, arguments, real in compiled:
        kernel = cuda.twin(function, real)
        ptx, _ = real.compile(kernel, types.void(*map(typeof, arguments)), cc=(9, 0), device=False, abi="numba")
        assert ".entry" in ptx, function
