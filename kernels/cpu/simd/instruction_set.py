"""How wide a vector register is on the processor that Numba compiles for, and how many there are.

We ask the compiler instead of listing processors: it translates an addition of 64 bytes, and the registers that appear
in its assembly are the answer. So `NUMBA_CPU_NAME=haswell` (AVX2) or `generic`, which change what Numba compiles for,
change the answer with it, and a processor that is yet to be built is as welcome as the one at hand.
"""

import re
from typing import Any

import llvmlite.binding as llvm
from numba.core import config
from numba.core.codegen import get_host_cpu_features

_ADDITION = """
define <16 x float> @add(<16 x float> %x, <16 x float> %y) {
  %sum = fadd <16 x float> %x, %y
  ret <16 x float> %sum
}
"""


def _target() -> tuple[str, str]:
    """The processor and its features, chosen as Numba chooses them."""
    settings: Any = config
    if settings.CPU_NAME is None:
        return llvm.get_host_cpu_name(), settings.CPU_FEATURES or get_host_cpu_features()
    return settings.CPU_NAME, settings.CPU_FEATURES or ""


def vector_registers() -> tuple[int, int]:
    """The bytes of a vector register, and the number of such registers."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = _target()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2)
    assembly = machine.emit_assembly(llvm.parse_assembly(_ADDITION))
    families = set(re.findall(r"\b([xyz]mm)\d", assembly))
    if "zmm" in families:
        return 64, 32
    if "ymm" in families:
        return 32, 16
    return 16, 16 if families else 32  # outside x86, registers of 16 bytes come in 32


VECTOR_BYTES, REGISTERS = vector_registers()
FLOAT32_LANES, FLOAT64_LANES = VECTOR_BYTES // 4, VECTOR_BYTES // 8

# The usual register tile, ROWS x COLS vectors of sums: with one vector of operands a column and one more that is
# broadcast, 6 * 4 + 4 + 1 of 32 registers are taken, or 6 * 2 + 2 + 1 of 16. Fewer sums would leave the multipliers
# waiting for operands or for their own results; more would spill to the stack.
ROWS = 6
COLS = 4 if REGISTERS == 32 else 2
