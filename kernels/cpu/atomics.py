"""Words of memory that several threads read and write at the same time.

They lie on one board, which machine code finds under a name and not under an address, so that code from the disk finds
it too. All accesses are sequentially consistent: all threads see them in one and the same order. Each word has two
cache lines to itself, or threads that wait for one word would disturb those that work on its neighbour.
"""

import ctypes
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types

from kernels.cpu.simd.types import intrinsic, llvm_function

WORDS = 9
_SPACING = 16  # words: two lines, since processors fetch lines in pairs
_NAME = "minigrad_board"
_WORD = ir.IntType(64)

# Never freed: a thread may still look at it while Python is clearing up.
_board = (ctypes.c_int64 * (_SPACING * (WORDS + 2)))()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_board))
_first = -ctypes.addressof(_board) % (8 * _SPACING) // 8
llvm.add_symbol(_NAME, ctypes.addressof(_board) + 8 * _first)


def peek(word: int) -> int:
    """What a word holds, for Python."""
    return _board[_first + _SPACING * word]


def poke(word: int, value: int) -> None:
    """Changes a word, for Python."""
    _board[_first + _SPACING * word] = value


def _place(builder: Any, word: Any) -> Any:
    module = builder.module
    board = module.globals.get(_NAME) or cgutils.add_global_variable(module, _WORD, _NAME)
    return builder.gep(board, [builder.mul(word, _WORD(_SPACING))])


@intrinsic
def read(typing_context: Any, word: Any) -> Any:
    """What the word holds now."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_place(builder, arguments[0]), "seq_cst", 8)

    return types.int64(types.int64), generate


@intrinsic
def write(typing_context: Any, word: Any, value: Any) -> Any:
    """Changes what the word holds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _place(builder, arguments[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def add(typing_context: Any, word: Any, value: Any) -> Any:
    """Adds to the word, and returns what it held before: no two threads get the same."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def replace(typing_context: Any, word: Any, old: Any, new: Any) -> Any:
    """Changes the word from `old` to `new` and returns whether it did: only if it held `old`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, old_value, new_value = _place(builder, arguments[0]), arguments[1], arguments[2]
        return builder.extract_value(builder.cmpxchg(place, old_value, new_value, "seq_cst", "seq_cst"), 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


@intrinsic
def pause(typing_context: Any) -> Any:
    """Tells the processor that this thread does nothing but wait, so that others of the same core can have it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        processor = llvm.get_process_triple().split("-")[0]
        if processor in ("x86_64", "i686"):
            builder.call(llvm_function(builder, "llvm.x86.sse2.pause", ir.VoidType()), [])
        elif processor in ("aarch64", "arm64"):
            integer = ir.IntType(32)
            builder.call(llvm_function(builder, "llvm.aarch64.isb", ir.VoidType(), integer), [integer(15)])
        return context.get_dummy_value()

    return types.void(), generate
