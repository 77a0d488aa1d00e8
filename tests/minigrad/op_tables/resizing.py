"""Images in another size."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, integers, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("resizing")
case, layer, wrong = table.case, table.layer, table.wrong

NAN, INF = float("nan"), float("inf")

# --- modes and sizes ----------------------------------------------------------------------------------------------

for mode in ("nearest", "nearest-exact", "area"):
    case("interpolate", x(2, 2, 3), 5, mode=mode)
    case("interpolate", x(2, 2, 5), 3, mode=mode)
    case("interpolate", x(1, 2, 3, 4), (5, 3), mode=mode)
    case("interpolate", x(1, 2, 2, 3, 4), (3, 5, 2), mode=mode)
    case("interpolate", x(1, 1, 3, 4), scale_factor=(1.7, 2.0), mode=mode)
    case("interpolate", x(1, 1, 3, 5), scale_factor=1.3, recompute_scale_factor=True, mode=mode)
    case("interpolate", x(1, 1, 1, 3), 2, mode=mode)
    case("interpolate", x(0, 2, 3, 3), 2, mode=mode)
    case("interpolate", x(1, 2, 3, 3, dtype="float16"), 5, mode=mode)
    case("interpolate", x(2, 2, 3, 3).transposed, 4, mode=mode)
    case("interpolate", x(2, 2, 3, 4).strided, 5, mode=mode)
    # PyTorch keeps nan and inf in the elements that are read, and so do we.
    case("interpolate", given([[[1.0, NAN, 2.0, INF, 3.0]]]), 7, mode=mode, smooth=False)

for mode, sizes, size in (
    ("linear", (3,), (7,)),
    ("bilinear", (3, 4), (5, 3)),
    ("trilinear", (2, 3, 4), (3, 5, 2)),
    ("bicubic", (3, 4), (5, 3)),
):
    scales = tuple((1.7, 2.0, 0.6)[: len(sizes)])
    for align_corners in (False, True):
        case("interpolate", x(2, 1, *sizes), size, mode=mode, align_corners=align_corners)
        case("interpolate", x(1, 1, *sizes), scale_factor=scales, mode=mode, align_corners=align_corners)
        case("interpolate", x(1, 1, *sizes), 1, mode=mode, align_corners=align_corners)
        case("interpolate", x(1, 1, *[1] * len(sizes)), 3, mode=mode, align_corners=align_corners)
    case("interpolate", x(1, 2, *sizes), sizes, mode=mode, note="to the same size")
    case("interpolate", x(1, 1, *sizes), scale_factor=1.7, recompute_scale_factor=False, mode=mode)
    case("interpolate", x(1, 1, *sizes), scale_factor=1.7, recompute_scale_factor=True, mode=mode)
    case("interpolate", x(0, 2, *sizes), 2, mode=mode)
    case("interpolate", x(2, 1, *sizes).transposed, 4, mode=mode)
    case("interpolate", x(2, 1, *sizes).strided, 4, mode=mode)
    case("interpolate", x(1, 2, *sizes, dtype="float16"), 5, mode=mode)
case("interpolate", x(1, 1, 4, 4), 2, mode="bicubic", note="to a smaller size")
case("interpolate", x(1, 1, 4), size=[7], mode="linear")
case("interpolate", x(1, 1, 4, 2), scale_factor=[2, 1.5], mode="bilinear")
case("interpolate", given([[[1.0, NAN, 2.0, 4.0, INF, 3.0]]]), 9, mode="linear", smooth=False)
case("interpolate", given([[[1.0, NAN, 2.0, 4.0, INF, 3.0]]]), 6, mode="linear", smooth=False)
case("interpolate", given([[[[1.0, 2.0, 3.0, 4.0, INF, 3.0, 1.0]]]]), (1, 9), mode="bicubic", smooth=False)
case("interpolate", integers(1, 2, 3, 2, high=255, dtype="uint8"), 4)
case("interpolate", integers(1, 2, 3, high=255, dtype="uint8"), 4, mode="nearest-exact")
# Factors between 2 and 1 / 2 whose element is found by rounding in the dtype of the input.
case("interpolate", x(1, 1, 7), scale_factor=10 / 7)
case("interpolate", x(1, 1, 6), 10)
case("interpolate", x(1, 1, 10), 6, mode="nearest-exact")

case("upsample", x(1, 2, 3), 5)
case("upsample", x(1, 2, 3, 3), scale_factor=2)
case("upsample", x(1, 2, 3, 3), None, 1.5, "bilinear", True)
case("upsample", x(1, 2, 2, 2, 2), (3, 4, 3), None, "trilinear", False)

layer("Upsample", x(1, 2, 3), scale_factor=2)
layer("Upsample", x(1, 2, 3, 2), build=((5, 4), None, "bilinear", True))
layer("Upsample", x(1, 2, 3, 3), scale_factor=(1.7, 2), mode="bicubic", align_corners=False)
layer("Upsample", x(1, 2, 3), scale_factor=1.7, mode="linear", recompute_scale_factor=True)
layer("Upsample", x(1, 2, 3, 2), size=4, mode="area")
layer("UpsamplingNearest2d", x(1, 2, 3, 2), scale_factor=2)
layer("UpsamplingNearest2d", x(1, 2, 3, 2), build=((5, 3),))
layer("UpsamplingBilinear2d", x(1, 2, 3, 2), scale_factor=2)
layer("UpsamplingBilinear2d", x(1, 2, 3, 2), build=(4,))


@st.composite
def resizings(draw: st.DrawFn) -> Any:
    """Sizes and options that mostly fit; factors that PyTorch's forward and backward understand alike."""
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"]))
    dims = draw(st.integers(1, 3))
    if draw(st.integers(0, 9)):
        dims = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}.get(mode, dims)
    # PyTorch lets "area" make images without pixels, but has no gradient for them.
    least = 1 if mode == "area" or draw(st.integers(0, 9)) else 0
    sizes = [draw(st.integers(least, 4)) for _ in range(dims)]
    image = draw(tensors(st.just((draw(st.integers(0, 2)), draw(st.integers(1, 2)), *sizes))))
    options: dict[str, Any] = {"mode": mode}
    if draw(st.booleans()):
        options["size"] = [draw(st.integers(least, 6)) for _ in range(dims)]
    else:
        smallest = 1.0 if mode == "area" else 0.5
        options["scale_factor"] = [draw(st.floats(smallest, 3.0, width=16)) for _ in range(dims)]
        # Otherwise, for a new size of once or twice the old one, PyTorch's backward ignores the factor.
        options["recompute_scale_factor"] = mode not in ("linear", "bilinear", "trilinear") or draw(st.booleans())
    if mode.endswith(("linear", "cubic")):
        options["align_corners"] = draw(st.sampled_from([None, False, True]))
    return (image,), options


table.drawn("interpolate", resizings())

# --- mistakes -----------------------------------------------------------------------------------------------------


def interpolate(m: Any, *sizes: int, **options: Any) -> Any:
    return m.nn.functional.interpolate(m.ones(*sizes), **options)


def wrong_interpolate(error: Any, *says: str, sizes: tuple[int, ...] = (1, 1, 2, 2), **options: Any) -> None:
    wrong(error, lambda m: interpolate(m, *sizes, **options), "interpolate:", *says)


wrong_interpolate(ArgumentError, "give either size or scale_factor")
wrong_interpolate(ArgumentError, "either", "size=2", "scale_factor=2", size=2, scale_factor=2)
wrong_interpolate(ArgumentError, "size must be one number or 2", "(3,)", size=(3,))
wrong_interpolate(ArgumentError, "scale_factor must be one number or 2", "(3,)", scale_factor=(3,))
wrong_interpolate(ArgumentError, "size must be >= 1", "got [0, 0]", size=0)
wrong_interpolate(ArgumentTypeError, "size must be one integer or 2", "2.5", size=2.5)
wrong_interpolate(ArgumentTypeError, "scale_factor must be a number", "'2'", scale_factor="2")
wrong_interpolate(ArgumentTypeError, "scale_factor must be a number", "NoneType", scale_factor=(2, None))
wrong_interpolate(ArgumentError, "scale_factor must be finite and > 0", "got -1", scale_factor=-1)
wrong_interpolate(ArgumentError, "scale_factor must be finite and > 0", "got nan", scale_factor=NAN)
wrong_interpolate(ArgumentError, "scale_factor must be finite and > 0", "got inf", scale_factor=INF)
wrong_interpolate(ShapeError, "sizes (2, 2) of the input would become (0, 0)", scale_factor=0.3)
wrong_interpolate(ShapeError, "each must be 1 to 2147483647", scale_factor=1e300)
wrong_interpolate(ArgumentError, "mode must be", "got 'cubic'", size=2, mode="cubic")
wrong_interpolate(ShapeError, "mode='linear' takes", "3 dimensions", "(1, 1, 2, 2)", size=2, mode="linear")
wrong_interpolate(ShapeError, "3, 4 or 5 dimensions", "(2, 2)", sizes=(2, 2), size=2)
wrong_interpolate(ShapeError, "only the batch may be empty", sizes=(1, 1, 0, 2), size=2)
wrong_interpolate(ShapeError, "only the batch may be empty", sizes=(1, 0, 2, 2), size=2)
wrong_interpolate(ArgumentError, "align_corners has no meaning", "'nearest'", size=2, align_corners=False)
wrong_interpolate(ArgumentTypeError, "align_corners must be True", "got 1", size=2, mode="bilinear", align_corners=1)
wrong_interpolate(ArgumentError, "recompute_scale_factor=True has no meaning", size=2, recompute_scale_factor=True)
wrong(DtypeError, lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2, dtype=m.int64), 3), "interpolate:", "int64")
wrong(
    DtypeError,
    lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2, dtype=m.uint8), 3, mode="linear"),
    "interpolate:", "must have a floating dtype, got uint8",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.functional.interpolate([[[1.0]]], 3), "interpolate:", "list", "minigrad.tensor")
wrong(
    NotImplementedError,
    lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2, 2), 3, mode="bilinear", antialias=True),
    "interpolate:", "antialias=True is not supported",
    torch_allows=True,
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.functional.upsample(m.ones(1, 1, 2)), "upsample:", "give either size or scale")
wrong(ShapeError, lambda m: m.nn.functional.upsample(m.ones(2), 3), "upsample:", "got shape (2,)")
wrong(ArgumentError, lambda m: m.nn.Upsample()(m.ones(1, 1, 2)), "interpolate:", "give either size or scale_factor")
wrong(ShapeError, lambda m: m.nn.UpsamplingBilinear2d(3)(m.ones(1, 1, 2)), "interpolate:", "4 dimensions", "(1, 1, 2)")
