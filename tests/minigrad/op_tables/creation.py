"""Making tensors."""

from __future__ import annotations

import math
from typing import Any

from op_harness import Dtype, Table, given, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, InPlaceError, ShapeError

table = Table("creation", other_names={"arange": "PyTorch has no name for the only argument of arange(n)"})
case, wrong = table.case, table.wrong

f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")
i32, i64 = Dtype("int32"), Dtype("int64")


def sized(op: str) -> Any:
    """The shape and the dtype alone: random numbers differ between the libraries, and `empty` has any."""
    return lambda m, *args, **kwargs: m.ones_like(getattr(m, op)(*args, **kwargs))


for op in ("zeros", "ones", "rand", "randn", "empty"):
    made = None if op in ("zeros", "ones") else sized(op)
    for args in ((2, 3), ((2, 3),), ([2],), ((),), (0, 2)):
        case(op, *args, call=made)
    case(op, 2, dtype=f64, call=made)
    case(op, (2, 1), dtype=f16, call=made)
case("zeros", 2, dtype=i64)
case("ones", 2, dtype=Dtype("bool"))
case("empty", 2, dtype=Dtype("bool"), call=sized("empty"))
for fill in (2, 2.5, True):
    case("full", (2, 2), fill)
    case("full", (2,), fill, dtype=f64)
    case("full_like", x(2), fill)
case("full", (), 1.5)
case("full", (2,), given(2.5).fixed)
case("full_like", given([1, 2], "int64"), 3)
case("zeros_like", x(2, 3))
case("zeros_like", given([1, 2], "int64"))
case("ones_like", given([True], "bool"))
case("ones_like", x(2), dtype=i32)
case("scalar_tensor", s=2, call=lambda m, **k: m.scalar_tensor(**k))
case("scalar_tensor", 2.5, dtype=i64, call=lambda m, *a, **k: m.scalar_tensor(*a, **k))
case("scalar_tensor", True, call=lambda m, *a: m.scalar_tensor(*a))
for op in ("empty_like", "rand_like", "randn_like"):
    case(op, x(2, 3), call=sized(op))
    case(op, x(2).fixed, dtype=f16, call=sized(op))
    case(op, x(0, 2), call=sized(op))
    case(op, given([1, 2], "int64"), dtype=f64, call=sized(op))
case("empty_like", given([1, 2], "uint8"), call=sized("empty_like"))
case("randint_like", x(2, 3), 5, call=sized("randint_like"))
case("randint_like", given([1, 2], "int32"), 5, 8, call=sized("randint_like"))
case("randint_like", x(2), high=4, low=-1, dtype=i64, call=sized("randint_like"))
case("randint_like", x(2).fixed, 3, 4, call=lambda m, *a: m.randint_like(*a))
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
case("arange", True)
case("arange", given(3, "int64"))
case("linspace", 0, 1, 5)
case("linspace", -1.0, 1.0, 4, dtype=f64)
case("linspace", 3.0, 3.0, 1)
case("linspace", 0, 1, 0)
case("linspace", 0, 5, 3, dtype=i64)
case("linspace", 1, 1e38, 3)
case("linspace", given(0.0).fixed, given(1.0).fixed, 3)


def plainly(op: str) -> Any:
    return lambda m, *args, **kwargs: getattr(m, op)(*args, **kwargs)


for args, kwargs in (
    ((0, 2, 3), {}), ((0, 2, 3), {"base": 2, "dtype": i64}), ((-1.0, 1.0, 4, 2.0), {"dtype": f64}), ((0, 1, 1), {}),
    ((0, 1, 0), {}), ((0, 1, 3), {"base": 0.0}), ((0, 1, 3), {"base": -1.0}), ((0, 300, 2), {}),
    ((), {"start": 1, "end": 2, "steps": 3, "base": 3.0}),
):  # fmt: skip
    case("logspace", *args, call=plainly("logspace"), **kwargs)
for op in ("tril_indices", "triu_indices"):
    for args in ((3, 3), (3, 2), (2, 4, 1), (4, 3, -1), (2, 2, 5), (2, 2, -5), (0, 2), (2, 0)):
        case(op, *args, call=plainly(op))
    case(op, row=2, col=3, offset=1, dtype=i32, call=plainly(op))
case("randint", 0, 5, (2, 3), call=sized("randint"))
case("randint", 5, (2,), call=lambda m, high, size: m.randint(high, size=size) * 0)
case("randint", 5, (2,), dtype=f32, call=sized("randint"))
case("randperm", 5, call=lambda m, n: m.randperm(n).sum())
case("randperm", 5, dtype=f32, call=sized("randperm"))
# What is certain: probabilities 0 and 1, no spread, a single index that can be drawn.
case("bernoulli", given([[0.0, 1.0], [1.0, 0.0]]).fixed, call=plainly("bernoulli"))
case("bernoulli", given([0, 1], "int64"), 1.0, call=plainly("bernoulli"))
case("bernoulli", x(2, 3).fixed, p=0, call=plainly("bernoulli"))
case("bernoulli", x(0).fixed, 0.5, call=plainly("bernoulli"))
case("bernoulli", given([0.0, 1.0]).fixed, note="method", call=lambda m, p: p.bernoulli())
for args in (
    (given([1.0, 2.0]).fixed, given([0.0, 0.0]).fixed), (given([[1.0], [2.0]]).fixed, given([0.0, 0.0, 0.0]).fixed),
    (1.5, given([0.0, 0.0]).fixed), (given([1.0, 2.0]).fixed, 0.0), (1, 0, (2, 3)), (1.5, 0.0, ()),
):  # fmt: skip
    case("normal", *args, call=plainly("normal"))
case("normal", mean=2.0, std=0.0, size=(2,), dtype=f64, call=plainly("normal"))
case("normal", given([1.0], "float32").fixed, given([0.0], "float64").fixed, call=plainly("normal"))
case("normal", x(2, 3).fixed, call=sized("normal"))
case("multinomial", given([0.0, 1.0, 0.0]).fixed, 1, call=plainly("multinomial"))
case("multinomial", given([[0.0, 1.0], [2.0, 0.0]]).fixed, 1, call=plainly("multinomial"))
case("multinomial", given([[0.0, 1.0], [2.0, 0.0]]).fixed, 3, True, call=plainly("multinomial"))
case("multinomial", given([0.0, 1.0]).fixed, num_samples=2, replacement=False, call=plainly("multinomial"))
case("multinomial", given([[0.5, 1.0, 2.0]]).fixed, 2, call=sized("multinomial"))
case("multinomial", x(0, 2).fixed, 1, call=plainly("multinomial"))
case("multinomial", given([0.0, 1.0], "float16"), 1, note="method", call=lambda m, w, n: w.detach().multinomial(n))
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
wrong(ShapeError, lambda m: m.empty(-1), "empty:", ">= 0", "(-1,)")
wrong(DtypeError, lambda m: m.empty(2, dtype=m.int64, requires_grad=True), "requires_grad:", "int64")
wrong(ArgumentTypeError, lambda m: m.full_like(m.ones(2), "a"), "full:", "a real number", "'a'")
wrong(ArgumentTypeError, lambda m: m.scalar_tensor("a"), "scalar_tensor:", "a real number", "'a'")
wrong(ArgumentError, lambda m: m.full((2,), 300, dtype=m.uint8), "full:", "300", "uint8")
wrong(ShapeError, lambda m: m.full((2,), m.ones(2)), "full:", "a number", "(2,)")
for op in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"):
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)([1.0]), f"{op}:", "a Tensor", "list")
wrong(ArgumentTypeError, lambda m: m.full_like([1.0], 2), "full_like:", "a Tensor", "list")
wrong(ArgumentTypeError, lambda m: m.randint_like([1.0], 2), "randint_like:", "a Tensor", "list")
wrong(ArgumentError, lambda m: m.arange(1e300), "arange:", "memory", "1e+300")
wrong(ArgumentTypeError, lambda m: m.arange("a"), "arange:", "a real number", "'a'")
wrong(ArgumentError, lambda m: m.arange(0, math.nan), "arange:", "finite", "nan")
wrong(ArgumentTypeError, lambda m: m.linspace("a", 1, 2), "linspace:", "a real number", "'a'")
wrong(ShapeError, lambda m: m.logspace(0, 1, -1), "logspace:", ">= 0", "(-1,)")
wrong(ArgumentTypeError, lambda m: m.logspace(0, "a", 2), "logspace:", "a real number", "'a'")
wrong(ShapeError, lambda m: m.tril_indices(-1, 2), "tril_indices:", ">= 0", "(-1, 2)")
wrong(ShapeError, lambda m: m.triu_indices(2, -1), "triu_indices:", ">= 0", "(2, -1)")
wrong(ArgumentTypeError, lambda m: m.triu_indices(2, 2, 0.5), "triu_indices:", "offset", "0.5")
wrong(DtypeError, lambda m: m.tril_indices(2, 2, dtype=m.float32), "tril_indices:", "int32 or int64", "float32")
wrong(DtypeError, lambda m: m.triu_indices(2, 2, dtype=m.float32), "triu_indices:", "int32 or int64", "float32")
wrong(DtypeError, lambda m: m.rand(2, dtype=m.int64), "rand:", "floating", "int64")
wrong(DtypeError, lambda m: m.randn(2, dtype=m.int64), "randn:", "floating", "int64")
wrong(DtypeError, lambda m: m.rand_like(m.tensor([1])), "rand_like:", "floating", "int64")
wrong(DtypeError, lambda m: m.randn_like(m.tensor([1])), "randn_like:", "floating", "int64")
wrong(ArgumentError, lambda m: m.randint(0, 300, (2,), dtype=m.uint8), "randint:", "0 to 299", "uint8")
wrong(DtypeError, lambda m: m.randint(3, (2,), requires_grad=True), "requires_grad:", "int64")
wrong(ArgumentError, lambda m: m.randint_like(m.ones(2), 3, 3), "randint_like:", "less than high", "3 and 3")
wrong(ArgumentTypeError, lambda m: m.randint_like(m.ones(2), "a"), "randint_like:", "integers", "'a'")
wrong(ArgumentTypeError, lambda m: m.randperm(2.5), "randperm:", "integers", "2.5")
wrong(ArgumentTypeError, lambda m: m.rand(2, generator=3), "generator:", "int")
wrong(DtypeError, lambda m: m.bernoulli(m.tensor([0, 1])), "bernoulli:", "floating", "int64")
wrong(ArgumentError, lambda m: m.bernoulli(m.tensor([0.0, 1.5])), "bernoulli:", "0 to 1", "1.5")
wrong(ArgumentError, lambda m: m.bernoulli(m.tensor([math.nan])), "bernoulli:", "0 to 1", "nan")
wrong(ArgumentError, lambda m: m.bernoulli(m.ones(1), 2.0), "bernoulli:", "0 to 1", "2.0")
wrong(ArgumentTypeError, lambda m: m.bernoulli([0.5]), "bernoulli:", "a Tensor", "list")
wrong(ArgumentError, lambda m: m.normal(0.0, -1.0, (2,)), "normal:", ">= 0", "-1.0")
wrong(ArgumentError, lambda m: m.normal(m.ones(2), m.tensor([-1.0])), "normal:", ">= 0", "-1.0")
wrong(ArgumentTypeError, lambda m: m.normal(0.0, 1.0), "normal:", "a size")
wrong(ArgumentTypeError, lambda m: m.normal(m.ones(2), 1.0, (2,)), "normal:", "no size")
wrong(ArgumentTypeError, lambda m: m.normal("a", 1.0, (2,)), "normal:", "a real number", "'a'")
wrong(DtypeError, lambda m: m.normal(m.tensor([1, 2]), 1.0), "normal:", "floating", "int64")
wrong(ShapeError, lambda m: m.normal(m.ones(2), m.ones(3)), "normal:", "(2,)", "(3,)")
wrong(DtypeError, lambda m: m.multinomial(m.tensor([1, 2]), 1), "multinomial:", "floating", "int64")
wrong(ShapeError, lambda m: m.multinomial(m.ones(()), 1), "multinomial:", "one or two", "()")
wrong(ShapeError, lambda m: m.multinomial(m.ones(2, 2, 2), 1), "multinomial:", "one or two", "(2, 2, 2)")
wrong(ArgumentError, lambda m: m.multinomial(m.ones(2), 0), "multinomial:", "> 0", "0")
wrong(ArgumentError, lambda m: m.multinomial(m.ones(2), 3), "multinomial:", "3 samples of 2", "replacement=True")
wrong(ArgumentError, lambda m: m.multinomial(m.tensor([0.0, -1.0]), 1), "multinomial:", ">= 0")
wrong(ArgumentError, lambda m: m.multinomial(m.tensor([0.0, math.inf]), 1), "multinomial:", "finite")
wrong(ArgumentError, lambda m: m.multinomial(m.zeros(2), 1), "multinomial:", "not all 0")
wrong(ArgumentTypeError, lambda m: m.multinomial([1.0], 1), "multinomial:", "a Tensor", "list")
