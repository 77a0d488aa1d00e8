"""Images read at any points, and grids of such points."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table(
    "sampling",
    once={"grid_sample": "PyTorch has no second gradients for it on CPUs; ours are checked numerically"},
)
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")


def sample(*args: Any, **options: Any) -> None:
    """PyTorch: "derivative for aten::grid_sampler_2d_backward is not implemented"."""
    case("grid_sample", *args, twice=False, **options)


# Centres and edges of pixels, exactly: of an image of 3 x 5 with align_corners, of 2 x 4 without; ends, and outside.
KINKS = {
    True: [[[[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.5, -1.0], [-0.5, 1.0]],
            [[0.25, 0.5], [-0.75, -0.5], [2.0, -2.0], [-3.0, 3.0], [1.25, -4.5]]]],
    False: [[[[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.75, -0.5], [-0.25, 0.5]],
             [[0.25, 0.5], [-0.75, -1.5], [2.0, -2.0], [-3.0, 3.0], [1.25, -4.5]]]],
}  # fmt: skip
KINKY = {True: (3, 5), False: (2, 4)}
HALVES = [[[[0.25, 0.5], [-0.75, -0.5], [0.75, 1.5], [1.5, -1.5], [-0.25, 0.0]]]]

for padding_mode in ("zeros", "border", "reflection"):
    for align_corners in (False, True):
        options: dict[str, Any] = {"padding_mode": padding_mode, "align_corners": align_corners}
        for mode in ("bilinear", "nearest", "bicubic"):
            # Bicubic sampling takes long to check numerically.
            image, grid = (x(1, 1, 2, 3), x(1, 1, 2, 2)) if mode == "bicubic" else (x(2, 2, 3, 2), x(2, 1, 3, 2))
            sample(image, grid, mode, **options)
            sample(x(1, 2, *KINKY[align_corners]), given(KINKS[align_corners]), mode, smooth=False, **options)
            sample(x(1, 2, 3, 5), given(HALVES), mode, smooth=False, **options)
            # One pixel repeated everywhere is a constant, of which bicubic curves only compute roundings.
            constant = mode == "bicubic" and padding_mode != "zeros"
            sample(x(1, 1, 1, 1), x(1, 1, 2, 2), mode, smooth=not constant, **options)
        for mode in ("bilinear", "nearest"):
            sample(x(1, 2, 3, 2, 2), x(1, 2, 1, 2, 3), mode, **options)
            sample(x(1, 1, 3, 3, 3), given([[[[[-1.0, 0.0, 1.0], [0.5, 2.0, -2.0]]]]]), mode, smooth=False, **options)
sample(x(1, 2, 3, 2), x(1, 2, 1, 2))
sample(input=x(1, 2, 3, 2), grid=x(1, 2, 1, 2), mode="bilinear", padding_mode="zeros", align_corners=None)
for mode in ("bilinear", "nearest", "bicubic"):
    sample(x(1, 2, 3, 2).fixed, x(1, 1, 2, 2), mode)
    sample(x(1, 2, 3, 2), x(1, 1, 2, 2).fixed, mode)
    sample(x(0, 2, 3, 4), x(0, 2, 3, 2), mode)
    sample(x(1, 0, 3, 4), x(1, 2, 3, 2), mode)
    sample(x(1, 2, 3, 4), x(1, 0, 3, 2), mode)
    sample(x(2, 1, 3, 2).transposed, x(2, 1, 2, 2).transposed, mode)
    sample(x(2, 1, 3, 2).strided, x(2, 1, 2, 2).strided, mode)
    sample(x(1, 2, 4, 4, dtype="float16"), given(HALVES, "float16"), mode, smooth=False)
    # PyTorch crashes in the backward of "border" and "reflection" at nan.
    sample(x(1, 1, 3, 3), given([[[[NAN, 0.1], [0.1, NAN], [INF, 0.1], [0.1, -INF]]]]), mode, smooth=False)
    sample(given([[[[1.0, NAN], [INF, 2.0]]]]), given([[[[0.1, 0.2], [-1.5, 0.4]]]]), mode, smooth=False)
    sample(given([[[[INF, 1.0, 2.0]]]]), given([[[[1.0, 0.0], [9.0, 0.0]]]]), mode, smooth=False)
sample(x(1, 1, 3, 3), given([[[[INF, 0.1], [-INF, 0.3], [1e30, 0.2]]]]), padding_mode="border", smooth=False)
sample(x(1, 1, 3, 3), given([[[[INF, 0.1], [-INF, 0.3], [NAN, 0.2]]]]), "nearest", "border", smooth=False)
sample(x(1, 1, 2, 2, 2), given([[[[[NAN, 0.1, 0.2], [0.3, INF, 0.4], [0.3, 0.1, -INF]]]]]), smooth=False)
sample(x(1, 1, 2, 2, 2), given([[[[[INF, 0.1, 0.2], [0.3, -INF, 0.4]]]]]), padding_mode="border", smooth=False)

for align_corners in (None, False, True):
    case("affine_grid", x(2, 2, 3), (2, 3, 2, 4), align_corners)
    case("affine_grid", x(1, 3, 4), (1, 2, 2, 3, 4), align_corners)
    case("affine_grid", x(1, 2, 3), [1, 1, 1, 1], align_corners)
    case("affine_grid", theta=x(1, 3, 4), size=[1, 1, 1, 3, 2], align_corners=align_corners)
case("affine_grid", x(2, 2, 3), (2, 1, 2, 3))
case("affine_grid", x(2, 2, 3).transposed, (2, 1, 2, 3))
case("affine_grid", x(2, 2, 3).strided, (2, 1, 2, 3))
case("affine_grid", x(1, 2, 3, dtype="float16"), (1, 1, 2, 3))
case("affine_grid", given([[[1.0, NAN, 0.0], [0.0, 1.0, INF]]]), (1, 1, 2, 2), smooth=False)


@st.composite
def sampled(draw: st.DrawFn) -> Any:
    """Images and grids that mostly fit."""
    dims, batch = draw(st.integers(2, 3)), draw(st.integers(0, 2))
    sizes = [draw(st.integers(1, 4)) for _ in range(dims)]
    outer = [draw(st.integers(0, 3)) for _ in range(dims)]
    image = draw(tensors(st.just((batch, draw(st.integers(0, 2)), *sizes))))
    others = batch + (draw(st.integers(0, 9)) == 0), dims + (draw(st.integers(0, 9)) == 0)
    grid = draw(tensors(st.just((others[0], *outer, others[1]))))
    modes = st.sampled_from(["bilinear", "nearest", "bicubic"]), st.sampled_from(["zeros", "border", "reflection"])
    return (image, grid, *[draw(mode) for mode in modes]), {"align_corners": draw(st.sampled_from([None, False, True]))}


@st.composite
def affine(draw: st.DrawFn) -> Any:
    dims, batch = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    size = (batch, *[draw(st.integers(1, 4)) for _ in range(dims + (draw(st.integers(0, 9)) > 0))])
    return (draw(tensors(st.just((batch, dims, dims + 1)))), size), {"align_corners": draw(st.booleans())}


table.drawn("grid_sample", sampled(), twice=False)
table.drawn("affine_grid", affine())

# --- mistakes -----------------------------------------------------------------------------------------------------


def grid_sample(m: Any, input: tuple[int, ...], grid: tuple[int, ...], *options: Any, **named: Any) -> Any:
    return m.nn.functional.grid_sample(m.ones(*input), m.ones(*grid), *options, **named)


FITS = (1, 1, 2, 2), (1, 2, 2, 2)
wrong(ArgumentError, lambda m: grid_sample(m, *FITS, "cubic"), "grid_sample:", "mode must be", "got 'cubic'")
wrong(ArgumentError, lambda m: grid_sample(m, *FITS, padding_mode="wrap"), "grid_sample:", "padding_mode", "got 'wrap'")
wrong(ArgumentTypeError, lambda m: grid_sample(m, *FITS, align_corners=1), "grid_sample:", "align_corners", "got 1")
wrong(ShapeError, lambda m: grid_sample(m, (1, 2, 2), (1, 2, 2)), "grid_sample:", "(N, C, H, W)", "got shape (1, 2, 2)")
wrong(ShapeError, lambda m: grid_sample(m, (1, 1, 0, 2), (1, 2, 2, 2)), "grid_sample:", "sizes of at least 1")
wrong(ShapeError, lambda m: grid_sample(m, (1, 1, 2, 2), (2, 2, 2, 2)), "grid_sample:", "(1, H_out, W_out, 2), got")
wrong(ShapeError, lambda m: grid_sample(m, (1, 1, 2, 2), (1, 2, 2, 3)), "grid_sample:", "got shape (1, 2, 2, 3)")
wrong(ShapeError, lambda m: grid_sample(m, (1, 1, 2, 2), (1, 2, 2)), "grid_sample:", "got shape (1, 2, 2)")
wrong(
    ShapeError,
    lambda m: grid_sample(m, (1, 1, 2, 2, 2), (1, 2, 2, 2, 2)),
    "grid_sample:",
    "(1, D_out, H_out, W_out, 3)",
)
wrong(
    ShapeError,
    lambda m: grid_sample(m, (1, 1, 2, 2, 2), (1, 2, 2, 2, 3), "bicubic"),
    "grid_sample:", 'mode="bicubic" takes (N, C, H, W)',
)  # fmt: skip
wrong(
    DtypeError,
    lambda m: m.nn.functional.grid_sample(m.ones(1, 1, 2, 2), m.ones(1, 2, 2, 2, dtype=m.float64)),
    "grid_sample:", "one dtype, got float32 and float64",
)  # fmt: skip
wrong(
    DtypeError,
    lambda m: m.nn.functional.grid_sample(m.ones(1, 1, 2, 2, dtype=m.int64), m.ones(1, 2, 2, 2, dtype=m.int64)),
    "grid_sample:", "must have a floating dtype, got int64",
)  # fmt: skip
wrong(
    ArgumentTypeError, lambda m: m.nn.functional.grid_sample(1.0, m.ones(1, 2, 2, 2)), "grid_sample:", "input", "float"
)
wrong(
    ArgumentTypeError, lambda m: m.nn.functional.grid_sample(m.ones(1, 1, 2, 2), [0.0]), "grid_sample:", "grid", "list"
)


def affine_grid(m: Any, *theta: int, size: Any, **options: Any) -> Any:
    return m.nn.functional.affine_grid(m.ones(*theta), size, **options)


wrong(ShapeError, lambda m: affine_grid(m, 2, 2, 3, size=(1, 1, 2, 2)), "affine_grid:", "theta must be (1, 2, 3), got")
wrong(ShapeError, lambda m: affine_grid(m, 1, 3, 4, size=(1, 1, 2, 2)), "affine_grid:", "got shape (1, 3, 4)")
wrong(ShapeError, lambda m: affine_grid(m, 2, 3, size=(1, 1, 2, 2)), "affine_grid:", "got shape (2, 3)")
wrong(ShapeError, lambda m: affine_grid(m, 1, 2, 3, size=(1, 2, 2)), "affine_grid:", "size must be", "got (1, 2, 2)")
wrong(ShapeError, lambda m: affine_grid(m, 1, 2, 3, size=(1, 1, 0, 2)), "affine_grid:", "all positive", "(1, 1, 0, 2)")
wrong(ArgumentTypeError, lambda m: affine_grid(m, 1, 2, 3, size=(1, 1, 2, 2.5)), "affine_grid:", "size", "2.5")
wrong(
    ArgumentTypeError, lambda m: affine_grid(m, 1, 2, 3, size=(1, 1, 2, 2), align_corners="no"), "affine_grid:", "'no'"
)
wrong(
    ArgumentTypeError, lambda m: m.nn.functional.affine_grid([[[1.0]]], (1, 1, 2, 2)), "affine_grid:", "theta", "list"
)
wrong(
    DtypeError,
    lambda m: m.nn.functional.affine_grid(m.ones(1, 2, 3, dtype=m.int64), (1, 1, 2, 2)),
    "affine_grid:", "must have a floating dtype, got int64",
)  # fmt: skip
