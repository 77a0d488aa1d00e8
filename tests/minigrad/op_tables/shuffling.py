"""Rearranging channels: between them and space, and among themselves."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, booleans, given, integers, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError

table = Table("shuffling")
case, layer, wrong = table.case, table.layer, table.wrong

NAN, INF = float("nan"), float("inf")

case("pixel_shuffle", x(1, 8, 2, 3), 2)
case("pixel_shuffle", x(9, 1, 2), upscale_factor=3)
case("pixel_shuffle", x(2, 2, 4, 1, 2), 2)
case("pixel_shuffle", x(1, 2, 2, 2), 1)
# PyTorch's gradients of empty images have the wrong shape.
case("pixel_shuffle", x(0, 4, 2, 2).fixed, 2)
case("pixel_shuffle", x(1, 0, 2, 2).fixed, 2)
case("pixel_shuffle", x(1, 4, 0, 2).fixed, 2)
case("pixel_shuffle", x(2, 4, 2, 3).transposed, 2)
case("pixel_shuffle", x(2, 4, 2, 3).strided, 2)
case("pixel_shuffle", x(1, 4, 1, 2, dtype="float16"), 2)
case("pixel_shuffle", integers(1, 4, 2, 2, high=9), 2)
case("pixel_shuffle", booleans(1, 4, 2, 2), 2)
case("pixel_shuffle", given([[[[NAN]], [[INF]], [[1.0]], [[-INF]]]]), 2, smooth=False)

case("pixel_unshuffle", x(1, 2, 4, 6), 2)
case("pixel_unshuffle", x(1, 3, 6), downscale_factor=3)
case("pixel_unshuffle", x(2, 2, 1, 2, 4), 2)
case("pixel_unshuffle", x(1, 2, 2, 2), 1)
# PyTorch returns an empty image as it is, in the wrong shape: test_nn.py checks ours.
case("pixel_unshuffle", x(0, 1, 2, 2), 1)
case("pixel_unshuffle", x(2, 1, 4, 2).transposed, 2)
case("pixel_unshuffle", x(2, 1, 2, 4).strided, 2)
case("pixel_unshuffle", x(1, 1, 2, 2, dtype="float16"), 2)
case("pixel_unshuffle", integers(1, 1, 2, 2, high=9), 2)
case("pixel_unshuffle", given([[[[NAN, INF], [1.0, -INF]]]]), 2, smooth=False)

case("channel_shuffle", x(1, 6, 2, 2), 2)
case("channel_shuffle", x(2, 6, 2), groups=3)
case("channel_shuffle", x(1, 4, 1, 2, 2), 2)
case("channel_shuffle", x(1, 3, 2, 2), 1)
case("channel_shuffle", x(1, 3, 2, 2), 3)
case("channel_shuffle", x(0, 4, 2, 2), 2)
case("channel_shuffle", x(1, 4, 0, 2), 2)
case("channel_shuffle", x(2, 4, 2, 3).transposed, 2)
case("channel_shuffle", x(2, 4, 2, 3).strided, 2)
case("channel_shuffle", x(1, 4, 1, 2, dtype="float16"), 2)
case("channel_shuffle", integers(1, 4, 2, 2, high=9), 2)
case("channel_shuffle", given([[[[NAN]], [[INF]], [[1.0]], [[-INF]]]]), 2, smooth=False)

layer("PixelShuffle", x(1, 8, 2, 1), build=(2,))
layer("PixelShuffle", x(9, 1, 2), upscale_factor=3)
layer("PixelUnshuffle", x(1, 2, 4, 2), build=(2,))
layer("PixelUnshuffle", x(1, 3, 6), downscale_factor=3)
layer("ChannelShuffle", x(1, 6, 2, 1), build=(2,))
layer("ChannelShuffle", x(1, 6, 2), groups=3)


@st.composite
def images(draw: st.DrawFn) -> Any:
    """An image with many divisors in its sizes, and a factor."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6, 8]), min_size=2, max_size=4))
    return (draw(tensors(st.just((draw(st.integers(1, 2)), *sizes)))), draw(st.integers(0, 3))), {}


table.drawn("pixel_shuffle", images())
table.drawn("pixel_unshuffle", images())
table.drawn("channel_shuffle", images())

for name, argument, takes in (
    ("pixel_shuffle", "upscale_factor", "(..., C, H, W)"),
    ("pixel_unshuffle", "downscale_factor", "(..., C, H, W)"),
    ("channel_shuffle", "groups", "(N, C, ...)"),
):

    def shuffle(m: Any, *sizes: int, by: Any = 2, name: str = name) -> Any:
        return getattr(m.nn.functional, name)(m.ones(*sizes), by)

    wrong(ShapeError, lambda m, f=shuffle: f(m, 4, 4), f"{name}:", takes, "(4, 4)")
    wrong(ArgumentError, lambda m, f=shuffle: f(m, 4, 4, 4, by=0), f"{name}:", f"{argument} must be >= 1, got 0")
    wrong(ArgumentError, lambda m, f=shuffle: f(m, 4, 4, 4, by=-2), f"{name}:", f"{argument} must be >= 1, got -2")
    wrong(ArgumentTypeError, lambda m, f=shuffle: f(m, 4, 4, 4, by=2.0), f"{name}:", f"{argument} must be an integer")
    wrong(ArgumentTypeError, lambda m, f=shuffle: f(m, 4, 4, 4, by=True), f"{name}:", f"{argument} must be", "bool")
    wrong(
        ArgumentTypeError,
        lambda m, name=name: getattr(m.nn.functional, name)([[[1.0]]], 1),
        f"{name}:",
        "input",
        "list",
    )
wrong(ShapeError, lambda m: m.nn.PixelShuffle(2)(m.ones(1, 6, 2, 2)), "pixel_shuffle:", "multiple of", "= 4, got 6")
wrong(ShapeError, lambda m: m.nn.PixelUnshuffle(2)(m.ones(1, 3, 2)), "pixel_unshuffle:", "multiples of", "2, got 3 and")
wrong(ShapeError, lambda m: m.nn.PixelUnshuffle(2)(m.ones(1, 2, 3)), "pixel_unshuffle:", "multiples of", "got 2 and 3")
wrong(ShapeError, lambda m: m.nn.ChannelShuffle(2)(m.ones(1, 3, 2)), "channel_shuffle:", "groups = 2, got 3")
