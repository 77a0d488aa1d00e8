"""Dtypes and copies."""

from __future__ import annotations

from op_harness import Dtype, Table, given, x

table = Table("convert", other_names={"to": "a method only in PyTorch, where the tensor itself has no name"})
case = table.case

f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")
i32, i64 = Dtype("int32"), Dtype("int64")

for target in (f16, f32, f64, Dtype("int8"), Dtype("int16"), i32, i64, Dtype("uint8"), Dtype("bool")):
    case("to", given([1.5, 2.0, 0.0]), target)
    case("to", given([1, 0, 7], "int64"), target)
case("to", given([True, False], "bool"), f32)
case("to", x(2, 2), f32, call=lambda m, a, t: a.to(dtype=t), note="by keyword")
case("to", x(2, 2), call=lambda m, a: a.to("cpu"), note="by device")
case("to", given([-1.7, 2.9]), i64, note="truncates")
for method in ("float", "double", "long", "int", "bool"):
    case(
        "to", given([1.5, -2.75, 0.0]), call=lambda m, a, method=method: getattr(a, method)(), note=f"by {method}()",
        smooth=False,
    )  # fmt: skip
case("clone", x(2, 3))
case("clone", x(3, 2).transposed)
case("clone", given([1, 2], "int64"))
case("clone", x(0))
case("clone", x(3, 2), call=lambda m, a: a.t().contiguous(), note="by contiguous()")
