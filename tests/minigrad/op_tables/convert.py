"""Dtypes and copies."""

from __future__ import annotations

from op_harness import Dtype, Table, given, x

from minigrad.errors import ArgumentTypeError, DeviceError, DtypeError

table = Table(
    "convert",
    not_differentiable={"is_floating_point"},
    other_names={"to": "a method only in PyTorch, where the tensor itself has no name"},
)
case, wrong = table.case, table.wrong

f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")
i32, i64 = Dtype("int32"), Dtype("int64")

for target in (f16, f32, f64, Dtype("int8"), Dtype("int16"), i32, i64, Dtype("uint8"), Dtype("bool")):
    case("to", given([1.5, 2.0, 0.0]), target)
    case("to", given([1, 0, 7], "int64"), target)
case("to", given([True, False], "bool"), f32)
case("to", x(2, 2), f32, call=lambda m, a, t: a.to(dtype=t), note="by keyword")
case("to", x(2, 2), call=lambda m, a: a.to("cpu"), note="by device")
case("to", given([-1.7, 2.9]), i64, note="truncates")
for method in ("half", "float", "double", "long", "int", "short", "char", "bool"):
    case(
        "to", given([1.5, -2.75, 0.0]), call=lambda m, a, method=method: getattr(a, method)(), note=f"by {method}()",
        smooth=False,
    )  # fmt: skip
case("clone", x(2, 3))
case("clone", x(3, 2).transposed)
case("clone", given([1, 2], "int64"))
case("clone", x(0))
case("clone", x(3, 2), call=lambda m, a: a.t().contiguous(), note="by contiguous()")
case("to", given([1.5, 2.75, 0.0]), call=lambda m, a: a.byte(), note="by byte()", smooth=False)
case("to", x(2, 2), x(2, dtype="float32").fixed, note="as another tensor")
case("to", x(2, 2), given([1], "int64"), note="as another tensor")
case("to", x(2, 2), x(1, dtype="float16").fixed, call=lambda m, a, b: a.type_as(b), note="by type_as()")
case("to", x(2, 2), call=lambda m, a: a.cpu(), note="by cpu()")
case("to", x(2, 2), f32, copy=True)
case("to", x(2, 2).transposed, copy=True)
for copy in (False, True):
    case("to", x(2, 2), f64, call=lambda m, a, t, copy=copy: [a.to(t, copy=copy), a.to(a.dtype, copy=copy) is a],
         note=f"the tensor itself or a copy, copy={copy}")  # fmt: skip
for dtype in ("float16", "float32", "float64", "int64", "uint8", "bool"):
    case("is_floating_point", given([1, 0], dtype))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DeviceError, lambda m: m.ones(2).to("mps"), "to:", "'mps'", "cuda")
wrong(DtypeError, lambda m: m.ones(2).to("complex7"), "dtype:", "'complex7'", "write for example minigrad.float32")
wrong(ArgumentTypeError, lambda m: m.ones(2).type_as("float32"), "type_as:", "must be a Tensor", "str")
wrong(ArgumentTypeError, lambda m: m.clone([1.0]), "clone:", "expected a Tensor", "list")
wrong(ArgumentTypeError, lambda m: m.is_floating_point(1.0), "is_floating_point:", "expected a Tensor", "float")
