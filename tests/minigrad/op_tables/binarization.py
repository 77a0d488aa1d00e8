"""The binary convolution. PyTorch has none: in its place stands the same formula, of PyTorch's ordinary functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from op_harness import Table, given, positive, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("binarization")
wrong = table.wrong

NAN, INF = float("nan"), float("inf")


def straight_sign(torch: Any, values: Any) -> Any:
    """-1 below 0, else +1, with the derivative of clamp(-1, 1), which is 1 at both ends, too."""

    class Sign(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, v: Any) -> Any:
            ctx.save_for_backward(v)
            return torch.where(v < 0, -torch.ones_like(v), torch.ones_like(v))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (v,) = ctx.saved_tensors
            return g * (v.abs() <= 1).to(v.dtype)

    return Sign.apply(values)


def binary(library: Any, input: Any, weight: Any, bias: Any = None, scale_input: bool = False, **options: Any) -> Any:
    """minigrad's function, or what it means in PyTorch."""
    if hasattr(library.nn.functional, "binary_conv2d"):
        return library.nn.functional.binary_conv2d(input, weight, bias, scale_input=scale_input, **options)
    alpha = weight.abs().mean((1, 2, 3), keepdim=True)
    conv2d = library.nn.functional.conv2d
    y = conv2d(straight_sign(library, input), alpha * straight_sign(library, weight), None, **options)
    if scale_input:
        box = library.full((1, 1, *weight.shape[2:]), 1 / weight[0, 0].numel(), dtype=weight.dtype)
        y = y * conv2d(input.abs().mean(-3, keepdim=True), box, None, **options)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def case(*args: Any, smooth: bool = False, note: str = "", **options: Any) -> None:
    table.case("binary_conv2d", *args, call=binary, smooth=smooth, note=note, **options)


RNG = np.random.default_rng(0)
# Beyond 1 no gradient passes the signs, so what is left are true derivatives, which numbers can check.
LARGE_INPUT = given((RNG.uniform(1.2, 2, (1, 2, 3, 3)) * RNG.choice([-1, 1], (1, 2, 3, 3))).round(2).tolist())
LARGE_WEIGHT = given((RNG.uniform(1.2, 2, (2, 2, 2, 2)) * RNG.choice([-1, 1], (2, 2, 2, 2))).round(2).tolist())

case(LARGE_INPUT, LARGE_WEIGHT, x(2), scale_input=True, smooth=True, note="where signs have no gradient")
case(LARGE_INPUT, LARGE_WEIGHT, padding=1, scale_input=True, smooth=True, note="where signs have no gradient")
case(x(2, 3, 4, 5), x(4, 3, 2, 3))
case(x(2, 3, 4, 5), x(4, 3, 2, 3), x(4))
case(x(2, 3, 4, 5), x(4, 3, 2, 3), x(4), scale_input=True)
case(x(3, 4, 3), x(2, 3, 2, 2), x(2))
case(x(3, 4, 3), x(2, 3, 2, 2), padding=1, scale_input=True)
case(x(1, 2, 5, 4), x(2, 2, 3, 2), x(2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))
case(x(1, 2, 5, 4), x(2, 2, 3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), scale_input=True)
case(x(1, 2, 5, 5), x(2, 2, 2, 2), stride=3, note="with a rest that no window reads")
case(x(1, 2, 3, 3), x(2, 2, 1, 1))
case(x(1, 1, 1, 1), x(1, 1, 3, 3), padding=1)
case(x(1, 1, 2, 2), x(1, 1, 2, 2), padding=3, scale_input=True, note="windows of padding alone")
case(x(1, 2, 3, 4), x(2, 2, 2, 4), padding="same", scale_input=True, note="an odd number of zeros")
case(x(1, 2, 3, 4), x(2, 2, 2, 2), padding="valid")
case(x(0, 2, 3, 3), x(2, 2, 2, 2), x(2))
case(x(1, 66, 2, 3), x(2, 66, 2, 2), padding=1, note="more than a word of channels")
case(x(2, 3, 4, 5).transposed, x(4, 3, 2, 3).strided, x(4).strided)
case(x(1, 2, 3, 3).fixed, x(2, 2, 2, 2))
case(x(1, 2, 3, 3), x(2, 2, 2, 2).fixed)
case(positive(1, 2, 3, 3), positive(2, 2, 2, 2))
case(given([[[[0.0, -0.0], [1.0, -1.0]]]]), given([[[[0.0, -0.0], [-1.0, 1.0]]]]), padding=1, note="at the edges")
case(given([[[[1.0, NAN], [-INF, 2.0]]]]), x(1, 1, 1, 2), scale_input=True)
case(given([[[[1.0, NAN], [-INF, 2.0]]]]), x(1, 1, 1, 2))
case(x(1, 2, 2, 2), given([[[[NAN]], [[1.0]]], [[[INF]], [[1.0]]]]))


def layer(library: Any, weight: Any, bias: Any, input: Any, *build: Any, **options: Any) -> Any:
    if hasattr(library.nn, "BinaryConv2d"):
        module = library.nn.BinaryConv2d(*build, **options)
        assert (module.weight.shape, module.bias.shape) == (weight.shape, bias.shape)
        module._parameters["weight"], module._parameters["bias"] = weight, bias
        return module(input)
    return binary(library, input, weight, bias, **options)


table.case(
    "BinaryConv2d", x(3, 2, 2, 2), x(3), x(2, 2, 4, 4), 2, 3, 2, padding=1, scale_input=True, call=layer, smooth=False
)
table.case(
    "BinaryConv2d", x(3, 2, 2, 3), x(3), x(2, 4, 4), 2, 3, (2, 3), stride=2, dilation=(2, 1), call=layer, smooth=False
)


@st.composite
def convolutions(draw: st.DrawFn) -> Any:
    """Sizes, kernels and options of which one makes no sense, rarely."""
    channels, sizes = draw(st.integers(1, 3)), [draw(st.integers(1, 5)) for _ in "HW"]
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    kernel_size = [draw(st.integers(1, 3)) for _ in "HW"]
    options: dict[str, Any] = {"scale_input": draw(st.booleans())}
    for name, one in {
        "stride": st.sampled_from([1, 1, 2, 2, 3, 0]),
        "padding": st.sampled_from([0, 0, 1, 1, 2, -1]),
        "dilation": st.sampled_from([1, 1, 1, 2, 3, 0]),
    }.items():
        options[name] = draw(st.one_of(one, st.tuples(one, one)))
    return (x(*batch, channels, *sizes), x(draw(st.integers(1, 3)), channels, *kernel_size)), options


table.drawn("binary_conv2d", convolutions(), call=binary)

# PyTorch has no function that could refuse these, so it is not asked.


def conv(m: Any, input: Any = (1, 2, 3, 3), weight: Any = (2, 2, 2, 2), **options: Any) -> Any:
    return m.nn.functional.binary_conv2d(m.ones(*input), m.ones(*weight), **options)


def refused(error: type[Any], call: Any, *says: str) -> None:
    wrong(error, call, "binary_conv2d:", *says, torch_allows=None)


refused(ShapeError, lambda m: conv(m, (3, 3)), "input must be (N, C, H, W)", "got shape (3, 3)")
refused(ShapeError, lambda m: conv(m, (1, 3, 3, 3)), "wants 2 input channels", "got 3")
refused(ShapeError, lambda m: conv(m, weight=(2, 2, 2)), "weight must be", "got shape (2, 2, 2)")
refused(ShapeError, lambda m: conv(m, dilation=3), "dilation (3, 3)", "larger than the input of sizes (3, 3)")
refused(ShapeError, lambda m: conv(m, bias=m.ones(3)), "bias must have shape (2,)", "got (3,)")
refused(ArgumentError, lambda m: conv(m, stride=0), "stride must be >= 1", "got 0")
refused(ArgumentError, lambda m: conv(m, padding=-1), "padding must be >= 0", "got -1")
refused(ArgumentError, lambda m: conv(m, dilation=(1, 0)), "dilation must be >= 1", "got (1, 0)")
refused(ArgumentError, lambda m: conv(m, padding="full"), "'same' or 'valid'", "got 'full'")
refused(ArgumentError, lambda m: conv(m, stride=2, padding="same"), "stride 1", "got stride (2, 2)")
refused(ArgumentTypeError, lambda m: conv(m, padding=1.5), "padding", "integer", "got 1.5")
refused(ArgumentTypeError, lambda m: m.nn.functional.binary_conv2d([1.0], m.ones(1, 1, 1, 1)), "input must be a Tensor")
for dtype in ("float16", "int64", "bool"):
    refused(
        DtypeError,
        lambda m, dtype=dtype: m.nn.functional.binary_conv2d(
            m.ones(1, 1, 2, 2).to(getattr(m, dtype)), m.ones(1, 1, 1, 1).to(getattr(m, dtype))
        ),
        dtype,
        ".float()",
    )
