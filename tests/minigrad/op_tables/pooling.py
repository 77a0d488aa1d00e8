"""Pooling, and its inverse for maxima, as functions and as layers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, distinct, given, integers, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("pooling")
case, layer, wrong = table.case, table.layer, table.wrong

NAN, INF = float("nan"), float("inf")
SPOILT = given([[[[1.0, NAN, 2.0, 3.0], [NAN, 4.0, 5.0, INF], [6.0, 7.0, -INF, -INF], [8.0, 9.0, -INF, -INF]]]])
TIES = given([[[[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [2.0, 2.0, 0.0]]]])

# --- max_pool1d, max_pool2d, max_pool3d -------------------------------------------------------------------------------

case("max_pool1d", distinct(2, 3, 5), 2)
case("max_pool1d", distinct(3, 5), (3,), 1, 1)
case("max_pool1d", distinct(2, 2, 5), 2, [3], return_indices=True)
case("max_pool1d", distinct(2, 6), 2, 2, 1, 3, True, True)
case("max_pool1d", distinct(1, 1, 1), 1)
case("max_pool1d", distinct(0, 2, 4), 2)
case("max_pool1d", given([[1.0, NAN, 2.0, NAN, NAN, -INF, -INF, -INF]]), 2, return_indices=True, smooth=False)

case("max_pool2d", distinct(2, 3, 4, 5), 2)
case("max_pool2d", distinct(3, 4, 5), (2, 3), return_indices=True)
case("max_pool2d", input=distinct(1, 2, 5, 5), kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)
case("max_pool2d", distinct(1, 2, 5, 5), [3, 2], [1, 2], [1, 0], [1, 2], True, True)
case("max_pool2d", distinct(1, 2, 5, 5), 3, 1, 1, return_indices=True, note="overlapping")
case("max_pool2d", distinct(1, 1, 5, 5), 2, ceil_mode=True, return_indices=True)
case(
    "max_pool2d",
    distinct(1, 1, 4, 4),
    2,
    3,
    1,
    ceil_mode=True,
    return_indices=True,
    note="a last window that starts behind",
)
case("max_pool2d", distinct(1, 1, 5, 6), 2, 1, 1, 2, return_indices=True)
case("max_pool2d", distinct(1, 1, 4, 4), 2, None)
case("max_pool2d", distinct(1, 1, 4, 4), 2, [])
case("max_pool2d", distinct(0, 2, 4, 4), 2, return_indices=True)
case("max_pool2d", distinct(2, 2, 4, 4).transposed, 2, return_indices=True)
case("max_pool2d", distinct(2, 2, 4, 4).strided, 3, 1)
case("max_pool2d", distinct(1, 1, 4, 4, dtype="float16"), 2)
case("max_pool2d", integers(1, 2, 4, 4, high=-9), 2, 1, 1, return_indices=True)
case("max_pool2d", integers(1, 2, 4, 4, high=9, dtype="uint8"), 2, 1, 1)
case("max_pool2d", SPOILT, 2, return_indices=True, smooth=False)
case("max_pool2d", SPOILT, 3, 1, 1, return_indices=True, smooth=False)
case("max_pool2d", SPOILT, 2, 1, 1, 2, return_indices=True, smooth=False)
case("max_pool2d", TIES, 2, 1, return_indices=True, smooth=False)

case("max_pool3d", distinct(1, 2, 4, 4, 2), 2)
case("max_pool3d", distinct(2, 4, 3, 3), (1, 2, 3), return_indices=True)
case("max_pool3d", distinct(1, 1, 3, 4, 4), 2, (1, 2, 1), 1, (1, 1, 2), True, True)
case("max_pool3d", given([[[[[1.0, NAN], [NAN, 2.0]], [[3.0, 4.0], [4.0, 4.0]]]]]), (1, 2, 2), return_indices=True,
     smooth=False)  # fmt: skip

# --- avg_pool1d, avg_pool2d, avg_pool3d -------------------------------------------------------------------------------

case("avg_pool1d", x(2, 3, 5), 2)
case("avg_pool1d", x(3, 5), (3,), (1,), (1,))
case("avg_pool1d", x(2, 2, 5), 3, 2, 1, True, False)
case("avg_pool1d", x(2, 2, 5), 2, ceil_mode=True)
case("avg_pool1d", x(1, 1, 1), 1)

for options in (
    {},
    {"count_include_pad": False},
    {"ceil_mode": True},
    {"ceil_mode": True, "count_include_pad": False},
    {"divisor_override": 3},
    {"divisor_override": -2, "ceil_mode": True},
):
    case("avg_pool2d", x(2, 2, 4, 5), 3, 2, 1, **options)
    case("avg_pool3d", x(1, 2, 3, 4, 3), 2, 2, 1, **options)
case("avg_pool2d", x(2, 3, 4, 5), 2)
case("avg_pool2d", x(3, 4, 5), (2, 3))
case("avg_pool2d", input=x(1, 1, 4, 4), kernel_size=(2, 1), stride=[1, 2], padding=(1, 0), ceil_mode=False)
case("avg_pool2d", x(1, 1, 5, 4), [3, 2], 2, [1, 0], True, False, 5)
case("avg_pool2d", x(1, 1, 4, 4), 2, None, 1)
case("avg_pool2d", x(1, 1, 4, 4), 2, 3, 1, True, note="a last window that starts behind")
case("avg_pool2d", x(0, 2, 4, 4), 2)
case("avg_pool2d", x(2, 2, 4, 4).transposed, 2)
case("avg_pool2d", x(2, 2, 4, 4).strided, 3, 1)
case("avg_pool2d", x(1, 1, 4, 4, dtype="float16"), 2)
case(
    "avg_pool2d",
    given([[[60000.0, 60000.0], [60000.0, 60000.0]]], "float16"),
    2,
    note="whose sum overflows",
    smooth=False,
)
case("avg_pool2d", SPOILT, 2, smooth=False)
case("avg_pool3d", x(1, 2, 2, 2, 4), 2)
case("avg_pool3d", x(2, 2, 3, 4), (1, 2, 3))

# --- adaptive_avg_pool1d, 2d, 3d and adaptive_max_pool1d, 2d, 3d ------------------------------------------------------

for op in ("adaptive_avg_pool", "adaptive_max_pool"):
    case(f"{op}1d", distinct(2, 3, 5), 3)
    case(f"{op}1d", distinct(3, 5), (2,))
    case(f"{op}1d", distinct(2, 3), 5)
    case(f"{op}2d", distinct(2, 2, 5, 4), 2)
    case(f"{op}2d", distinct(2, 5, 4), (3, 1))
    case(f"{op}2d", input=distinct(1, 2, 3, 5), output_size=(None, 2))
    case(f"{op}2d", distinct(1, 1, 3, 2), [5, None])
    case(f"{op}2d", distinct(1, 1, 3, 2), (None, None))
    # PyTorch has no gradient of an output without elements; ours is 0.
    case(f"{op}2d", distinct(1, 2, 3, 3).fixed, 0)
    case(f"{op}2d", distinct(1, 1, 2, 2).fixed, (0, 1))
    case(f"{op}2d", distinct(0, 2, 3, 3), 2)
    case(f"{op}2d", distinct(1, 2, 3, 4).transposed, 2)
    case(f"{op}2d", distinct(1, 2, 3, 4).strided, (2, 3))
    case(f"{op}2d", distinct(1, 1, 3, 3, dtype="float16"), 2)
    case(f"{op}2d", SPOILT, 3, smooth=False)
    case(f"{op}3d", distinct(1, 2, 3, 4, 2), 2)
    case(f"{op}3d", distinct(2, 3, 2, 3), (2, 1, None))
case("adaptive_max_pool1d", distinct(2, 2, 5), 3, True)
case("adaptive_max_pool2d", distinct(2, 2, 5, 4), (3, 3), return_indices=True)
case("adaptive_max_pool2d", TIES, 2, return_indices=True, smooth=False)
case("adaptive_max_pool2d", SPOILT, 2, return_indices=True, smooth=False)
case("adaptive_max_pool3d", distinct(1, 2, 3, 3, 2), (2, 2, 1), return_indices=True)

# --- lp_pool1d, lp_pool2d, lp_pool3d ----------------------------------------------------------------------------------

case("lp_pool1d", x(2, 3, 5), 2, 2)
case("lp_pool1d", x(3, 5), 2.0, 3, 1)
case("lp_pool1d", x(2, 2, 5), 4, 2, ceil_mode=True)
case("lp_pool2d", x(2, 2, 4, 5), 2, 2)
case("lp_pool2d", input=x(2, 4, 5), norm_type=2, kernel_size=(2, 3), stride=[1, 2], ceil_mode=True)
case("lp_pool2d", x(1, 2, 4, 4), 1, 2, note="sums")
case("lp_pool2d", given([[[[1.0, 2.0, -1.0], [3.0, -0.5, 4.0]]]]), 3, (2, 2), 1)
case("lp_pool2d", given([[[1.0, 2.0], [3.0, 4.0]]]), 0.5, 1)
# With infinite norms, magnitudes tie in the values that `distinct` draws.
case("lp_pool2d", given([[[[1.0, -3.0, 0.5], [2.0, 4.0, -5.0]]]]), INF, 2, 1)
case("lp_pool2d", distinct(1, 2, 4, 4), INF, 2, smooth=False)
case("lp_pool2d", given([[[[1.0, -3.0, 0.5], [2.0, 4.0, -5.0]]]]), -INF, 2, 1)
case("lp_pool2d", distinct(1, 1, 4, 4), -INF, 2, 1, smooth=False)
case("lp_pool2d", given([[[[1.0, -3.0], [0.5, 2.0]]]]), -2, 2)
case("lp_pool2d", given([[[[-1.0, -2.0], [-3.0, 1.0]]]]), 3, 2, note="the root of a negative sum", smooth=False)
case("lp_pool2d", given([[[[0.0, 0.0, 1.0, 2.0]]]]), 2, (1, 2), note="no power", smooth=False, twice=False)
case("lp_pool2d", x(0, 2, 4, 4), 2, 2)
case("lp_pool3d", x(1, 2, 2, 4, 2), 2, 2)
case("lp_pool3d", x(2, 2, 3, 2), 2, (1, 2, 2), 1, True)

# --- max_unpool1d, max_unpool2d, max_unpool3d -------------------------------------------------------------------------

case("max_unpool1d", x(1, 2, 2), given([[[0, 3], [1, 2]]], "int64"), 2)
case("max_unpool1d", x(1, 2), given([[1, 4]], "int64"), 2, 2, 0, (5,))
case("max_unpool1d", x(1, 1, 2), given([[[1, 4]]], "int64"), 2, output_size=[1, 1, 5])
case("max_unpool2d", x(1, 2, 2, 1), given([[[[0], [6]], [[3], [5]]]], "int64"), 2)
case("max_unpool2d", x(1, 2, 2), given([[[0, 2], [9, 15]]], "int64"), (2, 2))
case("max_unpool2d", input=x(1, 1, 2, 2), indices=given([[[[0, 2], [9, 15]]]], "int64"), kernel_size=2, stride=2,
     padding=0, output_size=(5, 4))  # fmt: skip
case("max_unpool2d", x(1, 1, 2, 2), given([[[[0, 2], [4, 8]]]], "int64"), 3, 2, 1)
case("max_unpool2d", x(1, 1, 2, 2), given([[[[0, 2], [4, 8]]]], "int64"), 3, 2, [1, 0], [1, 1, 4, 5])
case("max_unpool2d", x(0, 1, 2, 2), integers(0, 1, 2, 2, high=3), 2)
case("max_unpool2d", x(1, 2, 2, 1).transposed, given([[[[0], [6]], [[3], [5]]]], "int64").strided, 2)
case("max_unpool2d", x(1, 1, 1, 2, dtype="float16"), given([[[[0, 2]]]], "int64"), 2)
case("max_unpool2d", given([[[[NAN, INF]]]]), given([[[[0, 2]]]], "int64"), 2, smooth=False)
case("max_unpool3d", x(1, 1, 2, 1, 1), given([[[[[3]], [[12]]]]], "int64"), 2)
case("max_unpool3d", x(1, 1, 2, 2), given([[[[0, 3], [5, 2]]]], "int64"), (1, 2, 2))
case("max_unpool3d", x(1, 1, 1, 1, 1), given([[[[[26]]]]], "int64"), 2, output_size=(3, 3, 3))


def there_and_back(m: Any, a: Any, *options: Any) -> Any:
    """Pooling with indices, and its inverse."""
    maxima, indices = m.nn.functional.max_pool2d(a, *options, return_indices=True)
    return m.nn.functional.max_unpool2d(maxima, indices, *options)


case("max_unpool2d", distinct(2, 2, 4, 4), 2, call=there_and_back, note="of max_pool2d")
case(
    "max_unpool2d", distinct(2, 2, 5, 5), 3, 2, 1, call=there_and_back, note="of max_pool2d, overlapping", smooth=False
)

# --- layers -----------------------------------------------------------------------------------------------------------

layer("MaxPool1d", distinct(2, 2, 5), build=(2,))
layer("MaxPool1d", distinct(2, 5), build=(2, 1, 1, 2, True, True))
layer("MaxPool2d", distinct(1, 2, 4, 5), build=(2,))
layer("MaxPool2d", distinct(1, 2, 5, 5), build=((3, 2), (2, 1)), padding=1, ceil_mode=True)
layer("MaxPool2d", distinct(2, 5, 5), build=(2,), dilation=2, return_indices=True)
layer("MaxPool3d", distinct(1, 2, 2, 4, 2), build=(2,))
layer("MaxPool3d", distinct(1, 3, 3, 3), build=((1, 2, 3),), stride=1, return_indices=True)
layer("MaxUnpool1d", x(1, 2, 2), given([[[0, 3], [1, 2]]], "int64"), build=(2,))
layer("MaxUnpool2d", x(1, 1, 2, 2), given([[[[0, 2], [4, 8]]]], "int64"), build=(3, 2, 1))
layer("MaxUnpool2d", x(1, 1, 1, 2), given([[[[0, 9]]]], "int64"), build=((2, 2),),
      call=lambda m, a, i: m(a, i, output_size=(3, 5)))  # fmt: skip
layer("MaxUnpool3d", x(1, 1, 2, 1, 1), given([[[[[3]], [[12]]]]], "int64"), build=(2,), stride=2)
layer("AvgPool1d", x(2, 2, 5), build=(2,))
layer("AvgPool1d", x(2, 5), build=((3,), 2, 1, True, False))
layer("AvgPool2d", x(1, 2, 4, 5), build=(2,))
layer("AvgPool2d", x(2, 5, 5), build=((3, 2), 2, (1, 0), True, False))
layer("AvgPool2d", x(1, 1, 4, 4), build=(2,), stride=1, padding=1, divisor_override=3)
layer("AvgPool3d", x(1, 2, 2, 4, 2), build=(2,))
layer("AvgPool3d", x(1, 3, 3, 3), build=(2, 2, 1), count_include_pad=False, ceil_mode=True)
layer("AvgPool3d", x(1, 3, 3, 3), build=(2,), divisor_override=3)
layer("AdaptiveAvgPool1d", x(2, 2, 5), build=(3,))
layer("AdaptiveAvgPool2d", x(2, 5, 4), build=((3, None),))
layer("AdaptiveAvgPool3d", x(1, 2, 2, 3, 2), build=(2,))
layer("AdaptiveMaxPool1d", distinct(2, 2, 5), build=(3,))
layer("AdaptiveMaxPool2d", distinct(2, 5, 4), build=((3, None),), return_indices=True)
layer("AdaptiveMaxPool3d", distinct(1, 2, 2, 3, 2), build=(2,))
layer("LPPool1d", x(2, 2, 5), build=(2, 2))
layer("LPPool2d", x(1, 2, 4, 5), build=(4, (2, 3)), stride=1, ceil_mode=True)
layer("LPPool3d", x(1, 2, 2, 4, 2), build=(2, 2))

# --- drawn ------------------------------------------------------------------------------------------------------------

KERNELS, STRIDES = st.integers(1, 3), st.sampled_from([1, 1, 1, 1, 2, 2, 2, 3, 3, 0])
BATCHES = st.sampled_from([(), (0,), (1,), (2,)])


def sizes(dims: int, one: Any) -> Any:
    """One number for all dimensions, or one for each."""
    return st.one_of(one, st.tuples(*[one] * dims))


@st.composite
def pools(draw: st.DrawFn, dims: int, least: int = 1, **options: Any) -> Any:
    """Sizes (at least `least`), kernels, strides and options that mostly fit."""
    spatial = [draw(st.integers(least, 6 if dims < 3 else 4)) for _ in range(dims)]
    image = draw(tensors(st.just((*draw(BATCHES), draw(st.integers(1, 2)), *spatial)), "distinct"))
    drawn = {"stride": draw(st.one_of(st.none(), sizes(dims, STRIDES))), "padding": draw(sizes(dims, PADDINGS))}
    drawn |= {name: draw(strategy) for name, strategy in options.items()}
    return (image, draw(sizes(dims, KERNELS))), drawn


PADDINGS = st.sampled_from([0, 0, 0, 0, 0, 1, 1, 1, 1, -1])
BOTH = st.booleans()


@st.composite
def adaptive(draw: st.DrawFn, dims: int, **options: Any) -> Any:
    spatial = [draw(st.integers(1, 5 if dims < 3 else 3)) for _ in range(dims)]
    image = draw(tensors(st.just((*draw(BATCHES), draw(st.integers(1, 2)), *spatial)), "distinct"))
    wanted = st.sampled_from([1, 2, 3, 4, -1])
    optional = st.one_of(st.none(), wanted) if dims > 1 else wanted
    return (image, draw(st.one_of(wanted, st.tuples(*[optional] * dims)))), {k: draw(v) for k, v in options.items()}


@st.composite
def lp_pools(draw: st.DrawFn, dims: int, **options: Any) -> Any:
    """The same without padding; in one dimension, PyTorch takes the kernel as a number alone."""
    (image, kernel_size), drawn = draw(pools(dims, **options))
    del drawn["padding"]
    return (image, 2, kernel_size[0] if dims == 1 and isinstance(kernel_size, tuple) else kernel_size), drawn


for dims in (1, 2, 3):
    table.drawn(f"max_pool{dims}d", pools(dims, ceil_mode=BOTH, return_indices=BOTH))
    # PyTorch's mean in three dimensions refuses kernels larger than the input, whatever the padding and ceil_mode.
    least = 3 if dims == 3 else 1
    table.drawn(f"avg_pool{dims}d", pools(dims, least, ceil_mode=BOTH, count_include_pad=BOTH))
    table.drawn(f"lp_pool{dims}d", lp_pools(dims, least=least, ceil_mode=BOTH))
    table.drawn(f"adaptive_avg_pool{dims}d", adaptive(dims))
    table.drawn(f"adaptive_max_pool{dims}d", adaptive(dims, return_indices=BOTH))

# --- wrong calls ------------------------------------------------------------------------------------------------------


def F(m: Any) -> Any:
    return m.nn.functional


for dims in (1, 2, 3):
    a, flat = (1, 2, *(3,) * dims), (3,) * dims
    for op, rest in {
        "max_pool": (2,), "avg_pool": (2,), "adaptive_avg_pool": (2,), "adaptive_max_pool": (2,), "lp_pool": (2, 2),
    }.items():  # fmt: skip
        name = f"{op}{dims}d"
        wrong(
            ShapeError, lambda m, name=name, flat=flat, rest=rest: getattr(F(m), name)(m.ones(*flat), *rest),
            f"{name}:", "input must be (N, C, ", f"got shape {flat}",
        )  # fmt: skip
        wrong(
            ShapeError,
            lambda m, name=name, a=a, rest=rest: getattr(F(m), name)(m.ones(*a[:-1], 0), *rest),
            f"{name}:", "only the batch may be empty", f"{(*a[:-1], 0)}",
        )  # fmt: skip
        wrong(
            ArgumentTypeError, lambda m, name=name, rest=rest: getattr(F(m), name)([[1.0]], *rest), f"{name}:",
            "input must be a Tensor", "list",
        )  # fmt: skip
        wrong(
            DtypeError, lambda m, name=name, a=a, rest=rest: getattr(F(m), name)(m.ones(*a).bool(), *rest), f"{name}:",
            "bool", "input.float()", torch_allows=op == "lp_pool",
        )  # fmt: skip
    for op in ("max_pool", "avg_pool"):
        name = f"{op}{dims}d"
        wrong(
            ArgumentError, lambda m, name=name, a=a: getattr(F(m), name)(m.ones(*a), 2, padding=2), f"{name}:",
            "padding must be at most half", "padding (2,", "kernel_size (2,",
        )  # fmt: skip
        wrong(
            ShapeError, lambda m, name=name, a=a: getattr(F(m), name)(m.ones(*a), 4), f"{name}:", "kernel_size (4,",
            "does not fit", "sizes (3,",
        )  # fmt: skip
    unpool, one = f"max_unpool{dims}d", (1, 1, *(1,) * dims)
    wrong(
        ShapeError,
        lambda m, name=unpool, one=one: getattr(F(m), name)(m.ones(*one), m.ones(1, *one).long(), 2),
        f"{unpool}:", "indices must have the shape of input", f"{one}", f"got {(1, *one)}",
    )  # fmt: skip
    wrong(
        DimError, lambda m, name=unpool, one=one: getattr(F(m), name)(m.ones(*one), m.ones(*one).long() * 30, 2),
        f"{unpool}:", f"0 to {2**dims - 1}", "got 30",
    )  # fmt: skip

IMAGE = (1, 2, 4, 4)
wrong(ArgumentError, lambda m: F(m).max_pool2d(m.ones(*IMAGE), 0), "max_pool2d:", "kernel_size must be >= 1", "got 0")
wrong(ArgumentError, lambda m: F(m).max_pool2d(m.ones(*IMAGE), 2, 0), "max_pool2d:", "stride must be >= 1", "got 0")
wrong(ArgumentError, lambda m: F(m).max_pool2d(m.ones(*IMAGE), 2, padding=-1), "max_pool2d:", "padding must be >= 0")
wrong(ArgumentError, lambda m: F(m).max_pool2d(m.ones(*IMAGE), 2, dilation=0), "max_pool2d:", "dilation", "got 0")
wrong(ArgumentError, lambda m: F(m).max_pool2d(m.ones(*IMAGE), (2, 2, 2)), "max_pool2d:", "kernel_size", "got 3")
wrong(ArgumentTypeError, lambda m: F(m).max_pool2d(m.ones(*IMAGE), 2.5), "max_pool2d:", "kernel_size", "got 2.5")
wrong(ShapeError, lambda m: F(m).max_pool2d(m.ones(1, 0, 4, 4), 2), "max_pool2d:", "only the batch may be empty")
wrong(
    ShapeError, lambda m: F(m).max_pool2d(m.ones(1, 1, 1, 1), 2, 1, 1, 2), "max_pool2d:", "does not fit",
    torch_allows=True,
)  # fmt: skip
wrong(
    ArgumentError, lambda m: F(m).avg_pool2d(m.ones(*IMAGE), 2, divisor_override=0), "avg_pool2d:",
    "divisor_override must not be 0",
)  # fmt: skip
wrong(
    ArgumentTypeError, lambda m: F(m).avg_pool2d(m.ones(*IMAGE), 2, divisor_override=2.5), "avg_pool2d:",
    "divisor_override must be an integer", "got 2.5",
)  # fmt: skip
wrong(
    DtypeError, lambda m: F(m).avg_pool2d(m.ones(*IMAGE).long(), 2), "avg_pool2d:", "floating", "int64",
    torch_allows=True,
)  # fmt: skip
wrong(
    DtypeError, lambda m: F(m).adaptive_avg_pool2d(m.ones(*IMAGE).long(), 2), "adaptive_avg_pool2d:", "floating",
    "int64",
)  # fmt: skip
for op in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
    wrong(
        ArgumentError, lambda m, op=op: getattr(F(m), op)(m.ones(*IMAGE), -1), f"{op}:", "output_size must be >= 0",
        "got -1",
    )  # fmt: skip
    wrong(
        ArgumentError, lambda m, op=op: getattr(F(m), op)(m.ones(*IMAGE), (2, 2, 2)), f"{op}:", "one integer or 2",
        "got (2, 2, 2)",
    )  # fmt: skip
    wrong(ArgumentError, lambda m, op=op: getattr(F(m), op)(m.ones(*IMAGE), (2,)), f"{op}:", "got (2,)")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(F(m), op)(m.ones(*IMAGE), None), f"{op}:", "got None")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(F(m), op)(m.ones(*IMAGE), 2.5), f"{op}:", "got 2.5")
wrong(ArgumentTypeError, lambda m: F(m).adaptive_avg_pool1d(m.ones(1, 2, 4), (None,)), "adaptive_avg_pool1d:", "None")
wrong(ArgumentError, lambda m: F(m).lp_pool2d(m.ones(*IMAGE), 0, 2), "lp_pool2d:", "norm_type must not be 0")
wrong(
    ArgumentTypeError, lambda m: F(m).lp_pool2d(m.ones(*IMAGE), "2", 2), "lp_pool2d:", "norm_type must be a number",
    "'2'",
)  # fmt: skip
wrong(ArgumentError, lambda m: F(m).lp_pool1d(m.ones(1, 1, 4), 2, 0), "lp_pool1d:", "kernel_size must be >= 1")

ONE = (1, 1, 1, 1)


def unpool2d(m: Any, *rest: Any, **options: Any) -> Any:
    return F(m).max_unpool2d(m.ones(*ONE), m.zeros(*ONE).long(), *rest, **options)


wrong(
    ArgumentError, lambda m: unpool2d(m, 2, output_size=(4, 2)), "max_unpool2d:", "output_size must be (2, 2)",
    "stride (2, 2)", "got (4, 2)",
)  # fmt: skip
wrong(ArgumentError, lambda m: unpool2d(m, 2, output_size=(2, 2, 2)), "max_unpool2d:", "output_size", "got 3")
wrong(ShapeError, lambda m: unpool2d(m, 1, padding=1), "max_unpool2d:", "would have sizes (-1, -1)")
wrong(
    # PyTorch returns nothing and does not look at the indices.
    ShapeError, lambda m: unpool2d(m, 2, padding=1), "max_unpool2d:", "would have sizes (0, 0)", torch_allows=True,
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: F(m).max_unpool2d(m.ones(*ONE), [[[[0]]]], 2), "max_unpool2d:", "indices", "list")
wrong(
    DtypeError, lambda m: F(m).max_unpool2d(m.ones(*ONE), m.zeros(*ONE).int(), 2), "max_unpool2d:", "int64",
    "got int32",
)  # fmt: skip
wrong(
    DtypeError, lambda m: F(m).max_unpool2d(m.ones(*ONE).long(), m.zeros(*ONE).long(), 2), "max_unpool2d:", "floating",
    "int64",
)  # fmt: skip
wrong(
    DimError, lambda m: F(m).max_unpool2d(m.ones(*ONE), m.zeros(*ONE).long() - 1, 2), "max_unpool2d:", "0 to 3",
    "got -1 to -1",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.MaxUnpool2d((2, 2, 2))(m.ones(*ONE), m.zeros(*ONE).long()), "MaxUnpool2d:", "got 3")
