"""`parallel`: how a kernel hands work to other threads."""

from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types

from kernels.cpu.simd.types import intrinsic
from kernels.cpu.team import share

_WORD = ir.IntType(64)


@intrinsic
def parallel(typing_context: Any, work: Any, workers: Any, count: Any, arguments: Any) -> Any:
    """Calls work(worker, item, *arguments) for each item < count: on up to `workers` threads, in any order.

    `work` is a kernel whose items can be done in any order and at the same time. `worker`, from 0 to workers - 1, says
    which thread an item is done by: two items at the same time have different ones, so it is an index of scratch
    memory. An error in an item becomes a MemoryError, which is the only one that kernels raise.
    """
    if not isinstance(work, types.Dispatcher) or not isinstance(arguments, types.BaseTuple):
        return None
    literal_kinds: list[Any] = list(cast(Any, arguments))
    signature: Any = _compiled_for(typing_context, work, [types.int64, types.int64, *literal_kinds])
    share_signature: Any = _compiled_for(typing_context, types.Dispatcher(cast(Any, share)), [types.int64] * 4)

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, values[3])
        kinds = signature.args[2:]
        parts = [context.cast(builder, *pair) for pair in zip(parts, literal_kinds, kinds, strict=True)]
        box_type = ir.LiteralStructType([ir.IntType(1), *(context.get_value_type(kind) for kind in kinds)])
        box = cgutils.alloca_once(builder, box_type)
        for number, part in enumerate([ir.IntType(1)(0), *parts]):
            builder.store(part, cgutils.gep_inbounds(builder, box, 0, number))
        item = _item_function(context, builder.module, work, signature, box_type)
        numbers = [builder.ptrtoint(item, _WORD), builder.ptrtoint(box, _WORD), values[1], values[2]]
        _call(context, builder, share, share_signature.args, numbers)
        failed = builder.load(cgutils.gep_inbounds(builder, box, 0, 0))
        with builder.if_then(failed, likely=False):
            context.call_conv.return_user_exc(builder, MemoryError, ("a kernel could not get memory to work in",))
        return context.get_dummy_value()

    return types.void(work, types.int64, types.int64, arguments), generate


def _compiled_for(typing_context: Any, function: Any, kinds: list[Any]) -> Any:
    """The signature of a kernel for arguments of these types, which compiles it."""
    return function.get_call_type(typing_context, tuple(types.unliteral(kind) for kind in kinds), {})


def _call(context: Any, builder: Any, function: Any, kinds: Any, values: Any) -> Any:
    """Calls a kernel, and returns its status."""
    compiled = function.overloads[tuple(kinds)]
    context.active_code_library.add_linking_library(compiled.library)
    callee = context.declare_function(builder.module, compiled.fndesc)
    result = context.call_conv.call_function(builder, callee, compiled.fndesc.restype, kinds, values)
    return result[0]


def _item_function(context: Any, module: Any, work: Any, signature: Any, box_type: Any) -> Any:
    """A C function (box, worker, item) that unpacks the box and calls `work`."""
    function_type = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
    function = ir.Function(module, function_type, module.get_unique_name("item"))
    function.linkage = "internal"
    address, worker, item = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    box = builder.inttoptr(address, box_type.as_pointer())
    places = [cgutils.gep_inbounds(builder, box, 0, number) for number in range(len(box_type.elements))]
    parts = [builder.load(place) for place in places[1:]]
    status = _call(context, builder, work.dispatcher, signature.args, [worker, item, *parts])
    with builder.if_then(status.is_error, likely=False):
        builder.store(ir.IntType(1)(1), places[0])
    builder.ret_void()
    return function
