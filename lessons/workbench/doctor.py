"""``minigrad doctor``: is everything here that minigrad needs, and what to do about what is not.

Each probe looks at one thing and may fail by itself: whatever it raises becomes a finding of its own.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lessons.anatomy.text import PLAIN, Style, padded
from lessons.workbench.report import version


@dataclass(frozen=True)
class Finding:
    """What a probe saw.  ``advice`` is empty when all is well; ``broken``: minigrad cannot work like this."""

    text: str
    advice: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Probe:
    """``look`` returns what it found; when it raises, that is a finding too, broken if ``essential``."""

    name: str
    look: Callable[[], Finding]
    essential: bool = False
    remedy: str = ""

    def finding(self) -> Finding:
        try:
            return self.look()
        except Exception as error:
            text = f"failed: {type(error).__name__}: {error}"
            return Finding(text, self.remedy or "report this line as a bug of minigrad", self.essential)


# ---- what is installed


def minigrad() -> Finding:
    importlib.import_module("minigrad")
    return Finding(f"{version()} ({Path(__file__).parents[2]})")


def python() -> Finding:
    return Finding(f"{platform.python_version()} ({sys.executable})")


def package(name: str) -> Finding:
    """A package that minigrad cannot do without; raises what its import raises."""
    return Finding(str(importlib.import_module(name).__version__))


def torch() -> Finding:
    """PyTorch is optional, and slow to import: its version is read from the installation."""
    if importlib.util.find_spec("torch") is None:
        return Finding("not installed (optional: live comparisons; pip install torch)")
    return Finding(metadata.version("torch"))


# ---- the processor and what runs on it

SIMD = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512vl", "avx512vpopcntdq", "neon", "sve")


def processor() -> Finding:
    """The processor and its vector instructions as LLVM, and so Numba, sees them."""
    binding = importlib.import_module("llvmlite.binding")
    features = simd_names(binding.get_host_cpu_features())
    return Finding(f"{binding.get_host_cpu_name()}: {' '.join(features) or 'no vector instructions known to us'}")


def simd_names(features: dict[str, bool]) -> list[str]:
    return [name for name in SIMD if features.get(name)]


def threads() -> Finding:
    """Threads that kernels use against processors that this process may use."""
    count, usable = importlib.import_module("kernels").get_num_threads(), _usable_processors()
    text = f"kernels use {count}; this process may use {usable} of {os.cpu_count()} processors"
    if count > usable:
        return Finding(text, f"more threads than processors is slow: set NUMBA_NUM_THREADS={usable}")
    return Finding(text)


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas() -> Finding:
    """The library behind NumPy's matrix product, and whether it chose kernels for this processor."""
    binding = importlib.import_module("llvmlite.binding")
    features = binding.get_host_cpu_features()
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        numpy = importlib.import_module("numpy")
        built = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return Finding(f"{built.get('name')} {built.get('version')} (threadpoolctl would tell more)")
    return blas_finding(threadpoolctl.threadpool_info(), features)


def blas_finding(pools: Iterable[dict[str, Any]], features: dict[str, bool]) -> Finding:
    """Judge the pools that threadpoolctl reports: OpenBLAS may fall back to its kernels for AVX2."""
    found = [pool for pool in pools if pool.get("user_api") == "blas"]
    if not found:
        return Finding("none that threadpoolctl knows")
    text = "; ".join(
        f"{pool.get('internal_api')} {pool.get('version')}, {pool.get('num_threads')} threads"
        + (f", kernels for {pool['architecture']}" if pool.get("architecture") else "")
        for pool in found
    )
    old = any(str(pool.get("architecture")).lower() in ("haswell", "zen") for pool in found)
    if old and features.get("avx512f"):
        advice = (
            "this processor has AVX-512: `export OPENBLAS_CORETYPE=SkylakeX` before Python starts "
            "can nearly double matmul"
        )
        return Finding(text, advice)
    return Finding(text)


# ---- the kernels


def cache_folder() -> Finding:
    """Where machine code is kept, and whether it can be."""
    return cache_finding(importlib.import_module("kernels.runtime").cache_folder())


def cache_finding(folder: str | None) -> Finding:
    if folder is None:
        advice = "kernels are compiled anew in every process: set NUMBA_CACHE_DIR to a folder you can write to"
        return Finding("no folder can be written", advice)
    return Finding(folder)


def kernel() -> Finding:
    """The first call of the batch norm kernels in this process: is it right, and what did compiling cost?"""
    import numpy as np

    kernels = importlib.import_module("kernels")
    reference = importlib.import_module("kernels.reference.batchnorm")
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 1024, 256)).astype(np.float32)  # enough for the compiled version to be chosen
    ones = np.ones(256, np.float32)
    start = time.perf_counter()
    _, mean, inv_std = kernels.batch_norm_forward(x, ones, None, 1e-5)
    dx = kernels.batch_norm_backward(dy, x, ones, mean, inv_std)[0]
    seconds = time.perf_counter() - start
    want = reference.backward_closed(*(a.astype(np.float64) for a in (dy, x, ones, mean, inv_std)))[0]
    error = float(np.abs(dx - want).max())
    text = f"batch norm: first call {seconds:.2f} s, compiled or from the cache; of every kernel: doctor --kernels"
    return kernel_finding(error, text)


def kernel_finding(error: float, text: str) -> Finding:
    """Judge the largest error of a float32 gradient whose elements are of order one."""
    if not error < 1e-4:
        advice = "its result is wrong: delete the cache folder above and try again, then report it as a bug"
        return Finding(f"{text}, error {error:.1e}", advice, broken=True)
    return Finding(text)


def kernel_probes() -> tuple[Probe, ...]:
    """One probe for each kernel; together they take a minute or two, so they are looked at only when asked for."""
    from lessons.workbench.bench import KERNELS, chosen

    cases = [(module, case) for family in KERNELS for module, case in chosen(family, quick=True)]
    return tuple(
        Probe(
            f"{case.family} {' '.join(case.name.split())}",
            functools.partial(first_call, module, case),
            remedy=REINSTALL,
        )
        for module, case in cases
    )


def first_call(module: str, case: Any) -> Finding:
    """The first call of one kernel, compiled and then from the cache, each in a new process."""
    return first_call_finding(*importlib.import_module("kernels.bench.first_call").seconds(module, case))


def first_call_finding(compiling: float, cached: float) -> Finding:
    """Judge the seconds of a first call by what we aim at: 3 to compile a kernel, 0.3 to find it in the cache."""
    text = f"first call {compiling:.2f} s, compiling; {cached:.2f} s in the next process, from the cache"
    if compiling > 3 or cached > 0.3:
        return Finding(text, "slower than the 3 s and 0.3 s that we aim at; is the machine busy?")
    return Finding(text)


# ---- CUDA and data


def cuda() -> Finding:
    """Whether CUDA kernels could run.  They are optional, so nothing here is broken."""
    driver = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()
    if importlib.util.find_spec("numba_cuda") is None:
        if driver:
            return Finding("an NVIDIA driver, but not numba-cuda", 'pip install "minigrad[cuda]"')
        return Finding("no NVIDIA driver and no numba-cuda (optional)")
    device = importlib.import_module("numba.cuda")
    if device.is_available():
        name = device.get_current_device().name
        return Finding(name.decode() if isinstance(name, bytes) else str(name))
    return Finding("numba-cuda is installed, but sees no usable device", "check that `nvidia-smi` lists a GPU")


def digits() -> Finding:
    """The digits that ship with the lessons; loading checks their SHA-256."""
    data = importlib.import_module("lessons.data.mnist").load()
    return Finding(f"{len(data.train_images)} + {len(data.test_images)} MNIST digits, SHA-256 as published")


def all_digits() -> Finding:
    """The full MNIST is optional; a damaged copy is not fine."""
    files = importlib.import_module("lessons.data.files")
    folder = files.mnist_folder()
    if all(file.find(folder) is None for file in files.MNIST_FILES):
        return Finding("not downloaded (optional: for `--full`; minigrad data mnist)")
    data = importlib.import_module("lessons.data.mnist").load(full=True)
    return Finding(f"{len(data.train_images)} + {len(data.test_images)} digits in {folder}, SHA-256 as published")


REINSTALL = "reinstall: pip install --force-reinstall minigrad"

PROBES = (
    Probe("python", python, essential=True),
    Probe("minigrad", minigrad, essential=True, remedy=REINSTALL),
    *(
        Probe(name, functools.partial(package, name), essential=True, remedy=f"pip install {name}")
        for name in ("numpy", "numba", "matplotlib")
    ),
    Probe("torch", torch, remedy="reinstall torch, or uninstall it: it is optional"),
    Probe("processor", processor),
    Probe("threads", threads),
    Probe("BLAS", blas),
    Probe("cache folder", cache_folder),
    Probe("kernels", kernel, essential=True, remedy=REINSTALL),
    Probe("CUDA", cuda, remedy='reinstall: pip install "minigrad[cuda]"; it is optional'),
    Probe("digits", digits, essential=True, remedy=REINSTALL),
    Probe("full MNIST", all_digits, remedy="minigrad data mnist"),
)


def examine(probes: Iterable[Probe], style: Style = PLAIN) -> bool:
    """Print every probe's finding as it comes; returns whether nothing essential is broken."""
    probes = list(probes)
    column = max(len(probe.name) for probe in probes)
    healthy = True
    for probe in probes:
        finding = probe.finding()
        healthy = healthy and not finding.broken
        mark = style.bad("broken") if finding.broken else style.bold("look  ") if finding.advice else "ok    "
        print(f"{mark}  {padded(probe.name, column)}  {finding.text}")
        if finding.advice:
            print(f"        {padded('', column)}  -> {finding.advice}")
    return healthy
