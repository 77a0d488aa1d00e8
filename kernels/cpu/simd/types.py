"""Vectors, masks and register tiles as types that Numba knows.

    Vector   16 x float32        one register (or a part of one, or several: LLVM splits what does not fit)
    Mask     16 x bit            the answer to a comparison of two vectors
    Tile     6 x 4 vectors       the sums of a register tile; LLVM keeps them in 24 registers

All are immutable values, like numbers: an operation on a tile gives a new tile, and that the compiler uses the same
registers for both is its business.
"""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.extending import models, register_model

# Numba gives an intrinsic the type of the function that makes its code; kernels call it with other arguments.
intrinsic: Callable[..., Any] = extending.intrinsic

_INTEGERS = (types.int8, types.uint8, types.int32, types.uint32, types.int64, types.uint64)


class VectorType(types.Type):
    """`lanes` numbers of one dtype."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype} x {lanes})")

    @property
    def is_float(self) -> bool:
        return isinstance(self.dtype, types.Float)

    @property
    def is_signed(self) -> bool:
        return isinstance(self.dtype, types.Integer) and bool(self.dtype.name.startswith("int"))

    @property
    def llvm(self) -> ir.VectorType:
        """The type of the machine's value."""
        return ir.VectorType(scalar(self.dtype), self.lanes)

    @property
    def suffix(self) -> str:
        """How LLVM names this type in the names of its functions: v16f32."""
        return f"v{self.lanes}{'f' if self.is_float else 'i'}{self.dtype.bitwidth}"


class MaskType(types.Type):
    """`lanes` truth values."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        """The type of the machine's value."""
        return ir.VectorType(ir.IntType(1), self.lanes)


class TileType(types.Type):
    """`rows` x `cols` vectors, stored row by row."""

    def __init__(self, vector: VectorType, rows: int, cols: int) -> None:
        self.vector, self.rows, self.cols = vector, rows, cols
        super().__init__(name=f"Tile({rows} x {cols} of {vector.name})")

    @property
    def llvm(self) -> ir.LiteralStructType:
        """The type of the machine's value."""
        return ir.LiteralStructType([self.vector.llvm] * (self.rows * self.cols))


def scalar(dtype: Any) -> Any:
    """The machine's type of one element."""
    if dtype == types.float32:
        return ir.FloatType()
    if dtype == types.float64:
        return ir.DoubleType()
    if dtype in _INTEGERS:
        return ir.IntType(dtype.bitwidth)
    raise TypeError(f"vectors hold float32, float64 or integers of 8, 32 or 64 bits, got {dtype}")


class _Value(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, numba_type.llvm)


for _type in (VectorType, MaskType, TileType):
    register_model(_type)(_Value)


def address(context: Any, builder: Any, array_type: Any, array: Any, index_type: Any, index: Any) -> Any:
    """A pointer to an element. An index is an offset into the flattened array, or a tuple with one for each dim.

    Plain pointer arithmetic: Python's negative indices, which count from the end, do not exist here. Numba would test
    for them at every access, and the test would cost more than the access.
    """
    made = context.make_array(array_type)(context, builder, array)
    if isinstance(index_type, types.BaseTuple):
        if len(index_type) != array_type.ndim:
            raise TypeError(f"an index of {len(index_type)} numbers into an array of {array_type.ndim} dims")
        sizes = cgutils.unpack_tuple(builder, made.shape)
        offset, kinds = ir.Constant(ir.IntType(64), 0), list(cast(Any, index_type))
        for dim, (size, part) in enumerate(zip(sizes, cgutils.unpack_tuple(builder, index), strict=True)):
            offset = builder.add(builder.mul(offset, size), whole(context, builder, kinds[dim], part))
    else:
        offset = whole(context, builder, index_type, index)
    return builder.gep(made.data, [offset])


def whole(context: Any, builder: Any, integer_type: Any, integer: Any) -> Any:
    """An integer of any type as the machine's 64-bit integer."""
    return context.cast(builder, integer, integer_type, types.int64)


def splatted(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    """A vector with `value` in all lanes."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


def llvm_function(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A function of LLVM's own, declared where the code is being built."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, list(arguments)), name)


def need_array(array: Any) -> VectorType:
    """The vector that fits into one register, for an array."""
    from kernels.cpu.simd.instruction_set import VECTOR_BYTES

    if not isinstance(array, types.Array) or array.layout != "C":
        raise TypeError(f"vectors live in C-contiguous arrays, got {array}")
    return VectorType(array.dtype, VECTOR_BYTES * 8 // array.dtype.bitwidth)
