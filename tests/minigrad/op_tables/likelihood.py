"""Losses that are negative log-likelihoods or divergences."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, given, integers, positive, x
from op_strategies import pairs

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, NotDifferentiableError, ShapeError

table = Table("likelihood")
case, wrong, layer, drawn = table.case, table.wrong, table.layer, table.drawn

NAN, INF = float("nan"), float("inf")
REDUCTIONS = ("mean", "sum", "none")
ELEMENTS_OR_SUM = st.sampled_from(["sum", "none"])

# --- two classes ------------------------------------------------------------------------------------------------------

P = given([[0.125, 0.5, 0.875], [0.25, 0.75, 0.5]])
T = given([[0.125, 0.25, 0.875], [0.5, 0.625, 0.375]])
for reduction in REDUCTIONS:
    case("binary_cross_entropy", P, T, reduction=reduction)
    case("binary_cross_entropy", P, T, positive(2, 3).fixed, reduction=reduction)
    case("binary_cross_entropy", P, T, weight=positive(3).fixed, reduction=reduction)
case("binary_cross_entropy", P.transposed, T.strided)
case("binary_cross_entropy", P, T.fixed, note="fixed targets")
case("binary_cross_entropy", given(0.25), given(0.75), note="0-dim")
case("binary_cross_entropy", P, given([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]).fixed, note="and certain targets")
case("binary_cross_entropy", given([0.5, 0.25], "float16"), given([0.0, 1.0], "float16"))
case("binary_cross_entropy", x(0), positive(0), reduction="sum", smooth=False)
# The slope is limited at the ends; the second one would be infinite there.
ENDS = given([0.0, 1.0, 0.0, 1.0])
case("binary_cross_entropy", ENDS, given([0.0, 1.0, 1.0, 0.0]).fixed, reduction="none", smooth=False, twice=False)
case("binary_cross_entropy", ENDS.fixed, given([0.0, 1.0, 1.0, 0.0]), reduction="none", smooth=False, twice=False)
layer("BCELoss", P, T)
layer("BCELoss", P, T, reduction="sum")
case("BCELoss", P, T, positive(3).fixed, call=lambda m, a, b, w: m.nn.BCELoss(w, reduction="none")(a, b))

BCEL = "binary_cross_entropy_with_logits"
for reduction in REDUCTIONS:
    case(BCEL, x(2, 3), T, positive(2, 3).fixed, reduction=reduction)
    case(BCEL, x(2, 3), T, pos_weight=positive(3).fixed, reduction=reduction)
    case(BCEL, x(2, 3), T, positive(3).fixed, pos_weight=positive(2, 1).fixed, reduction=reduction)
case(BCEL, x(2, 3), T, given(2.0).fixed)
case(BCEL, x(3, dtype="float16"), given([0.0, 1.0, 0.5], "float16"), reduction="sum")
layer("BCEWithLogitsLoss", x(2, 3), T)
layer("BCEWithLogitsLoss", x(2, 3), T, reduction="none")
case(
    "BCEWithLogitsLoss", x(2, 3), T, positive(3).fixed, positive(3).fixed,
    call=lambda m, a, b, w, p: m.nn.BCEWithLogitsLoss(w, reduction="sum", pos_weight=p)(a, b),
)  # fmt: skip

SOFT = "multilabel_soft_margin_loss"
for reduction in REDUCTIONS:
    case(SOFT, x(2, 3), T, reduction=reduction)
    case(SOFT, x(2, 3), T, positive(3), reduction=reduction)
case(SOFT, x(3), T)
case(SOFT, x(2, 4, 3), positive(2, 4, 3), weight=positive(4, 1))
case(SOFT, x(2, 3).strided, given([[0, 1, 1], [1, 0, 0]], "int64"))
case(SOFT, x(1, 3), given([[0, 1, 1], [1, 0, 0]], "int64"), reduction="none", note="that broadcasts")
case(SOFT, x(0, 3), positive(0, 3), reduction="none")
case(SOFT, x(3, dtype="float16"), given([0.0, 1.0, 1.0], "float16"))
case(SOFT, given([500.0, -500.0, NAN]), given([0.0, 0.0, 1.0]).fixed, reduction="none", smooth=False, twice=False)
layer("MultiLabelSoftMarginLoss", x(2, 3), T)
layer("MultiLabelSoftMarginLoss", x(2, 3), T, reduction="none")
case(
    "MultiLabelSoftMarginLoss", x(2, 3), T, positive(3).fixed,
    call=lambda m, a, b, w: m.nn.MultiLabelSoftMarginLoss(w, reduction="sum")(a, b),
)  # fmt: skip
drawn(SOFT, pairs(other="positive", reduction=ELEMENTS_OR_SUM))

# --- other distributions ----------------------------------------------------------------------------------------------

for reduction in (*REDUCTIONS, "batchmean"):
    case("kl_div", x(2, 3), positive(2, 3), reduction=reduction)
    case("kl_div", x(2, 3), x(2, 3), reduction=reduction, log_target=True)
    case("kl_div", x(), positive(), reduction=reduction)
case("kl_div", x(2, 3), positive(2, 3))
case("kl_div", x(3), positive(2, 3), reduction="none")
case("kl_div", x(2, 3), positive(3), reduction="batchmean")
case("kl_div", x(2, 3).transposed, positive(2, 3).strided, reduction="sum")
case("kl_div", x(3, dtype="float16"), positive(3, dtype="float16"), reduction="sum")
case("kl_div", x(0, 2), positive(0, 2), reduction="batchmean", smooth=False, twice=False)
case("kl_div", x(0, 2), positive(0, 2), reduction="sum", smooth=False)
case("kl_div", x(4), given([0.0, 1.0, NAN, -1.0]).fixed, reduction="none", smooth=False)
case("kl_div", given([-INF, 0.0, NAN]), given([1.0, INF, 1.0]).fixed, reduction="none", smooth=False)
case("kl_div", x(3), given([-INF, 0.0, NAN]).fixed, reduction="none", log_target=True, smooth=False)
layer("KLDivLoss", x(2, 3), positive(2, 3))
layer("KLDivLoss", x(2, 3), positive(2, 3), reduction="batchmean")
layer("KLDivLoss", x(2, 3), x(2, 3), reduction="sum", log_target=True)
drawn("kl_div", pairs(other="positive", reduction=ELEMENTS_OR_SUM))
drawn("kl_div", pairs(reduction=ELEMENTS_OR_SUM, log_target=st.just(True)))

COUNTS = given([[0.0, 1.0, 2.0], [5.0, 3.0, 1.0]])
for reduction in REDUCTIONS:
    case("poisson_nll_loss", x(2, 3), COUNTS, reduction=reduction)
    case("poisson_nll_loss", x(2, 3), COUNTS.fixed, full=True, reduction=reduction)
    case("poisson_nll_loss", positive(2, 3), COUNTS, log_input=False, reduction=reduction)
case("poisson_nll_loss", positive(2, 3), given([[1.5, 4.0, 2.0]]), False, True)
case("poisson_nll_loss", positive(2, 3), COUNTS, log_input=False, eps=0.125)
case("poisson_nll_loss", x(2, 3), given([[0, 1, 2], [5, 3, 1]], "int64"), full=True)
case("poisson_nll_loss", given([0, 2], "int64"), given([1, 2], "int64"))
case("poisson_nll_loss", x(2, 3), given(3.0))
case("poisson_nll_loss", x(0), positive(0), reduction="sum", smooth=False)
case("poisson_nll_loss", x(3, dtype="float16"), positive(3, dtype="float16"))
case("poisson_nll_loss", given([NAN, INF, 1.0]), given([1.0, 0.0, NAN]).fixed, reduction="none", smooth=False)
case("poisson_nll_loss", given([0.0, -1.0]), COUNTS.fixed, call=lambda m, a, b: m.nn.functional.poisson_nll_loss(
    a, b[0, 1:], log_input=False, reduction="none"), note="at 0", smooth=False, twice=False)  # fmt: skip
layer("PoissonNLLLoss", x(2, 3), COUNTS)
layer("PoissonNLLLoss", positive(2, 3), COUNTS.fixed, build=(False, True), eps=0.25, reduction="none")
drawn("poisson_nll_loss", pairs(other="positive", reduction=ELEMENTS_OR_SUM))

for reduction in REDUCTIONS:
    case("gaussian_nll_loss", x(2, 3), x(2, 3), positive(2, 3), reduction=reduction)
    case("gaussian_nll_loss", x(2, 3), x(2, 3), positive(2, 3), True, 1e-3, reduction)
case("gaussian_nll_loss", x(2, 3), x(2, 3), positive(2), reduction="none")
case("gaussian_nll_loss", x(2, 3), x(2, 3), positive(2, 1))
case("gaussian_nll_loss", x(2, 3), x(2, 3), positive(1, 3))
case("gaussian_nll_loss", x(2, 3, 2), x(2, 3, 2), positive(2, 3))
case("gaussian_nll_loss", x(2, 3, 2), x(2, 3, 2), positive(2, 1, 2), full=True)
case("gaussian_nll_loss", x(2, 3), x(3), positive(2, 3))
case("gaussian_nll_loss", x(3), x(3), 0.5)
case("gaussian_nll_loss", integers(3, high=-4), x(3), positive(3))
case("gaussian_nll_loss", x(), x(), positive())
case("gaussian_nll_loss", x(0), x(0), positive(0), reduction="sum", smooth=False)
case("gaussian_nll_loss", x(2, 3).transposed, x(2, 3).strided, positive(2, 3).strided)
case("gaussian_nll_loss", x(3, dtype="float16"), x(3, dtype="float16"), positive(3, dtype="float16"))
# Below eps the value no longer depends on the variance, but PyTorch's gradient does.
case("gaussian_nll_loss", x(3), x(3), given([0.0, 0.125, 1.0]), eps=0.25, note="with limited variances", smooth=False)
case("gaussian_nll_loss", given([1.0, NAN]), x(2), given([NAN, 1.0]), reduction="none", smooth=False)
layer("GaussianNLLLoss", x(2, 3), x(2, 3), positive(2, 3))
layer("GaussianNLLLoss", x(2, 3), x(2, 3), positive(2), full=True, eps=0.125, reduction="sum")

# --- wrong calls ------------------------------------------------------------------------------------------------------


def bce(m, *args, **options):
    return m.nn.functional.binary_cross_entropy(*args, **options)


wrong(ArgumentError, lambda m: bce(m, m.tensor([0.5, 1.5]), m.ones(2)), "binary_cross_entropy:", "input", "0.5 to 1.5")
wrong(ArgumentError, lambda m: bce(m, m.tensor([NAN]), m.ones(1)), "binary_cross_entropy:", "input", "nan")
wrong(ArgumentError, lambda m: bce(m, m.ones(1), -m.ones(1)), "binary_cross_entropy:", "target", "-1.0")
wrong(ShapeError, lambda m: bce(m, m.ones(2), m.ones(2, 1)), "binary_cross_entropy:", "(2,)", "(2, 1)")
wrong(DtypeError, lambda m: bce(m, m.ones(2), m.ones(2).double()), "binary_cross_entropy:", "float32", "float64")
wrong(DtypeError, lambda m: bce(m, m.ones(2), m.ones(2).long()), "binary_cross_entropy:", "target", "int64")
wrong(
    ShapeError, lambda m: bce(m, m.ones(2), m.ones(2), m.ones(3, 2), reduction="none"),
    "binary_cross_entropy:", "weight (3, 2)", "(2,)",
)  # fmt: skip
wrong(ShapeError, lambda m: bce(m, m.ones(2), m.ones(2), m.ones(3)), "binary_cross_entropy:", "weight (3,)", "(2,)")
wrong(
    NotDifferentiableError, lambda m: bce(m, m.ones(2).requires_grad_(), m.ones(2), m.ones(2).requires_grad_()),
    "binary_cross_entropy:", "weight.detach()",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: bce(m, m.ones(2), [1.0, 1.0]), "binary_cross_entropy:", "target", "list")
wrong(ArgumentError, lambda m: bce(m, m.ones(2), m.ones(2), reduction="x"), "binary_cross_entropy:", "'x'")
wrong(DtypeError, lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(2).long()), f"{BCEL}:",
      "target", "int64", "target.float()")  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(2), m.ones(3)),
    f"{BCEL}:", "weight (3,)",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(2), pos_weight=m.ones(3)),
    f"{BCEL}:", "pos_weight (3,)",
)  # fmt: skip
wrong(
    NotDifferentiableError,
    lambda m: m.nn.functional.binary_cross_entropy_with_logits(
        m.ones(2).requires_grad_(), m.ones(2), pos_weight=m.ones(2).requires_grad_()
    ),
    f"{BCEL}:", "pos_weight.detach()",
)  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.multilabel_soft_margin_loss(m.ones(()), m.ones(())), f"{SOFT}:", "0-dim")
wrong(
    ShapeError, lambda m: m.nn.functional.multilabel_soft_margin_loss(m.ones(2, 3), m.ones(2)), f"{SOFT}:",
    "target (2,)",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.multilabel_soft_margin_loss(m.ones(2, 3), m.ones(2, 3), m.ones(2)),
    f"{SOFT}:", "weight (2,)",
)  # fmt: skip
wrong(DtypeError, lambda m: m.nn.functional.kl_div(m.ones(2), m.ones(2).long()), "kl_div:", "target", "int64")
wrong(ShapeError, lambda m: m.nn.functional.kl_div(m.ones(2), m.ones(3)), "kl_div:", "input (2,)", "target (3,)")
wrong(
    ArgumentError, lambda m: m.nn.functional.kl_div(m.ones(2), m.ones(2), reduction="avg"), "kl_div:", "'avg'",
    "'batchmean'",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.functional.kl_div(m.ones(2), 1.0), "kl_div:", "target", "float")
wrong(
    ShapeError, lambda m: m.nn.functional.poisson_nll_loss(m.ones(2), m.ones(3)), "poisson_nll_loss:", "input (2,)",
    "target (3,)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.poisson_nll_loss(m.ones(2), m.ones(2), reduction="avg"),
    "poisson_nll_loss:", "'avg'",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.gaussian_nll_loss(m.ones(2), m.ones(2), -m.ones(2)),
    "gaussian_nll_loss:", "var", "-1.0",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.gaussian_nll_loss(m.ones(2), m.ones(2), -0.5), "gaussian_nll_loss:",
    "var", "-0.5",
)  # fmt: skip
for shape in ((3,), (1, 1), (2, 3, 1)):
    wrong(
        ShapeError, lambda m, s=shape: m.nn.functional.gaussian_nll_loss(m.ones(2, 3), m.ones(2, 3), m.ones(*s)),
        "gaussian_nll_loss:", "var", "(2, 3)", str(shape),
    )  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.gaussian_nll_loss(m.ones(2), m.ones(2), m.ones(2), reduction="avg"),
    "gaussian_nll_loss:", "'avg'",
)  # fmt: skip
wrong(
    ArgumentTypeError, lambda m: m.nn.functional.gaussian_nll_loss(m.ones(2), m.ones(2), 1), "gaussian_nll_loss:",
    "var", "int",
)  # fmt: skip
