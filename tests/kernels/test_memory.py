"""Freed memory is kept for the next array, unless somebody has decided otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import kernels

ROOT = Path(__file__).resolve().parents[2]
GLIBC = platform.libc_ver()[0] == "glibc"

FAULTS = """
import resource, numpy as np, kernels
{setting}
def work():
    for _ in range(20):
        a, b = np.ones(2_000_000, np.uint8), np.ones(3_000_000, np.uint8)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
FIRST_KERNEL = "import kernels.cpu"


def page_faults(setting, **variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    code = FAULTS.format(setting=setting)
    return int(subprocess.check_output([sys.executable, "-c", code], env={**env, **variables}, cwd=ROOT, text=True))


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc can be told")
def test_the_first_kernel_keeps_memory():
    """Twenty times five megabytes are some 24,000 pages of 4 KB: all of them anew, or none."""
    assert page_faults("kernels.keep_freed_memory(0)") > 5000
    assert page_faults(FIRST_KERNEL) < 500
    assert page_faults(f"{FIRST_KERNEL}; assert kernels.keep_freed_memory(0)") > 5000


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc can be told")
def test_who_has_decided_is_left_alone():
    assert page_faults(FIRST_KERNEL, MALLOC_TRIM_THRESHOLD_="0", MALLOC_MMAP_THRESHOLD_="131072") > 5000


@pytest.mark.parametrize("n", [-1, 1.5, True, None])
def test_wrong_sizes(n):
    with pytest.raises(kernels.KernelError, match="keep_freed_memory: n must be a whole number of bytes"):
        kernels.keep_freed_memory(n)
