"""CUDA where there is none: the import costs nothing, the error says what to do, and the simulator runs tests/cuda."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels import cuda
from kernels.cuda import device
from kernels.cuda.multiplication import tile_for

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OPENBLAS_NUM_THREADS": "1"}


def test_importing_it_imports_no_numba():
    code = "import sys, kernels.cuda; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU here, or the simulator is on")
def test_without_a_gpu_the_error_says_what_to_do():
    with pytest.raises(cuda.DeviceError, match="NUMBA_ENABLE_CUDASIM=1") as caught:
        cuda.to_device(np.zeros(3))
    assert "minigrad[cuda]" in str(caught.value)


@pytest.mark.skipif(cuda.is_available(), reason="tests/cuda runs here anyway")
@pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE", "dev") == "dev",
    reason="the CUDA simulator takes minutes; NUMBA_ENABLE_CUDASIM=1 pytest tests/cuda runs its tests",
)
def test_everything_in_the_simulator():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cuda"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=SIMULATOR, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU here, or the simulator is on")
def test_bench_cuda_without_a_gpu_says_what_to_do():
    done = subprocess.run(
        [sys.executable, "-m", "lessons", "bench", "cuda"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert "bench cuda: CUDA cannot be used" in done.stderr


@pytest.mark.skipif(device.SIMULATED, reason="the simulator has one tile")
def test_tiles_are_large_where_all_multiprocessors_have_work_even_so(monkeypatch):
    monkeypatch.setattr(device, "multiprocessors", lambda: 132)
    # 256 filters at 16 images of 14 x 14 are 50 blocks of the largest tile, and 100 of the next.
    assert tile_for(256, 16 * 14 * 14, 1).tm == 64
    assert tile_for(256, 64 * 56 * 56, 1).tm == 128
    assert tile_for(256, 16 * 14 * 14, 1, divided=True).tm == 128
    assert tile_for(256, 16 * 14 * 14, 16).tm == 128  # groups are blocks, too
    # Rows that do not exist are work for nothing.
    assert [tile_for(m, 10**6, 1).tm for m in (1, 32, 33, 64, 65, 128)] == [32, 32, 64, 64, 128, 128]
