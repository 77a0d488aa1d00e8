"""Every CUDA kernel compiles for real GPUs, without one: NVIDIA's compiler runs anywhere.

The simulator runs Python; only Numba's compiler tells whether it can type a kernel, and only NVIDIA's assembler tells
whether its tiles stay in registers. Needs `pip install 'numba-cuda[cu12]'`.
"""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest
from cuda_offline import Handle, assemble, compiling, ptxas

import kernels
from kernels.cuda import device
from kernels.cuda.array import DeviceArray

pytestmark = [
    pytest.mark.skipif(device.SIMULATED, reason="the simulator replaces Numba's compiler"),
    pytest.mark.skipif(
        importlib.util.find_spec("numba_cuda") is None or ptxas() is None,
        reason="compiles CUDA kernels offline; pip install 'numba-cuda[cu12]' to run it",
    ),
    pytest.mark.filterwarnings("ignore"),  # of Numba's: about grids that are too small, for example
]

FLOATS = [np.float32, np.float64]
ONE = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)


def array(*shape: int, dtype=np.float32) -> DeviceArray:
    return DeviceArray(Handle(shape, dtype))


def convolutions(dtype) -> None:
    for channels in (16, 64, 256):  # a tile of each size
        x, weight = array(32, channels, 16, 16, dtype=dtype), array(channels, channels, 3, 3, dtype=dtype)
        kernels.conv_forward(x, weight, array(channels, dtype=dtype), *ONE)
        kernels.conv_backward_input(x, weight, (16, 16), *ONE)
        kernels.conv_backward_weight(x, x, (3, 3), *ONE)
    kernels.conv_backward_bias(x)


def batch_norms(dtype) -> None:
    for shape in ((64, 256), (8, 256, 16, 16)):
        x, c = array(*shape, dtype=dtype), array(256, dtype=dtype)
        kernels.batch_norm_forward(x, c, c, 1e-5)
        kernels.batch_norm_eval(x, c, c, c, c, 1e-5)
        kernels.batch_norm_backward(x, x, c, c, c)


def samples(dtype) -> None:
    x, grid, dy = (array(*shape, dtype=dtype) for shape in ((4, 32, 16, 16), (4, 8, 8, 2), (4, 32, 8, 8)))
    for mode in ("zeros", "border", "reflection"):
        kernels.grid_sample_forward(x, grid, mode)
        kernels.grid_sample_backward(dy, x, grid, mode, align_corners=True)
        kernels.grid_sample_nearest_forward(x, grid, mode)
        kernels.grid_sample_nearest_backward(dy, grid, (16, 16), mode)
    device.set_deterministic(False)
    try:
        kernels.grid_sample_backward(dy, x, grid)
    finally:
        device.set_deterministic(True)


def signs(dtype) -> None:
    x, weight = array(4, 256, 16, 16, dtype=dtype), array(256, 256, 3, 3, dtype=dtype)
    kernels.xnor_conv2d(x, kernels.pack_weights(weight), padding=1, scale_input=True)


def functions(dtype) -> None:
    from kernels.cuda.elementwise import FUNCTIONS

    x, column = array(4, 5, 6, dtype=dtype), array(5, 1, dtype=dtype)
    for ufunc in FUNCTIONS:
        ufunc(*[x, column][: ufunc.nin])
    kernels.where(x > 0, x, 0.0)
    x.sum()
    x.sum(1)
    x.astype(np.int64).sum(0)


@pytest.mark.parametrize("capability", [(7, 5), (9, 0)], ids=["sm_75", "sm_90"])
@pytest.mark.parametrize("dtype", FLOATS, ids=["float32", "float64"])
@pytest.mark.parametrize("family", [convolutions, batch_norms, samples, signs, functions], ids=lambda f: f.__name__)
def test_it_compiles_and_stays_in_registers(family, dtype, capability):
    with compiling(capability) as found:
        family(dtype)
    assert found
    for kernel in found:
        assemble(kernel, f"sm_{capability[0]}{capability[1]}")
        assert kernel.spills == 0, kernel.name
        assert kernel.registers * kernel.threads <= 65536, f"{kernel.name} cannot be launched"
        assert kernel.shared <= 48 * 1024, kernel.name
        if kernel.name == "tiled_product":  # whole tiles in registers: each product of the tile is an instruction
            assert max(kernel.ptx.count("fma.rn.f"), kernel.ptx.count("popc.b64")) >= 16
            reads = re.findall(r"\bld\.shared\S*", kernel.ptx)
            assert reads
            assert all(".v" in read for read in reads), f"not 16 bytes at a time: {reads}"


def test_a_kernel_that_cannot_be_typed_is_found():
    from numba import cuda
    from numba.core.errors import NumbaError

    @cuda.jit
    def untypable(x):
        x[0] = "text"

    with compiling() as _, pytest.raises(NumbaError):
        device.launch(untypable, 1, 1, array(3).handle)
