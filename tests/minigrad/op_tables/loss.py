"""Losses of numbers and of classes."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Draw, Table, given, integers, positive, probabilities, x
from op_strategies import LAYOUTS, Arguments, shapes

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, NotDifferentiableError, ShapeError

table = Table("loss")
case, wrong, layer, drawn = table.case, table.wrong, table.layer, table.drawn

NAN, INF = float("nan"), float("inf")

NUMBERS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")

for loss in (*NUMBERS, "binary_cross_entropy_with_logits"):
    target = x(2, 3) if loss != "binary_cross_entropy_with_logits" else positive(2, 3)
    for reduction in ("mean", "sum", "none"):
        case(loss, x(2, 3), target, reduction=reduction)
    case(loss, x(2, 3), target.fixed)
    case(loss, x(2, 3, 2), positive(2, 3, 2))
    case(loss, x(), positive())
    case(loss, x(0), positive(0), smooth=False, twice=False)
    case(loss, x(0), positive(0), reduction="sum")
    case(loss, x(3, 2).transposed, positive(3, 4).strided, call=lambda m, a, b, loss=loss: getattr(
        m.nn.functional, loss)(a, b[:, :2]))  # fmt: skip
    case(loss, given([1.0, NAN, INF]), given([1.0, 1.0, 0.0]), reduction="none", smooth=False, twice=False)
for loss in NUMBERS:
    case(loss, x(3, dtype="float16"), x(3, dtype="float16"))
    # PyTorch's huber_loss takes another dtype of the target, but cannot differentiate then.
    case(loss, x(3).fixed if loss == "huber_loss" else x(3), given([1, -2, 0], "int64"))
for loss in ("mse_loss", "l1_loss", "huber_loss"):
    for reduction in ("mean", "sum", "none"):
        case(loss, x(2, 3), x(2, 3), weight=positive(2, 3), reduction=reduction)
case("mse_loss", x(3, dtype="float32"), x(3, dtype="float64"))
case("l1_loss", given([1.0, 2.0]), given([1.0, 3.0]), note="at the kink", smooth=False)
case("l1_loss", integers(3, high=5), integers(3, high=5), reduction="sum")
KINKS = given([1.5, -1.5, 0.0, 0.5])
for reduction in ("mean", "sum", "none"):
    case("smooth_l1_loss", x(2, 3), x(2, 3), reduction=reduction, beta=0.5)
    case("huber_loss", x(2, 3), x(2, 3), reduction, 0.5)
case("smooth_l1_loss", x(2, 3), x(2, 3), beta=0)
case("smooth_l1_loss", x(2, 3), x(2, 3), beta=2.5)
case("huber_loss", x(2, 3), x(2, 3), delta=2.5)
case("huber_loss", x(3, dtype="float32").fixed, x(3, dtype="float64").fixed)
case("smooth_l1_loss", KINKS, given([0.0, 0.0, 0.0, 0.0]), beta=1.5, reduction="none", note="at kinks", smooth=False)
case("huber_loss", KINKS, given([0.0, 0.0, 0.0, 0.0]), delta=1.5, reduction="none", note="at kinks", smooth=False)


@st.composite
def same_shapes(draw: st.DrawFn, **options: st.SearchStrategy[object]) -> object:
    """f(x, y) with equal shapes; sizes are at least 1 where a mean is taken."""
    shape = draw(shapes(least=1))
    layouts = draw(LAYOUTS), draw(LAYOUTS)
    return tuple(Draw(shape, layout=layout) for layout in layouts), {n: draw(s) for n, s in options.items()}


def compared(**options: st.SearchStrategy[object]) -> Arguments:
    return same_shapes(reduction=st.sampled_from(["sum", "none"]), **options)


drawn("mse_loss", compared())
drawn("l1_loss", compared())
drawn("smooth_l1_loss", compared(beta=st.sampled_from([0.25, 1.0, 3.0])))
drawn("huber_loss", compared(delta=st.sampled_from([0.25, 1.0, 3.0])))
layer("MSELoss", x(2, 3), x(2, 3))
layer("MSELoss", x(2, 3), x(2, 3), reduction="none")
layer("L1Loss", x(2, 3), x(2, 3))
layer("L1Loss", x(2, 3), x(2, 3), reduction="sum")
layer("SmoothL1Loss", x(2, 3), x(2, 3))
layer("SmoothL1Loss", x(2, 3), x(2, 3), reduction="none", beta=0.5)
layer("HuberLoss", x(2, 3), x(2, 3))
layer("HuberLoss", x(2, 3), x(2, 3), build=("sum", 0.5))

case("binary_cross_entropy_with_logits", given([0.0, 500.0, -500.0]), given([0.0, 1.0, 1.0]), smooth=False)
case("binary_cross_entropy_with_logits", given([500.0, -500.0]), given([0.0, 1.0]), note="far out", smooth=False)

CLASSES = given([0, 2, 1, 2], "int64")
SOME_IGNORED = given([0, -100, 2, 1], "int64")
for loss in ("nll_loss", "cross_entropy"):
    for reduction in ("mean", "sum", "none"):
        case(loss, x(4, 3), CLASSES, reduction=reduction)
        case(loss, x(4, 3), CLASSES, positive(3).fixed, reduction=reduction)
        case(loss, x(4, 3), SOME_IGNORED, weight=positive(3).fixed, reduction=reduction)
        case(loss, x(2, 3, 2), given([[0, 2], [1, 1]], "int64"), reduction=reduction)
    case(loss, x(4, 3), CLASSES, ignore_index=2)
    case(loss, x(4, 3), CLASSES, positive(3).fixed, ignore_index=1, reduction="sum")
    case(loss, x(2, 3), given([-100, -100], "int64"), note="all ignored", smooth=False)
    case(loss, x(2, 3), given([-100, -100], "int64"), reduction="sum", note="all ignored")
    case(loss, x(3), given(1, "int64"))
    case(loss, x(3), given(1, "int64"), positive(3).fixed)
    case(loss, x(3), given(1, "int64"), reduction="none")
    case(loss, x(1, 3), given([2], "int64"))
    case(loss, x(0, 3), given([], "int64"), smooth=False)
    case(loss, x(0, 3), given([], "int64"), reduction="none")
    case(loss, x(2, 3, 2, 2), integers(2, 2, 2, high=3), positive(3).fixed)
    case(loss, x(3, 4).transposed, given([0, 3, 1], "int64"))
    case(loss, given([[1.0, NAN], [INF, 0.0]]), given([0, 1], "int64"), reduction="none", smooth=False)
for reduction in ("mean", "sum", "none"):
    case("cross_entropy", x(4, 3), probabilities(4, 3), reduction=reduction)
    case("cross_entropy", x(4, 3), probabilities(4, 3), positive(3).fixed, reduction=reduction)
    case("cross_entropy", x(4, 3), probabilities(4, 3), label_smoothing=0.1, reduction=reduction)
    case("cross_entropy", x(4, 3), CLASSES, label_smoothing=0.2, reduction=reduction)
    case("cross_entropy", x(4, 3), CLASSES, positive(3).fixed, label_smoothing=0.2, reduction=reduction)
    case("cross_entropy", x(4, 3), SOME_IGNORED, positive(3).fixed, label_smoothing=0.2, reduction=reduction)
    case(
        "cross_entropy", x(2, 3, 2), probabilities(2, 3, 2), positive(3).fixed, label_smoothing=0.1, reduction=reduction
    )
    case("cross_entropy", x(2, 3, 2), given([[0, 2], [-100, 1]], "int64"), label_smoothing=0.1, reduction=reduction)
case("cross_entropy", x(3), probabilities(3))
case("cross_entropy", x(3), given(1, "int64"), label_smoothing=0.3)
case("cross_entropy", x(4, 3), CLASSES, label_smoothing=1.0)
case("cross_entropy", x(4, 3), probabilities(4, 3).fixed, note="fixed targets")
case("cross_entropy", x(0, 3), probabilities(0, 3), smooth=False, twice=False)
case("cross_entropy", given([[1000.0, 0.0], [0.0, -1000.0]]), given([1, 0], "int64"), note="far out", smooth=False)

case("cross_entropy", x(4, 3), probabilities(4, 3), positive(3), note="with a weight that learns")
case("cross_entropy", x(2, 3, dtype="float16"), given([0, 2], "int64"))
case("cross_entropy", x(2, 3), given([0, 2], "uint8"))
case("cross_entropy", given([[NAN, 1.0], [0.0, 1.0]]), given([-100, 1], "int64"), note="ignoring nan", smooth=False,
     twice=False)  # fmt: skip
case("cross_entropy", given([[INF, 1.0], [0.0, -INF]]), given([0, 0], "int64"), smooth=False, twice=False)
layer("NLLLoss", x(4, 3), CLASSES)
layer("NLLLoss", x(4, 3), CLASSES, ignore_index=2, reduction="sum")
layer("CrossEntropyLoss", x(4, 3), CLASSES)
layer("CrossEntropyLoss", x(4, 3), CLASSES, ignore_index=2, label_smoothing=0.2, reduction="none")
for name in ("NLLLoss", "CrossEntropyLoss"):
    case(name, x(4, 3), CLASSES, positive(3).fixed, call=lambda m, a, b, w, name=name: getattr(m.nn, name)(
        w, ignore_index=1)(a, b))  # fmt: skip

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.nn.functional.mse_loss(m.ones(2), m.ones(3)), "mse_loss:", "(2,)", "(3,)", "reshape")
wrong(ShapeError, lambda m: m.nn.functional.l1_loss(m.ones(2), m.ones(3)), "l1_loss:", "(2,)", "(3,)", "reshape")
wrong(
    ArgumentError, lambda m: m.nn.functional.mse_loss(m.ones(2), m.ones(2), reduction="avg"), "mse_loss:", "'avg'",
    "'mean', 'sum' or 'none'",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(2, 1)),
    "binary_cross_entropy_with_logits:", "(2,)", "(2, 1)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0, 3])), "nll_loss:", "0 to 2", "0 to 3"
)
wrong(ShapeError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0, 1, 2])), "nll_loss:", "(2,)", "(3,)")
wrong(
    DtypeError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0.0, 1.0])), "nll_loss:", "float32",
    "target.long()",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0, 1]), m.ones(2)), "nll_loss: weight",
    "(3,)", "(2,)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, -1])), "cross_entropy:", "0 to 2",
    "-1 to 0",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.ones(2, 4)), "cross_entropy:", "(2, 3)",
    "(2, 4)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, 1]), label_smoothing=1.5),
    "cross_entropy:", "[0, 1]", "1.5",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, 1]), reduction="max"),
    "cross_entropy:", "'max'", "'mean', 'sum' or 'none'",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, 1]), m.ones(4)),
    "cross_entropy: weight", "(3,)", "(4,)",
)  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.cross_entropy(m.ones(()), m.tensor(0)), "cross_entropy:", "0-dim", "(N, C)")

for loss in NUMBERS:
    wrong(ArgumentTypeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2), [1.0, 1.0]), f"{loss}:", "target",
          "list")  # fmt: skip
    # PyTorch warns that the result is likely to be wrong.
    wrong(
        ShapeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2, 1), m.ones(2)), f"{loss}:", "(2, 1)",
        "(2,)", torch_allows=True,
    )  # fmt: skip
for loss in NUMBERS:
    wrong(DtypeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2).long(), m.ones(2).long()), f"{loss}:",
          "int64")  # fmt: skip
for loss in ("mse_loss", "l1_loss", "huber_loss"):
    wrong(
        ShapeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2, 3), m.ones(2, 3), weight=m.ones(3)),
        f"{loss}:", "weight", "(2, 3)", "(3,)",
    )  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.smooth_l1_loss(m.ones(2), m.ones(2), beta=-1), "smooth_l1_loss:", "beta",
    "-1",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.functional.huber_loss(m.ones(2), m.ones(2), delta=0), "huber_loss:", "delta", "0")
for loss in ("nll_loss", "cross_entropy"):
    wrong(
        NotDifferentiableError,
        lambda m, f=loss: getattr(m.nn.functional, f)(
            m.ones(2, 3).requires_grad_(), m.tensor([0, 1]), m.ones(3).requires_grad_()
        ),
        f"{loss}:", "weight.detach()",
    )  # fmt: skip
    wrong(DtypeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2, 3).long(), m.tensor([0, 1])), f"{loss}:",
          "input", "int64")  # fmt: skip
    wrong(ArgumentTypeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2, 3), [0, 1]), f"{loss}:", "target",
          "list")  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.ones(2, 3), ignore_index=1),
    "cross_entropy:", "ignore_index=1", "float32",
)  # fmt: skip
