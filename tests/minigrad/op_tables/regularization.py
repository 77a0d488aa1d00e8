"""Dropout where nothing is random: outside training, and with p = 0 and 1; test_dropout.py is about the rest."""

from __future__ import annotations

from op_harness import Table, given, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("regularization")
case, wrong, layer = table.case, table.wrong, table.layer

NAN, INF = float("nan"), float("inf")

SHAPES = {
    "dropout": (2, 3), "dropout1d": (2, 3, 2), "dropout2d": (2, 3, 2, 1), "dropout3d": (1, 3, 2, 1, 2),
    "alpha_dropout": (2, 3), "feature_alpha_dropout": (2, 3, 2),
}  # fmt: skip
for name, shape in SHAPES.items():
    case(name, x(*shape), training=False)
    case(name, x(*shape), 0.3, False)
    case(name, x(*shape), 0.0, True, False)
    case(name, x(*shape), p=1.0, training=True)
    case(name, x(0, *shape[1:]), 0.5, True)
    case(name, x(*shape).transposed, p=0.0, training=True)
    case(name, x(*shape, dtype="float16"), p=1.0, training=True)
    case(name, given([3, 1], "int64").strided if name == "dropout" else x(*shape).strided, training=False)
case("dropout", x(), p=0.0)
case("dropout", given([NAN, INF, -INF, 1.0]), p=1.0, smooth=False)
case("dropout1d", x(3, 2), p=1.0)
case("dropout2d", x(2, 3, 2), p=1.0)
case("dropout3d", x(3, 2, 1, 2), p=1.0)

layer("Dropout", x(2, 3), training=False)
layer("Dropout", x(2, 3), p=0.0)
layer("Dropout1d", x(2, 3, 2), p=0.2, training=False)
layer("Dropout2d", x(2, 3, 2, 1), build=(0.2,), training=False)
layer("Dropout3d", x(1, 2, 2, 1, 2), training=False)
layer("AlphaDropout", x(2, 3), training=False)
layer("FeatureAlphaDropout", x(2, 3), training=False)
for module in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"):
    layer(module, x(*SHAPES["dropout2d" if module == "Dropout2d" else "dropout3d"][: 5 if "3" in module else 3]), p=1.0)

# --- wrong calls ------------------------------------------------------------------------------------------------------

for name, shape in SHAPES.items():
    for p in (1.5, -0.1, NAN):
        wrong(
            ArgumentError, lambda m, name=name, p=p: getattr(m.nn.functional, name)(m.ones(2, 3, 2, 2), p, True),
            f"{name}:", "[0, 1]", str(p),
        )  # fmt: skip
    wrong(
        DtypeError,
        lambda m, name=name, shape=shape: getattr(m.nn.functional, name)(m.ones(*shape).long(), 0.5, True),
        f"{name}:", "int64", "input.float()",
    )  # fmt: skip
    wrong(
        ArgumentTypeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3, 2, 2), "a"), f"{name}:",
        "p must be a number", "'a'",
    )  # fmt: skip
    wrong(ArgumentTypeError, lambda m, name=name: getattr(m.nn.functional, name)([1.0]), f"{name}:", "input", "list")
    wrong(
        NotImplementedError,
        lambda m, name=name, shape=shape: getattr(m.nn.functional, name)(m.ones(*shape), inplace=True),
        f"{name}:", "inplace=True", torch_allows=True,
    )  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.dropout1d(m.ones(3)), "dropout1d:", "(C, L) or (N, C, L)", "(3,)")
wrong(ShapeError, lambda m: m.nn.functional.dropout1d(m.ones(1, 1, 1, 3)), "dropout1d:", "(1, 1, 1, 3)")
wrong(ShapeError, lambda m: m.nn.functional.dropout2d(m.ones(3)), "dropout2d:", "(N, C, H, W)", "(3,)")
wrong(
    ShapeError, lambda m: m.nn.functional.dropout3d(m.ones(3, 1)), "dropout3d:", "(N, C, D, H, W)", "(3, 1)",
    torch_allows=True,
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.feature_alpha_dropout(m.ones(3), 0.5, True), "feature_alpha_dropout:",
    "(N, C, ...)", "(3,)",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.Dropout(2.0), "Dropout:", "[0, 1]", "2.0")
wrong(ArgumentError, lambda m: m.nn.AlphaDropout(-1.0), "AlphaDropout:", "[0, 1]", "-1.0")
wrong(NotImplementedError, lambda m: m.nn.Dropout2d(inplace=True), "Dropout2d:", "inplace=True", torch_allows=True)
