"""The kernels on processors with shorter vectors: Numba is told to compile for them, in processes of their own.

haswell has AVX2: 16 registers of 8 floats. generic is any x86-64: 16 registers of 4 floats, no fused product and sum,
no masked stores, no instruction that counts bits. Compiling all kernels anew takes minutes, so that part is for the
hypothesis profiles ci and intense.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROCESSORS = {"haswell": (32, 16), "generic": (16, 16)}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="these processors are relatives of x86-64"
)


def started(processor: str, *command: str, cache: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CACHE_DIR": str(cache),
        "HYPOTHESIS_PROFILE": "dev",
    }
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    found, _ = process.communicate()
    assert process.returncode == 0, found[-4000:]
    return found


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_vectors_are_as_long_as_the_registers(processor: str, tmp_path: Path) -> None:
    program = "from kernels.cpu import simd; print(simd.VECTOR_BYTES, simd.REGISTERS)"
    assert tuple(map(int, output(started(processor, "-c", program, cache=tmp_path)).split())) == PROCESSORS[processor]


def pytest_run(*tests: str) -> tuple[str, ...]:
    return "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests


@pytest.mark.parametrize("processor", PROCESSORS)
def test_vectors_and_tiles(processor: str, tmp_path: Path) -> None:
    out = output(started(processor, *pytest_run("tests/kernels/test_simd.py"), cache=tmp_path))
    assert " passed" in out
    assert "skipped" not in out


@pytest.mark.skipif(PROFILE == "dev", reason="compiles all kernels twice more; HYPOTHESIS_PROFILE=ci runs it")
def test_kernels(tmp_path: Path) -> None:
    checks = "on_every_instruction_set or (test_each_kernel_of_the_choice and float32)"
    command = pytest_run("tests/kernels", "-k", checks)
    running = [started(processor, *command, cache=tmp_path / processor) for processor in PROCESSORS]
    for process in running:
        out = output(process)
        assert " passed" in out
        assert "skipped" not in out
