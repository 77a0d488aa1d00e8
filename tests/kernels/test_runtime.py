"""Machine code on disk, threads, forks: whatever the surroundings, the kernels run and give the same bits."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numba
import pytest

import kernels
from kernels.cpu import cache
from kernels.cpu.batchnorm_lines import backward_lines

ROOT = Path(__file__).resolve().parents[2]

TINY = """
from kernels.cpu.jit import kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.team import get_num_threads
from kernels.cpu.tiny_helper import step

@kernel
def add_step(worker, i, x, out):
    out[i] = x[i] + step()

@kernel
def add_all(x, workers, out):
    parallel(add_step, workers, len(x), (x, out))

def add_steps(x, out):
    add_all(x, get_num_threads(), out)

def make(times, then=None):
    @kernel
    def multiply(x):
        return x * times

    @kernel
    def apply(x):
        return multiply(x) + times

    return apply
"""
HELPER = """
from kernels.cpu.jit import kernel

@kernel
def step():
    return 5.0
"""
ADD = """
import numpy as np
from kernels.cpu.tiny import add_all, add_steps
out = np.zeros(3)
add_steps(np.arange(3.0), out)
print(out.tolist(), sum(add_all.entry.stats.cache_hits.values()))
"""
MULTIPLY = """
from kernels.cpu.tiny import make
made = [make(2), make(3), make(2.5)]
print([apply(10) for apply in made], [sum(apply.entry.stats.cache_hits.values()) for apply in made])
"""
SUMS = "[5.0, 6.0, 7.0]"


@pytest.fixture
def tree(tmp_path):
    """A private copy of what compiles, with two small kernels in it."""
    target = tmp_path / "tree" / "kernels" / "cpu"
    target.mkdir(parents=True)
    (target.parent / "__init__.py").touch()
    for name in ("errors.py", "memory.py"):
        shutil.copy(ROOT / "kernels" / name, target.parent / name)
    for name in ("__init__.py", "jit.py", "cache.py", "atomics.py", "parallel.py", "team.py"):
        shutil.copy(ROOT / "kernels" / "cpu" / name, target / name)
    shutil.copytree(ROOT / "kernels" / "cpu" / "simd", target / "simd", ignore=shutil.ignore_patterns("__pycache__"))
    (target / "tiny.py").write_text(TINY)
    (target / "tiny_helper.py").write_text(HELPER)
    return tmp_path / "tree"


def process(code, tree, folder=None, **variables):
    """The last line that a fresh process prints; `folder` is its NUMBA_CACHE_DIR."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    env |= {"PYTHONPATH": str(tree), **({"NUMBA_CACHE_DIR": str(folder)} if folder else {}), **variables}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd="/", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def stored(folder):
    return sorted(Path(folder).rglob("*.kernel"))


# ---- the cache


def test_kernels_use_our_cache():
    """Numba's own is the way out if its inside has changed; then this test asks for a new look at kernels.cpu.cache."""
    assert isinstance(backward_lines.entry._cache, cache.KernelCache)


def test_second_process_loads(tree, tmp_path):
    assert process(ADD, tree, tmp_path / "cache") == f"{SUMS} 0"
    assert process(ADD, tree, tmp_path / "cache") == f"{SUMS} 1"


def test_without_a_variable_it_lies_beside_the_source(tree):
    process(ADD, tree)
    assert {path.parent for path in stored(tree)} == {tree / "kernels" / "cpu" / "__pycache__"}
    assert process(ADD, tree) == f"{SUMS} 1"


NOWHERE = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache", "PYTHONDONTWRITEBYTECODE": "1"}


def test_no_folder_can_be_written(tree, tmp_path):
    assert process(ADD, tree, "/dev/null/cache") == f"{SUMS} 0"
    (tree / "kernels" / "cpu" / "__pycache__").touch()  # a file where a folder should be stops root, too
    assert process(ADD, tree, **NOWHERE) == f"{SUMS} 0"
    where = "from kernels.cpu import cache; print(cache.writable_folder())"
    assert process(where, tree, **NOWHERE) == "None"
    assert process(where, tree, tmp_path / "cache").startswith(str(tmp_path / "cache"))
    assert not stored(tmp_path)


def test_user_folder_serves_where_the_source_cannot_be_written(tree, tmp_path):
    (tree / "kernels" / "cpu" / "__pycache__").touch()
    there = {**NOWHERE, "XDG_CACHE_HOME": str(tmp_path / "user")}
    assert process(ADD, tree, **there) == f"{SUMS} 0"
    assert process(ADD, tree, **there) == f"{SUMS} 1"
    assert stored(tmp_path / "user")


def test_source_in_an_archive(tree, tmp_path):
    def pack(name):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in sorted(tree.rglob("*.py")):
                archive.write(path, path.relative_to(tree))
        return tmp_path / name

    there = {**NOWHERE, "XDG_CACHE_HOME": str(tmp_path / "user")}
    whole = pack("whole.zip")
    assert process(ADD, whole, **there) == f"{SUMS} 0"
    assert process(ADD, whole, **there) == f"{SUMS} 1"
    (tree / "kernels" / "cpu" / "tiny_helper.py").write_text(HELPER.replace("5.0", "6.0"))
    assert process(ADD, pack("whole.zip"), **there) == "[6.0, 7.0, 8.0] 0"


FULL = "import os, errno\ndef full(*_): raise OSError(errno.ENOSPC, 'full')\nos.replace = full\n"


def test_read_only_folder_is_read_and_a_full_disk_loses_nothing(tree, tmp_path):
    folder = tmp_path / "cache"
    assert process(FULL + ADD, tree, folder) == f"{SUMS} 0"
    assert not [path for path in folder.rglob("*") if path.is_file()]
    process(ADD, tree, folder)
    assert process(FULL + ADD, tree, folder) == f"{SUMS} 1"


def test_processes_that_compile_at_the_same_time(tree, tmp_path):
    folder = tmp_path / "cache"
    env = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(folder)}
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-c", ADD]
        running = [
            stack.enter_context(subprocess.Popen(command, env=env, cwd="/", stdout=subprocess.PIPE, text=True))
            for _ in range(3)
        ]
        printed = [one.communicate(timeout=300)[0] for one in running]
    assert [text.splitlines()[-1][: len(SUMS)] for text in printed] == [SUMS] * 3
    assert process(ADD, tree, folder) == f"{SUMS} 1"
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(stored(folder))


def test_other_processors_and_versions_have_files_of_their_own(tree, tmp_path):
    folder = tmp_path / "cache"
    other_version = "import numba; numba.__version__ = '0.1'\n"
    for code, variables in ((ADD, {}), (ADD, {"NUMBA_CPU_NAME": "generic"}), (other_version + ADD, {})):
        assert process(code, tree, folder, **variables) == f"{SUMS} 0"
    assert process(ADD, tree, folder) == f"{SUMS} 1"
    assert process(ADD, tree, folder, NUMBA_CPU_NAME="generic") == f"{SUMS} 1"


def one_byte(old):
    """Damage that only the checksum can tell: somewhere in the machine code."""
    middle = len(old) // 2
    return old[:middle] + bytes([old[middle] ^ 255]) + old[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda old: b"", lambda old: old[:-9], one_byte])
def test_damaged_files_are_replaced(tree, tmp_path, damage):
    folder = tmp_path / "cache"
    process(ADD, tree, folder)
    for path in stored(folder):
        path.write_bytes(damage(path.read_bytes()))
    assert process(ADD, tree, folder) == f"{SUMS} 0"
    assert process(ADD, tree, folder) == f"{SUMS} 1"


def test_a_change_in_another_file_is_noticed(tree, tmp_path):
    """Same size, same time: only the contents differ."""
    folder, helper = tmp_path / "cache", tree / "kernels" / "cpu" / "tiny_helper.py"
    process(ADD, tree, folder)
    before, times = len(stored(folder)), helper.stat()
    helper.write_text(HELPER.replace("5.0", "6.0"))
    os.utime(helper, ns=(times.st_atime_ns, times.st_mtime_ns))
    shutil.rmtree(helper.parent / "__pycache__", ignore_errors=True)  # Python's own cache goes by time and size
    assert process(ADD, tree, folder) == "[6.0, 7.0, 8.0] 0"
    assert len(stored(folder)) == before, "the old files should be gone"


def test_kernels_made_by_functions_are_told_apart_by_their_values(tree, tmp_path):
    values = "[22, 33, 27.5]"
    assert process(MULTIPLY, tree, tmp_path / "cache") == f"{values} [0, 0, 0]"
    assert process(MULTIPLY, tree, tmp_path / "cache") == f"{values} [1, 1, 1]"


def test_only_what_python_calls_has_machine_code_of_its_own(tree, tmp_path):
    """`step` and `add_step` are parts of `add_all`, until Python calls one of them."""
    folder = tmp_path / "cache"
    process(ADD, tree, folder, NUMBA_NUM_THREADS="1")
    assert [path.name.split("-")[0] for path in stored(folder)] == ["add_all"]
    code = ADD + "from kernels.cpu.tiny_helper import step\nprint(step())"
    assert process(code, tree, folder, NUMBA_NUM_THREADS="1") == "5.0"
    assert [path.name.split("-")[0] for path in stored(folder)] == ["add_all", "step"]


def test_without_a_compiler_there_is_a_sentence(tree):
    code = f"""
from kernels.errors import KernelError
try:
    exec({ADD!r})
except KernelError as error:
    print(error)
"""
    assert "unset it to run the kernels" in process(code, tree, NUMBA_DISABLE_JIT="1")


def test_what_cannot_be_named_is_not_stored():
    with pytest.raises(cache.Unnameable):
        cache._describe(object())


# ---- threads

FORK = """
import multiprocessing, os, threading
import numpy as np
from kernels.cpu.tiny import add_steps

def answer(_=None):
    out = np.zeros(1000)
    add_steps(np.arange(1000.0), out)
    return out.tobytes()

want = answer()
child = os.fork()
if child == 0:
    got = []
    thread = threading.Thread(target=lambda: got.append(answer()))
    thread.start(); thread.join()
    os._exit(0 if got == [want] and answer() == want else 1)
assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(answer, range(4)) == [want] * 4
assert answer() == want
print("well")
"""
AT_ONCE = """
import threading
import numpy as np
from kernels.cpu.tiny import add_steps

x, wrong = np.arange(200_000.0), []
add_steps(x, np.zeros_like(x))

def work():
    for _ in range(50):
        out = np.zeros_like(x)
        add_steps(x, out)
        wrong.extend(out[out != x + 5.0])

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("well" if not wrong else wrong[:3])
"""

LATE = """
import numpy as np
from kernels.cpu import atomics, team
from kernels.cpu.tiny import add_all, add_steps

x, out = np.arange(100_000.0), np.zeros(100_000)
for workers in (1, 2, 7):  # seven are never there: those who are do it all
    for size in (0, 1, 2, 3, 99, 100_000):
        out[:] = 0
        add_all(x[:size], workers, out[:size])
        assert (out[:size] == x[:size] + 5).all() and (out[size:] == 0).all(), (workers, size)
for _ in range(2000):
    out[:1000] = 0
    add_steps(x[:1000], out[:1000])
    assert (out[:1000] == x[:1000] + 5).all()
assert [atomics.peek(word) for word in (team.BUSY, team.AT_WORK)] == [0, 0] and atomics.peek(team.JOB) % 2 == 0
print("well")
"""
ERROR = """
import numpy as np
from kernels.cpu.jit import kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.tiny import add_steps

@kernel
def fails(worker, i, out):
    if i == 3:
        raise MemoryError("no room")
    out[i] = 1

@kernel
def fail(workers, out):
    parallel(fails, workers, len(out), (out,))

for workers in (1, 2):
    out = np.zeros(10)
    try:
        fail(workers, out)
        print("no error")
    except MemoryError as error:
        assert "memory to work in" in str(error)
    out = np.zeros(3)
    add_steps(np.arange(3.0), out)
    assert out.tolist() == [5.0, 6.0, 7.0]
print("well")
"""


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("code", [FORK, AT_ONCE, LATE, ERROR], ids=["fork", "python threads", "late", "error"])
def test_the_team(code, threads, tree, tmp_path):
    assert process(code, tree, tmp_path.parent / "team", NUMBA_NUM_THREADS=str(threads)) == "well"


def test_a_process_ends_in_the_middle_of_its_work(tree, tmp_path):
    """Threads look at the board when Python ends, and sleep when it ends later."""
    for wait in (0, 0.1):
        code = f"{ADD}\nimport time; time.sleep({wait})"
        assert process(code, tree, tmp_path.parent / "team", NUMBA_NUM_THREADS="3").startswith(SUMS)


def test_other_numba_code_with_threads_of_its_own(tree, tmp_path):
    """Whatever layer Numba's own parallel loops use, kernels can be called between them."""
    code = """
import numba, numpy as np
from kernels.cpu.tiny import add_steps

@numba.njit(parallel=True)
def doubled(x):
    y = np.empty_like(x)
    for i in numba.prange(x.size):
        y[i] = 2 * x[i]
    return y

x, out = np.arange(1000.0), np.zeros(1000)
for _ in range(20):
    add_steps(doubled(x), out)
    assert (out == 2 * x + 5).all()
print(numba.threading_layer())
"""
    layers = [
        name for name in ("omp", "tbb") if importlib.util.find_spec({"omp": "numba.np.ufunc.omppool"}.get(name, name))
    ]
    for layer in (*layers, "workqueue"):
        folder = tmp_path.parent / "team"
        assert process(code, tree, folder, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == layer


def test_number_of_threads_holds_for_matrix_products_too():
    code = """
import numpy, kernels, threadpoolctl
most = kernels.get_num_threads()
def blas():
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
kernels.set_num_threads(1)
assert (kernels.get_num_threads(), blas()) == (1, {1}), blas()
kernels.set_num_threads(most)
assert (kernels.get_num_threads(), blas()) == (most, {most}), blas()
import sys, importlib.util
sys.modules["threadpoolctl"] = None
importlib.util.find_spec = lambda name: None
kernels.set_num_threads(1)
print(kernels.get_num_threads(), blas())
"""
    assert process(code, ROOT).startswith("1 {")


def test_cache_folder_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    from kernels.runtime import cache_folder

    assert str(tmp_path) in cache_folder()
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/dev/null/none")
    assert cache_folder() is None
    assert kernels.get_num_threads() >= 1
