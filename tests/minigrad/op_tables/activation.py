"""Activation functions and their modules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Dtype, Table, distinct, given, x
from op_strategies import unary, with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("activation", once={"hardsigmoid": "PyTorch has no second gradient of it; test_numerically checks ours"})
case, wrong, layer = table.case, table.wrong, table.layer

NAN, INF = float("nan"), float("inf")
# PyTorch has no second gradient of hardsigmoid, and 1 / 6 only to float32 in its first one.
LIMITED = {"hardsigmoid": {"twice": False, "loose": 1000}}
# In float32 PyTorch returns nan for gelu(inf) and for the derivatives of mish(100).
FLOAT64 = {"gelu", "mish"}

# --- element by element -----------------------------------------------------------------------------------------------

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "relu6": [{}],
    "leaky_relu": [{}, {"negative_slope": 0.3}, {"negative_slope": -0.5}, {"negative_slope": 0.0}],
    "rrelu": [{}, {"lower": 0.2, "upper": 0.6}, {"lower": 0.5, "upper": 0.5, "training": True}],
    "elu": [{}, {"alpha": 0.5}, {"alpha": -1.5}],
    "selu": [{}],
    "celu": [{}, {"alpha": 0.5}, {"alpha": -2.0}],
    "gelu": [{}, {"approximate": "tanh"}, {"approximate": "none"}],
    "silu": [{}],
    "mish": [{}],
    "softplus": [{}, {"beta": 2.0}, {"beta": 2.0, "threshold": 1.5}, {"beta": -1.0}],
    "softsign": [{}],
    "softshrink": [{}, {"lambd": 0.0}, {"lambd": 1.0}],
    "hardshrink": [{}, {"lambd": 0.0}, {"lambd": 1.0}],
    "hardtanh": [{}, {"min_val": -0.5, "max_val": 1.5}],
    "hardsigmoid": [{}],
    "hardswish": [{}],
    "tanhshrink": [{}],
    "threshold": [{"threshold": 0.5, "value": 2.0}, {"threshold": -0.5, "value": 0.0}],
    "logsigmoid": [{}],
}
KINKS: dict[str, list[float]] = {
    "relu6": [0.0, -0.0, 6.0],
    "softshrink": [0.5, -0.5, 0.0],
    "hardshrink": [0.5, -0.5, 0.0],
    "hardtanh": [1.0, -1.0],
    "hardsigmoid": [3.0, -3.0],
    "hardswish": [3.0, -3.0],
    "threshold": [0.5],
}
for name, variants in OPTIONS.items():
    first = {**variants[0], **LIMITED.get(name, {})}
    dtype = "float64" if name in FLOAT64 else None
    for options in variants:
        # The spread of values lies on all pieces of a function.
        case(name, distinct(5, 4), smooth=name not in KINKS, **options, **LIMITED.get(name, {}))
        case(name, x(2, 3), **options, **LIMITED.get(name, {}))
    case(name, x(), **first)
    case(name, x(1), **first)
    case(name, x(0, 2), **first)
    case(name, x(3, 2).transposed, **first)
    case(name, x(3).strided, **first)
    case(name, x(2, 3, dtype="float16"), **first)
    case(name, given([NAN, INF, -INF, 1.0], dtype), smooth=False, **first)
    kinks = KINKS.get(name, [0.0, -0.0])
    case(name, given(kinks), note="at the kink", smooth=False, **first)
    case(name, given([30.0, -30.0, 100.0, -100.0], dtype), note="far out", smooth=False, **first)
for name in ("relu6", "softsign", "hardtanh", "tanhshrink"):
    case(name, given([-3, 0, 3], "int64"))
case("hardtanh", given([-3, 0, 3], "int64"), -1.5, 1.5)
case("hardtanh", given([3, 0, 200], "uint8"), 1, 100)
case("threshold", given([-3, 0, 3], "int64"), 0.5, 1.5)
case("threshold", given([-3, 0, 3], "int32"), -0.5, 7)
case("threshold", x(2, 3), 0.5, 2.0, False)
case("leaky_relu", x(2, 3), 0.3, False)
case("rrelu", x(2, 3), 0.2, 0.6, False, False)
case("softplus", x(3), beta=0.0, smooth=False, note="divides by zero")
case("softplus", given([20.5, 19.5]), note="around the threshold", smooth=False)
case("softplus", given([1.0, -1.0, 0.5]), 3.0, 2.0)
case("gelu", given([-4.0, -6.0, 4.0, 6.0]))
case("gelu", given([-4.0, -6.0, 4.0, 6.0]), approximate="tanh")
for approximate in ("none", "tanh"):  # PyTorch has nan for the second gradients
    case("gelu", given([300.0, -300.0, 1000.0], "float16"), approximate=approximate, smooth=False, twice=False)
for name in ("gelu", "silu", "mish", "logsigmoid", "softplus", "elu", "selu"):
    table.drawn(name, unary())
table.drawn("celu", unary(alpha=st.sampled_from([0.5, 1.0, 2.0])))
table.drawn("leaky_relu", unary(negative_slope=st.sampled_from([0.0, 0.1, 2.0])))
table.drawn("hardtanh", unary(min_val=st.sampled_from([-1.0, 0.1]), max_val=st.sampled_from([0.1, 1.0])))

# --- learned and random slopes ----------------------------------------------------------------------------------------

case("prelu", x(2, 3), x(3))
case("prelu", x(2, 3), x(1))
case("prelu", x(2, 3), x())
case("prelu", x(2, 3, 2, 2), x(3))
case("prelu", x(2, 3, 2), weight=x(3))
case("prelu", x(4), x(1))
case("prelu", x(), x(1))
case("prelu", x(), x())
case("prelu", x(0, 3), x(3))
case("prelu", x(2, 0), x(0))
case("prelu", x(3, 2).transposed, x(2).strided)
case("prelu", x(2, 3).fixed, x(3))
case("prelu", x(2, 3), x(3).fixed)
case("prelu", x(2, 3, dtype="float16"), x(3, dtype="float16"))
case("prelu", given([[NAN, INF, -INF]]), x(3), smooth=False)
# At 0, the second gradients of PyTorch are not those of its first ones.
case("prelu", given([[0.0, -0.0, 1.0]]), x(3), note="at the kink", smooth=False, twice=False)
# The other cases of relu are in elementwise.py, where the op is.
case("relu", x(2, 3), False, call=lambda m, a, inplace: m.nn.functional.relu(a, inplace=inplace))


def hard_gumbel(m: Any, logits: Any, **kwargs: Any) -> Any:
    """Samples of logits so far apart that the noise does not matter."""
    return m.nn.functional.gumbel_softmax(logits * 1000, hard=True, **kwargs)


def gumbel_log_ratios(m: Any, logits: Any, tau: float = 1, dim: int = -1, **kwargs: Any) -> Any:
    """log(p / p[0]) is (logits - logits[0] + noise) / tau; the noise, drawn twice from one seed, cancels."""

    def log_ratios(of: Any) -> Any:
        m.manual_seed(0)
        logs = m.nn.functional.gumbel_softmax(of, tau, dim=dim, **kwargs).log().transpose(dim, -1)
        return logs - logs[..., :1]

    return log_ratios(logits) - log_ratios(logits.detach() * 0)


case("gumbel_softmax", x(2, 3), call=gumbel_log_ratios)
case("gumbel_softmax", x(3), call=gumbel_log_ratios)
case("gumbel_softmax", x(2, 3), tau=0.5, call=gumbel_log_ratios)
case("gumbel_softmax", x(2, 3), tau=2.0, dim=0, call=gumbel_log_ratios)
case("gumbel_softmax", x(2, 0), call=gumbel_log_ratios)
case("gumbel_softmax", distinct(2, 3), call=hard_gumbel, smooth=False)
case("gumbel_softmax", distinct(2, 3), dim=0, call=hard_gumbel, smooth=False)
case("gumbel_softmax", x())
case("gumbel_softmax", x(), hard=True)

# --- over a dimension -------------------------------------------------------------------------------------------------

case("glu", x(2, 4))
case("glu", x(4, 3), 0)
case("glu", x(2, 2, 2), dim=1)
case("glu", x(2, 2, 2), dim=-2)
case("glu", x(2, 0))
case("glu", x(0, 4))
case("glu", x(4, 2).transposed)
case("glu", x(2, 4, dtype="float16"))
case("glu", given([[NAN, INF, -INF, 1.0, 2.0, 0.0, NAN, 1.0]]), smooth=False)
table.drawn("glu", with_dim())
for name in ("softmax", "log_softmax", "softmin"):
    case(name, x(2, 3), -1, call=lambda m, a, dim, name=name: getattr(m.nn.functional, name)(a, dim))
    case(name, x(2, 3), dim=0, dtype=Dtype("float64"))
case("softmin", x(2, 3), 1)
case("softmin", x(), dim=0)
case("softmin", x(2, 0), dim=1)
case("softmin", x(0, 2), dim=-1)
case("softmin", x(3, 2).transposed, dim=0)
case("softmin", given([1000.0, 0.0, -1000.0]), dim=0, smooth=False)
case("softmin", given([3, 1, 2], "int64"), dim=0, dtype=Dtype("float32"))
case("softmin", given([[NAN, 1.0], [INF, 1.0], [-INF, 1.0]]), dim=1, smooth=False)
table.drawn("softmin", with_dim())

# --- modules ----------------------------------------------------------------------------------------------------------

for module in (
    "ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Tanh", "Sigmoid", "LogSigmoid", "Softsign", "Tanhshrink",
    "LeakyReLU", "ELU", "CELU", "GELU", "Softplus", "Hardtanh", "Softshrink", "Hardshrink", "GLU",
):  # fmt: skip
    layer(module, x(2, 4))
layer("Hardsigmoid", x(2, 4), **LIMITED["hardsigmoid"])
layer("LeakyReLU", x(2, 3), negative_slope=0.2)
layer("PReLU", x(2, 3))
layer("PReLU", x(2, 3, 2), build=(3,))
layer("PReLU", x(2, 3), num_parameters=3, init=0.5)
layer("RReLU", x(2, 3), training=False)
layer("RReLU", x(2, 3), lower=0.2, upper=0.4, training=False)
layer("RReLU", x(2, 3), build=(0.3, 0.3))
layer("ELU", x(2, 3), alpha=0.5)
layer("CELU", x(2, 3), alpha=0.5)
layer("GELU", x(2, 3), approximate="tanh")
layer("Softplus", x(2, 3), beta=2, threshold=1.0)
layer("Hardtanh", x(2, 3), build=(-0.5, 1.5))
layer("Softshrink", x(2, 3), lambd=0.7)
layer("Hardshrink", x(2, 3), lambd=0.7)
layer("Threshold", x(2, 3), build=(0.5, 20))
layer("GLU", x(4, 3), dim=0)
for module in ("Softmax", "Softmin", "LogSoftmax"):
    layer(module, x(2, 3), dim=1)
    layer(module, x(2, 3), build=(0,))
layer("Softmax2d", x(2, 3, 2, 2))
layer("Softmax2d", x(3, 1, 2))

# --- wrong calls ------------------------------------------------------------------------------------------------------


def functional(m: Any, name: str) -> Any:
    return getattr(m.nn.functional, name)


NEED_FLOATS = (
    "leaky_relu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softshrink", "hardshrink",
    "hardsigmoid", "hardswish", "logsigmoid", "glu",
)  # fmt: skip
for name in NEED_FLOATS:
    wrong(
        DtypeError, lambda m, name=name: functional(m, name)(m.ones(2).long()), f"{name}:", "floating", "int64",
        "input.float()",
    )  # fmt: skip
    wrong(ArgumentTypeError, lambda m, name=name: functional(m, name)([1.0]), f"{name}:", "input", "list")
for name in ("relu", "relu6", "softsign", "hardtanh", "tanhshrink"):
    if name != "relu":  # which PyTorch allows
        wrong(DtypeError, lambda m, name=name: functional(m, name)(m.ones(2).bool()), f"{name}:", "bool", "x.float()")
    wrong(ArgumentTypeError, lambda m, name=name: functional(m, name)("x"), f"{name}:", "str")
for name in ("relu", "relu6", "leaky_relu", "rrelu", "elu", "selu", "celu", "silu", "mish", "hardtanh", "hardswish"):
    wrong(
        NotImplementedError, lambda m, name=name: functional(m, name)(m.ones(2), inplace=True), f"{name}:",
        "inplace=True", torch_allows=True,
    )  # fmt: skip
wrong(
    NotImplementedError, lambda m: m.nn.functional.threshold(m.ones(2), 1, 2, True), "threshold:", "inplace=True",
    torch_allows=True,
)  # fmt: skip
wrong(
    NotImplementedError, lambda m: m.nn.functional.hardsigmoid(m.ones(2), True), "hardsigmoid:", "inplace=True",
    torch_allows=True,
)  # fmt: skip
for module in ("ReLU", "ReLU6", "LeakyReLU", "RReLU", "ELU", "SELU", "CELU", "SiLU", "Mish", "Hardtanh", "Hardswish"):
    wrong(
        NotImplementedError, lambda m, module=module: getattr(m.nn, module)(inplace=True), f"{module}:", "inplace=True",
        torch_allows=True,
    )  # fmt: skip
wrong(DtypeError, lambda m: m.nn.functional.threshold(m.ones(2).bool(), 1, 2), "threshold:", "bool", "x.float()")
wrong(
    ArgumentError, lambda m: m.nn.functional.threshold(m.ones(2).to(m.uint8), -1, 2), "threshold:", "threshold=-1",
    "uint8", torch_allows=True,
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.functional.threshold(m.ones(2), "a", 2), "threshold:", "threshold", "str")
wrong(ArgumentError, lambda m: m.nn.functional.hardtanh(m.ones(2), 2.0, 1.0), "hardtanh:", "min_val=2.0", "max_val=1.0")
wrong(ArgumentError, lambda m: m.nn.functional.hardtanh(m.ones(2).to(m.uint8)), "hardtanh:", "min_val=-1.0", "uint8")
for name, option in (
    ("leaky_relu", "negative_slope"), ("rrelu", "lower"), ("elu", "alpha"), ("celu", "alpha"), ("softplus", "beta"),
    ("softshrink", "lambd"), ("hardshrink", "lambd"), ("hardtanh", "min_val"), ("gumbel_softmax", "tau"),
):  # fmt: skip
    wrong(
        ArgumentTypeError, lambda m, name=name, option=option: functional(m, name)(m.ones(2), **{option: "a"}),
        f"{name}:", option, "number", "'a'",
    )  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.functional.celu(m.ones(2), 0.0), "celu:", "alpha", "0")
wrong(ArgumentError, lambda m: m.nn.functional.rrelu(m.ones(2), 0.5, 0.2), "rrelu:", "lower=0.5", "upper=0.2")
wrong(ArgumentError, lambda m: m.nn.functional.softshrink(m.ones(2), -1.0), "softshrink:", "lambd", "-1.0", ">= 0")
wrong(ArgumentError, lambda m: m.nn.functional.gelu(m.ones(2), approximate="erf"), "gelu:", "'none' or 'tanh'", "'erf'")
wrong(ShapeError, lambda m: m.nn.functional.prelu(m.ones(2, 3), m.ones(2)), "prelu:", "3 channels", "(2,)", "(2, 3)")
wrong(ShapeError, lambda m: m.nn.functional.prelu(m.ones(2, 3), m.ones(1, 3)), "prelu:", "(1, 3)")
wrong(DtypeError, lambda m: m.nn.functional.prelu(m.ones(2), m.ones(1).double()), "prelu:", "float32 and float64")
wrong(DtypeError, lambda m: m.nn.functional.prelu(m.ones(2).long(), m.ones(1)), "prelu:", "input", "int64")
wrong(ArgumentTypeError, lambda m: m.nn.functional.prelu(m.ones(2), 0.25), "prelu:", "weight", "float")
wrong(ShapeError, lambda m: m.nn.functional.glu(m.ones(2, 3)), "glu:", "even", "(2, 3)")
wrong(ShapeError, lambda m: m.nn.functional.glu(m.ones(())), "glu:", "even", "()")
wrong(DimError, lambda m: m.nn.functional.glu(m.ones(2, 4), 2), "glu:", "dim 2", "-2 to 1")
for name in ("softmax", "log_softmax", "softmin"):
    wrong(
        ArgumentTypeError, lambda m, name=name: functional(m, name)(m.ones(2, 3)), f"{name}:", "dim", "write dim=-1",
        torch_allows=True,
    )  # fmt: skip
    wrong(DimError, lambda m, name=name: functional(m, name)(m.ones(2), 1), f"{name}:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.nn.functional.softmin(m.ones(2).long(), 0), "softmin:", "int64", "input.float()")
wrong(DimError, lambda m: m.nn.functional.gumbel_softmax(m.ones(2), dim=1), "gumbel_softmax:", "dim 1", "-1 to 0")
wrong(
    DtypeError, lambda m: m.nn.functional.gumbel_softmax(m.ones(2).long()), "gumbel_softmax:", "int64", "logits.float()"
)
wrong(ShapeError, lambda m: m.nn.Softmax2d()(m.ones(2, 2)), "Softmax2d:", "(N, C, H, W)", "(2, 2)")
wrong(ShapeError, lambda m: m.nn.PReLU(2)(m.ones(2, 3)), "prelu:", "3 channels", "(2,)")
