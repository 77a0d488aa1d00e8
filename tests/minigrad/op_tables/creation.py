"""Making tensors."""

from __future__ import annotations

from op_harness import Dtype, Table, given, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, InPlaceError, ShapeError

table = Table("creation", other_names={"arange": "PyTorch has no name for the only argument of arange(n)"})
case, wrong = table.case, table.wrong

f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")
i32, i64 = Dtype("int32"), Dtype("int64")

for op in ("zeros", "ones", "rand", "randn"):
    # Random numbers differ between the libraries; the shape and the dtype do not.
    keep = 0 if op.startswith("rand") else 1
    for args in ((2, 3), ((2, 3),), ([2],), ((),), (0, 2)):
        case(op, *args, call=lambda m, *a, op=op, keep=keep: getattr(m, op)(*a) * keep)
    case(op, 2, dtype=f64, call=lambda m, *a, op=op, keep=keep, **k: getattr(m, op)(*a, **k) * keep)
case("zeros", 2, dtype=i64)
case("ones", 2, dtype=Dtype("bool"))
for fill in (2, 2.5, True):
    case("full", (2, 2), fill)
    case("full", (2,), fill, dtype=f64)
    case("full_like", x(2), fill)
case("full", (), 1.5)
case("full_like", given([1, 2], "int64"), 3)
case("zeros_like", x(2, 3))
case("zeros_like", given([1, 2], "int64"))
case("ones_like", given([True], "bool"))
case("ones_like", x(2), dtype=i32)
case("eye", 3)
case("eye", 2, 3)
case("eye", 0)
case("eye", 2, dtype=i64)
case("arange", 4)
case("arange", 1, 4)
case("arange", 4, 0, -2)
case("arange", 0, 1, 0.25)
case("arange", 2.5)
case("arange", 0)
case("arange", 1, 2.0, 0.5, dtype=f64)
case("arange", 3, dtype=f32)
case("linspace", 0, 1, 5)
case("linspace", -1.0, 1.0, 4, dtype=f64)
case("linspace", 3.0, 3.0, 1)
case("linspace", 0, 1, 0)
case("randint", 0, 5, (2, 3), call=lambda m, *a: m.randint(*a) * 0)
case("randint", 5, (2,), call=lambda m, high, size: m.randint(high, size=size) * 0)
case("randperm", 5, call=lambda m, n: m.randperm(n).sum())
case("tensor", call=lambda m: [m.tensor(1.5), m.tensor([1, 2]), m.tensor([[True]]), m.tensor([]), m.tensor([1, 2.5])])
case("as_tensor", call=lambda m: [m.as_tensor(1.5), m.as_tensor([1, 2]), m.as_tensor([0.5], dtype=m.float64)])

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.zeros(-1), "zeros:", ">= 0", "(-1,)")
wrong(ArgumentTypeError, lambda m: m.ones("a"), "ones:", "integers", "('a',)")
wrong(ArgumentTypeError, lambda m: m.full((2,), "a"), "full:", "a real number", "str: 'a'")
wrong(ArgumentError, lambda m: m.arange(0, 3, -1), "arange:", "step -1", "0 to 3")
wrong(ArgumentError, lambda m: m.arange(0, 3, 0), "arange:", "step 0", "0 to 3")
wrong(ShapeError, lambda m: m.eye(-1), "eye:", ">= 0", "(-1, -1)")
wrong(ShapeError, lambda m: m.linspace(0, 1, -1), "linspace:", ">= 0", "(-1,)")
wrong(ArgumentError, lambda m: m.randint(3, 3, (2,)), "randint:", "less than high", "3 and 3")
wrong(ShapeError, lambda m: m.randperm(-1), "randperm:", ">= 0", "(-1,)")
wrong(ArgumentError, lambda m: m.manual_seed("a"), "manual_seed:", "an integer", "'a'")
wrong(ShapeError, lambda m: m.tensor([[1], [2, 3]]), "tensor:", "rows of different lengths")
wrong(DtypeError, lambda m: m.tensor(["a"]), "tensor:", "expected numbers", "'a'")
wrong(DtypeError, lambda m: m.tensor([1], dtype=m.int64, requires_grad=True), "requires_grad:", "int64", "x.float()")
wrong(ArgumentTypeError, lambda m: m.from_numpy([1]), "from_numpy:", "a NumPy array", "list")
wrong(ShapeError, lambda m: m.ones(2).item(), "item():", "one element", "(2,)")
wrong(ShapeError, lambda m: bool(m.ones(2)), "bool():", "(2,)", ".any()")
wrong(ArgumentTypeError, lambda m: len(m.ones(())), "len():", "0-dim")
wrong(ArgumentTypeError, lambda m: list(m.ones(())), "iteration", "0-dim", "x.item()")
wrong(InPlaceError, lambda m: m.ones(2, requires_grad=True).numpy(), "numpy():", "(2,)", "x.detach().numpy()")
