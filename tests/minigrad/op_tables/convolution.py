"""Convolutions and their adjoints, as functions and as layers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, integers, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("convolution")
case, layer, wrong = table.case, table.layer, table.wrong

NAN, INF = float("nan"), float("inf")

# --- conv1d, conv2d, conv3d -------------------------------------------------------------------------------------------

case("conv1d", x(2, 3, 5), x(4, 3, 2))
case("conv1d", x(2, 3, 5), x(4, 3, 2), x(4))
case("conv1d", x(3, 5), x(2, 3, 3), x(2))
case("conv1d", x(1, 1, 1), x(1, 1, 1), x(1))
case("conv1d", x(2, 2, 6), x(2, 2, 3), x(2), 2, 1, 2)
case("conv1d", x(2, 2, 6), x(2, 2, 3), stride=[2], padding=(2,), dilation=2)
case("conv1d", x(2, 2, 4), x(3, 2, 4), padding="same")
case("conv1d", x(2, 4), x(3, 2, 2), padding="same", dilation=3)
case("conv1d", x(2, 2, 4), x(3, 2, 2), padding="valid", stride=2)
case("conv1d", x(1, 4, 4), x(4, 1, 2), groups=4)

case("conv2d", x(2, 3, 4, 5), x(4, 3, 2, 3))
case("conv2d", x(2, 3, 4, 5), x(4, 3, 2, 3), x(4))
case("conv2d", x(3, 4, 3), x(2, 3, 2, 2), x(2))
case("conv2d", x(3, 4, 3), x(2, 3, 2, 2))
case("conv2d", input=x(1, 2, 3, 3), weight=x(2, 2, 2, 2), bias=x(2), stride=2, padding=1, dilation=1, groups=1)
case("conv2d", x(1, 2, 5, 4), x(2, 2, 3, 2), x(2), (2, 1), (1, 0), (1, 2), 1)
case("conv2d", x(1, 2, 4, 4), x(2, 2, 3, 3), stride=[1, 2], padding=[2, 1])
case("conv2d", x(1, 2, 5, 5), x(2, 2, 2, 2), stride=3, note="with a rest that no window reads")
case("conv2d", x(1, 2, 3, 3), x(2, 2, 1, 1), x(2))
case("conv2d", x(1, 2, 3, 3), x(2, 2, 1, 1), stride=2)
case("conv2d", x(1, 2, 3, 3), x(2, 2, 3, 3))
case("conv2d", x(1, 1, 1, 1), x(1, 1, 3, 3), padding=1)
case("conv2d", x(1, 1, 2, 2), x(1, 1, 2, 2), padding=3, note="windows of padding alone")
case("conv2d", x(1, 2, 3, 4), x(2, 2, 3, 3), padding="same")
case("conv2d", x(1, 2, 3, 4), x(2, 2, 2, 4), padding="same", note="an odd number of zeros")
case("conv2d", x(1, 2, 4, 4), x(2, 2, 2, 3), padding="same", dilation=(1, 2))
case("conv2d", x(1, 2, 3, 4), x(2, 2, 2, 2), x(2), padding="valid")
case("conv2d", x(2, 4, 3, 3), x(6, 2, 2, 2), x(6), groups=2)
case("conv2d", x(2, 3, 3, 3), x(3, 1, 2, 2), x(3), padding=1, groups=3, note="depthwise")
case("conv2d", x(1, 2, 4, 4), x(4, 1, 2, 2), stride=2, groups=2, note="depthwise, two outputs each")
case("conv2d", x(4, 3, 3), x(2, 2, 2, 2), groups=2)
case("conv2d", x(0, 2, 3, 3), x(2, 2, 2, 2), x(2))
case("conv2d", x(2, 3, 4, 5).transposed, x(4, 3, 2, 3).strided, x(4).strided)
case("conv2d", x(2, 2, 3, 3).strided, x(2, 2, 3, 3).transposed, padding=1)
case("conv2d", x(1, 2, 3, 3).fixed, x(2, 2, 2, 2), x(2))
case("conv2d", x(1, 2, 3, 3), x(2, 2, 2, 2).fixed)
case("conv2d", x(1, 2, 3, 3), x(2, 2, 2, 2).fixed, x(2).fixed)
case("conv2d", x(1, 2, 4, 4, dtype="float16"), x(2, 2, 2, 2, dtype="float16"), x(2, dtype="float16"))
case("conv2d", integers(1, 2, 3, 3, high=-5), integers(2, 2, 2, 2, high=-5))
case("conv2d", given([[[[1.0, NAN, 2.0], [3.0, 4.0, 5.0], [6.0, INF, 7.0]]]]), x(1, 1, 2, 2), smooth=False)

case("conv3d", x(1, 2, 3, 3, 3), x(2, 2, 2, 2, 2))
case("conv3d", x(1, 2, 3, 3, 3), x(2, 2, 2, 1, 2), x(2))
case("conv3d", x(2, 2, 3, 3), x(1, 2, 2, 2, 2), x(1))
case("conv3d", x(1, 2, 4, 3, 3), x(2, 1, 2, 2, 2), None, (2, 1, 1), (1, 0, 1), (1, 2, 1), 2)
case("conv3d", x(1, 1, 3, 2, 2), x(1, 1, 3, 2, 1), padding="same")
case("conv3d", x(0, 1, 2, 2, 2), x(1, 1, 2, 2, 2))

# --- conv_transpose1d, conv_transpose2d, conv_transpose3d -------------------------------------------------------------

case("conv_transpose1d", x(2, 3, 4), x(3, 2, 3))
case("conv_transpose1d", x(2, 3, 4), x(3, 2, 3), x(2))
case("conv_transpose1d", x(3, 4), x(3, 2, 2), x(2), 2, 1, 1)
case("conv_transpose1d", x(1, 2, 3), x(2, 2, 2), stride=[3], output_padding=(2,), dilation=2)
case("conv_transpose1d", x(1, 2, 3), x(2, 1, 2), groups=2)

case("conv_transpose2d", x(2, 3, 2, 3), x(3, 4, 2, 3))
case("conv_transpose2d", x(2, 3, 2, 3), x(3, 4, 2, 3), x(4))
case("conv_transpose2d", x(3, 2, 3), x(3, 2, 2, 2), x(2))
case("conv_transpose2d", x(3, 2, 3), x(3, 2, 2, 2))
case(
    "conv_transpose2d", input=x(1, 2, 3, 3), weight=x(2, 2, 2, 2), bias=x(2), stride=2, padding=1, output_padding=1,
    groups=1, dilation=1,
)  # fmt: skip
case("conv_transpose2d", x(1, 2, 3, 2), x(2, 2, 3, 2), x(2), (2, 1), (1, 0), (1, 0), 1, (1, 2))
case("conv_transpose2d", x(1, 2, 2, 2), x(2, 2, 2, 2), dilation=3, output_padding=2, note="more than the stride")
case("conv_transpose2d", x(1, 2, 2, 2), x(2, 2, 2, 2), stride=3, output_padding=(2, 0))
case("conv_transpose2d", x(1, 2, 4, 4), x(2, 2, 2, 2), padding=2)
case("conv_transpose2d", x(1, 2, 2, 2), x(2, 2, 1, 1), stride=2, output_padding=1)
case("conv_transpose2d", x(1, 1, 1, 1), x(1, 1, 1, 1))
case("conv_transpose2d", x(2, 4, 2, 2), x(4, 3, 2, 2), x(6), groups=2)
case("conv_transpose2d", x(1, 3, 2, 2), x(3, 1, 2, 2), stride=2, groups=3, note="depthwise")
case("conv_transpose2d", x(0, 2, 2, 2), x(2, 2, 2, 2), x(2))
case("conv_transpose2d", x(2, 3, 2, 2).transposed, x(3, 2, 2, 2).strided, x(2).strided)
case("conv_transpose2d", x(1, 2, 2, 2).fixed, x(2, 2, 2, 2))
case("conv_transpose2d", x(1, 2, 2, 2), x(2, 2, 2, 2).fixed)
case("conv_transpose2d", x(1, 2, 2, 2, dtype="float16"), x(2, 2, 2, 2, dtype="float16"))
case("conv_transpose2d", given([[[[1.0, NAN], [INF, 4.0]]]]), x(1, 1, 2, 2), stride=2, smooth=False)

case("conv_transpose3d", x(1, 2, 2, 2, 2), x(2, 2, 2, 2, 2))
case("conv_transpose3d", x(2, 2, 2, 2), x(2, 1, 2, 1, 2), x(1))
case("conv_transpose3d", x(1, 2, 2, 2, 2), x(2, 1, 2, 2, 2), x(2), (2, 1, 3), (1, 0, 1), (1, 0, 2), 2, (1, 2, 1))

# --- layers -----------------------------------------------------------------------------------------------------------

layer("Conv1d", x(2, 3, 5), build=(3, 2, 3))
layer("Conv1d", x(2, 5), build=(2, 2, 2), bias=False, padding="same")
layer("Conv2d", x(2, 3, 5, 5), build=(3, 4, 3), stride=2)
layer("Conv2d", x(1, 2, 3, 4), build=(2, 3, (2, 3), (1, 2), 1))
layer("Conv2d", x(2, 4, 4), build=(2, 2, 2), padding=(1, 0), dilation=2)
layer("Conv2d", x(1, 4, 3, 3), build=(4, 2, 2, 1, 0, 1, 2, False))
layer("Conv2d", x(1, 2, 3, 3), build=(2, 2, 2), padding="valid")
layer("Conv2d", x(1, 2, 3, 3), build=(2, 2, 3), padding="same", groups=2)
layer("Conv1d", x(1, 2, 4), build=(2, 2, 3), padding=2, padding_mode="circular")
for mode in ("reflect", "replicate", "circular"):
    layer("Conv2d", x(1, 2, 3, 4), build=(2, 2, (2, 3)), padding=(1, 2), padding_mode=mode)
    layer("Conv2d", x(1, 2, 3, 4), build=(2, 2, (2, 4)), padding="same", padding_mode=mode)
layer("Conv2d", x(2, 3, 4), build=(2, 2, 2), padding="valid", padding_mode="reflect")
layer("Conv3d", x(1, 1, 2, 2, 3), build=(1, 1, 2), padding=(1, 0, 1), padding_mode="replicate")
layer("Conv3d", x(1, 2, 3, 3, 3), build=(2, 2, 2))
layer("Conv3d", x(2, 3, 3, 3), build=(2, 2, (1, 2, 2)), stride=(1, 1, 2), padding=(0, 1, 0), groups=2, bias=False)
layer("ConvTranspose1d", x(2, 3, 4), build=(3, 2, 3))
layer("ConvTranspose1d", x(3, 4), build=(3, 2, 3, 2, 1, 1))
layer("ConvTranspose2d", x(2, 3, 3, 3), build=(3, 2, 2), stride=2)
layer("ConvTranspose2d", x(1, 2, 3, 3), build=(2, 4, (2, 3), (2, 1), 1, (1, 0), 2, False))
layer("ConvTranspose2d", x(2, 2, 2), build=(2, 2, 2), dilation=2, output_padding=1)
layer("ConvTranspose2d", x(1, 2, 2, 2), build=(2, 2, 2), stride=3, call=lambda m, a: m(a, output_size=(7, 6)))
layer("ConvTranspose2d", x(1, 2, 2, 2), build=(2, 2, 2), stride=2, call=lambda m, a: m(a, [1, 2, 5, 4]), note="with N")
layer("ConvTranspose2d", x(2, 2, 2), build=(2, 2, 2), stride=2, call=lambda m, a: m(a, [2, 5, 4]), note="with C")
layer("ConvTranspose3d", x(1, 2, 2, 2, 2), build=(2, 2, 2))
layer("ConvTranspose3d", x(2, 2, 2, 1), build=(2, 2, (1, 2, 2)), stride=(1, 2, 1), padding=(0, 1, 0), groups=2)

# --- drawn ------------------------------------------------------------------------------------------------------------

NUMBERS = {  # of which one makes no sense, rarely
    "stride": st.sampled_from([1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 0]),
    "padding": st.sampled_from([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, -1]),
    "dilation": st.sampled_from([1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 0]),
    "output_padding": st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2]),
}
ONE_TO_THREE = st.integers(1, 3)


@st.composite
def convolutions(draw: st.DrawFn, dims: int, transposed: bool = False) -> Any:
    """Sizes, kernels and options that mostly fit."""
    groups, inputs, outputs = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    sizes = [draw(st.integers(1, 5 if dims < 3 else 3)) for _ in range(dims)]
    kernel_size = [draw(ONE_TO_THREE) for _ in range(dims)]
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    channels = (inputs * groups, outputs) if transposed else (outputs * groups, inputs)
    options: dict[str, Any] = {"groups": groups}
    names = ["stride", "padding", "dilation", *(["output_padding"] if transposed else [])]
    for name in names:
        one, several = NUMBERS[name], st.tuples(*[NUMBERS[name]] * dims)
        options[name] = draw(one if draw(st.booleans()) else several)
    if not transposed and draw(st.integers(0, 5)) == 0:
        options["padding"] = draw(st.sampled_from(["same", "valid"]))
    if batch == (0,):  # where PyTorch does not look at all options
        options = {
            "groups": groups,
            "padding": 0 if transposed else 1,
            "stride": 2,
            "dilation": draw(st.sampled_from([1, 2])),
        }
    args = [draw(tensors(st.just((*batch, inputs * groups, *sizes))))]
    args.append(draw(tensors(st.just((*channels, *kernel_size)))))
    if draw(st.booleans()):
        args.append(x(outputs * groups + (draw(st.integers(0, 9)) == 0)))
    return tuple(args), options


for dims in (1, 2, 3):
    table.drawn(f"conv{dims}d", convolutions(dims))
    table.drawn(f"conv_transpose{dims}d", convolutions(dims, transposed=True))

# --- wrong calls ------------------------------------------------------------------------------------------------------


def F(m: Any) -> Any:
    return m.nn.functional


for dims in (1, 2, 3):
    name, adjoint = f"conv{dims}d", f"conv_transpose{dims}d"
    a, w, flat = (1, 2, *(3,) * dims), (2, 2, *(2,) * dims), (3,) * dims
    wrong(
        ShapeError, lambda m, name=name, w=w, flat=flat: getattr(F(m), name)(m.ones(*flat), m.ones(*w)), f"{name}:",
        "input must be (N, C, ", f"got shape {flat}",
    )  # fmt: skip
    wrong(
        ShapeError, lambda m, name=adjoint, w=w, flat=flat: getattr(F(m), name)(m.ones(*flat), m.ones(*w)),
        f"{adjoint}:", "input must be (N, C, ", f"got shape {flat}",
    )  # fmt: skip
    wrong(
        ArgumentError, lambda m, name=adjoint, a=a, w=w: getattr(F(m), name)(m.ones(*a), m.ones(*w), output_padding=1),
        f"{adjoint}:", "output_padding (1,", "smaller than stride (1,", "dilation (1,",
    )  # fmt: skip
    wrong(
        ShapeError, lambda m, name=name, a=a, w=w: getattr(F(m), name)(m.ones(*a), m.ones(*w), dilation=3), f"{name}:",
        "kernel_size (2,", "dilation (3,", "larger than the input of sizes (3,",
    )  # fmt: skip

PAIR = (1, 2, 3, 3), (2, 2, 2, 2)


def conv2d(m: Any, *rest: Any, **options: Any) -> Any:
    return F(m).conv2d(m.ones(*PAIR[0]), m.ones(*PAIR[1]), *rest, **options)


def conv_transpose2d(m: Any, *rest: Any, **options: Any) -> Any:
    return F(m).conv_transpose2d(m.ones(*PAIR[0]), m.ones(*PAIR[1]), *rest, **options)


wrong(ArgumentError, lambda m: conv2d(m, stride=0), "conv2d:", "stride must be >= 1", "got 0")
wrong(ArgumentError, lambda m: conv2d(m, padding=-1), "conv2d:", "padding must be >= 0", "got -1")
wrong(ArgumentError, lambda m: conv2d(m, dilation=(1, 0)), "conv2d:", "dilation must be >= 1", "got (1, 0)")
wrong(ArgumentError, lambda m: conv2d(m, groups=0), "conv2d:", "groups must be >= 1", "got 0")
wrong(ArgumentError, lambda m: conv2d(m, stride=(1, 1, 1)), "conv2d:", "one integer or 2", "got 3: (1, 1, 1)")
wrong(ArgumentTypeError, lambda m: conv2d(m, padding=1.5), "conv2d:", "padding", "integer", "got 1.5")
wrong(ArgumentTypeError, lambda m: conv2d(m, stride=(1, "a")), "conv2d:", "stride", "integer", "(1, 'a')")
wrong(ArgumentError, lambda m: conv2d(m, padding="full"), "conv2d:", "'same' or 'valid'", "got 'full'")
wrong(ArgumentError, lambda m: conv2d(m, stride=2, padding="same"), "conv2d:", "stride 1", "got stride (2, 2)")
wrong(ShapeError, lambda m: conv2d(m, m.ones(3)), "conv2d:", "bias must have shape (2,)", "got (3,)")
wrong(ShapeError, lambda m: conv2d(m, m.ones(2, 1)), "conv2d:", "bias must have shape (2,)", "got (2, 1)")
wrong(DtypeError, lambda m: conv2d(m, m.ones(2).double()), "conv2d:", "one dtype", "float64", ".to(dtype)")
wrong(ArgumentTypeError, lambda m: conv2d(m, [1.0, 2.0]), "conv2d:", "bias must be a Tensor", "list")
wrong(
    ArgumentTypeError, lambda m: F(m).conv2d([[1.0]], m.ones(1, 1, 1, 1)), "conv2d:", "input must be a Tensor", "list",
    "minigrad.tensor(input)",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: F(m).conv2d(m.ones(1, 1, 1, 1), 2.0), "conv2d:", "weight must be a Tensor", "float")
wrong(
    ShapeError, lambda m: F(m).conv2d(m.ones(1, 3, 3, 3), m.ones(2, 2, 2, 2)), "conv2d:", "wants 2 input channels",
    "got 3", "(out_channels, in_channels/groups",
)  # fmt: skip
wrong(
    ShapeError, lambda m: F(m).conv2d(m.ones(1, 4, 3, 3), m.ones(3, 2, 2, 2), groups=2), "conv2d:", "(3, 2, 2, 2)",
    "multiple of groups=2",
)  # fmt: skip
wrong(
    ShapeError, lambda m: F(m).conv2d(m.ones(1, 2, 3, 3), m.ones(2, 2, 2)), "conv2d:", "weight", "got shape (2, 2, 2)"
)
wrong(ShapeError, lambda m: F(m).conv2d(m.ones(1, 2, 3, 3), m.ones(2, 2, 0, 2)), "conv2d:", "weight", "sizes >= 1")
wrong(
    ShapeError, lambda m: F(m).conv2d(m.ones(1, 2, 0, 3), m.ones(2, 2, 1, 1)), "conv2d:", "only the batch may be empty"
)
wrong(
    # PyTorch returns 0 channels instead of those of the weight.
    ShapeError, lambda m: F(m).conv2d(m.ones(1, 0, 3, 3), m.ones(2, 0, 2, 2)), "conv2d:", "only the batch may be empty",
    "(1, 0, 3, 3)", torch_allows=True,
)  # fmt: skip
wrong(
    ShapeError, lambda m: F(m).conv2d(m.ones(1, 1, 2, 4), m.ones(1, 1, 3, 3)), "conv2d:", "kernel_size (3, 3)",
    "sizes (2, 4)", "padding 0",
)  # fmt: skip
wrong(
    DtypeError,
    lambda m: F(m).conv2d(m.ones(1, 1, 2, 2).bool(), m.ones(1, 1, 1, 1).bool()),
    "conv2d:",
    "bool",
    "float()",
)
wrong(DtypeError, lambda m: F(m).conv2d(m.ones(1, 1, 2, 2).double(), m.ones(1, 1, 1, 1)), "conv2d:", "float64, float32")
wrong(ArgumentError, lambda m: conv_transpose2d(m, stride=0), "conv_transpose2d:", "stride must be >= 1", "got 0")
wrong(
    ArgumentTypeError, lambda m: conv_transpose2d(m, padding="same"), "conv_transpose2d:", "padding", "integer",
    "got 'same'",
)  # fmt: skip
wrong(
    ShapeError, lambda m: conv_transpose2d(m, padding=2), "conv_transpose2d:", "padding (2, 2)", "sizes would be (0, 0)"
)
wrong(
    ShapeError, lambda m: F(m).conv_transpose2d(m.ones(1, 3, 3, 3), m.ones(2, 2, 2, 2)), "conv_transpose2d:",
    "wants 2 input channels", "got 3", "(in_channels, out_channels/groups",
)  # fmt: skip
wrong(
    ShapeError, lambda m: F(m).conv_transpose2d(m.ones(1, 4, 3, 3), m.ones(4, 2, 2, 2), m.ones(2), groups=2),
    "conv_transpose2d:", "bias must have shape (4,)", "got (2,)",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.Conv2d(3, 4, 2, groups=2), "Conv2d:", "in_channels=3", "multiples of groups=2")
wrong(ArgumentError, lambda m: m.nn.Conv2d(2, 3, 2, groups=2), "Conv2d:", "out_channels=3", "multiples of groups=2")
wrong(ArgumentError, lambda m: m.nn.Conv2d(2, 2, 2, groups=0), "Conv2d:", "groups must be >= 1", "got 0")
wrong(ArgumentError, lambda m: m.nn.Conv2d(2, 2, 2, padding="full"), "Conv2d:", "'same' or 'valid'", "got 'full'")
wrong(ArgumentError, lambda m: m.nn.Conv2d(2, 2, 2, 2, "same"), "Conv2d:", "stride 1", "(2, 2)")
wrong(ArgumentError, lambda m: m.nn.Conv2d(2, 2, 2, padding_mode="mirror"), "Conv2d:", "'reflect'", "got 'mirror'")
wrong(ShapeError, lambda m: m.nn.Conv2d(2, 2, 2)(m.ones(1, 3, 3, 3)), "conv2d:", "wants 2 input channels", "got 3")
wrong(
    ArgumentError, lambda m: m.nn.ConvTranspose2d(2, 2, 2, padding_mode="reflect"), "ConvTranspose2d:", "'zeros'",
    "got 'reflect'",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.ConvTranspose2d(2, 2, 2, stride=2)(m.ones(1, 2, 2, 2), [6, 4]), "ConvTranspose2d:",
    "output_size must lie between (4, 4) and (5, 5)", "got (6, 4)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.ConvTranspose2d(2, 2, 2)(m.ones(1, 2, 2, 2), [3, 3, 3]), "ConvTranspose2d:",
    "output_size", "got 3",
)  # fmt: skip
