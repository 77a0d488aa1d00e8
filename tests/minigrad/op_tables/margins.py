"""Losses that ask for a margin."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, given, integers, positive, x
from op_strategies import pairs

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, NotDifferentiableError, ShapeError

table = Table(
    "margins",
    once={
        "multi_margin_loss": "PyTorch has no second gradient",
        "multilabel_margin_loss": "PyTorch has no second gradient",
    },
)
case, wrong, layer, drawn = table.case, table.wrong, table.layer, table.drawn

NAN, INF = float("nan"), float("inf")
REDUCTIONS = ("mean", "sum", "none")
ELEMENTS_OR_SUM = st.sampled_from(["sum", "none"])

# --- two classes ------------------------------------------------------------------------------------------------------

SIGNS = given([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]).fixed
for loss in ("hinge_embedding_loss", "soft_margin_loss"):
    for reduction in REDUCTIONS:
        case(loss, x(2, 3), SIGNS, reduction=reduction)
    case(loss, x(2, 3).transposed, SIGNS.strided)
    case(loss, x(3), given([1, -1, 1], "int64"))
    case(loss, x(2, 3), given([1.0, -1.0, 1.0]).fixed, reduction="none", note="that broadcasts")
    case(loss, x(3), given(-1.0).fixed)
    case(loss, x(), given(1.0).fixed)
    case(loss, x(3, dtype="float16"), given([1.0, -1.0, 1.0], "float16").fixed)
    case(loss, x(3), given([1.0, -1.0, 1.0], "float64").fixed)
    case(loss, x(0), given([], "float32").fixed, reduction="sum", smooth=False)
    case(loss, given([NAN, NAN, INF, -INF]), given([1.0, -1.0, 1.0, -1.0]).fixed, reduction="none", smooth=False,
         twice=False)  # fmt: skip
    drawn(loss, pairs(reduction=ELEMENTS_OR_SUM), call=lambda m, a, b, loss=loss, **options: getattr(
        m.nn.functional, loss)(a, b.detach().sign(), **options))  # fmt: skip
case("hinge_embedding_loss", x(2, 3), SIGNS, 0.5)
case("hinge_embedding_loss", x(2, 3), SIGNS, margin=2.5, reduction="sum")
case("hinge_embedding_loss", x(3), given([0.0, 1.0, 2.0]).fixed, note="and other targets")
case("hinge_embedding_loss", given([1.0, 1.5]), given([-1.0, -1.0]).fixed, reduction="none", smooth=False)
# Where exp overflows, PyTorch's loss is inf.
case("soft_margin_loss", given([800.0, -800.0, 0.0]), given([1.0, 1.0, -1.0]).fixed, reduction="none", smooth=False)
layer("HingeEmbeddingLoss", x(2, 3), SIGNS)
layer("HingeEmbeddingLoss", x(2, 3), SIGNS, build=(0.5,), reduction="none")
layer("SoftMarginLoss", x(2, 3), SIGNS)
layer("SoftMarginLoss", x(2, 3), SIGNS, reduction="sum")

COSINE = "cosine_embedding_loss"
for reduction in REDUCTIONS:
    case(COSINE, x(3, 4), x(3, 4), given([1.0, -1.0, 1.0]).fixed, reduction=reduction)
    case(COSINE, x(3, 4), x(3, 4), given([1, -1, -1], "int64"), margin=-0.5, reduction=reduction)
case(COSINE, x(4), x(4), given(1, "int64"))
case(COSINE, x(4), x(4), given(-1, "int64"), -0.25)
case(COSINE, x(2, 4), x(1, 4), given([1, -1], "int64"), reduction="none")
case(COSINE, x(2, 3), x(2, 3), given([0, 1], "int64"), reduction="none", note="and a target that counts nowhere")
case(COSINE, given([[1.0, 0.0]]), given([[0.0, 1.0]]), given([-1], "int64"), note="at the kink", smooth=False)
case(COSINE, integers(2, 3, high=-4), integers(2, 3, high=-4), given([1, 1], "int64"))
case(COSINE, x(2, 3).transposed, x(2, 3).strided, given([1, 1], "int64"))
case(COSINE, x(0, 3), x(0, 3), given([], "int64"), reduction="none")
case(COSINE, given([[0.0, 0.0], [1.0, 0.0]]), x(2, 2), given([1, 1], "int64"), note="of zeros", smooth=False)
case(COSINE, given([[1.0, NAN], [1.0, INF]]), x(2, 2).fixed, given([1, -1], "int64"), reduction="none", smooth=False,
     twice=False)  # fmt: skip
layer("CosineEmbeddingLoss", x(3, 4), x(3, 4), given([1, -1, 1], "int64"))
layer("CosineEmbeddingLoss", x(3, 4), x(3, 4), given([1, -1, 1], "int64"), build=(-0.5,), reduction="sum")

wrong(
    ShapeError, lambda m: m.nn.functional.cosine_embedding_loss(m.ones(2, 3), m.ones(2, 3), m.ones(3)), f"{COSINE}:",
    "cosine (2,)", "target (3,)",
)  # fmt: skip

# --- two or three inputs to rank --------------------------------------------------------------------------------------

RANKING = "margin_ranking_loss"
for reduction in REDUCTIONS:
    case(RANKING, x(3), x(3), given([1.0, -1.0, 1.0]), reduction=reduction)
    case(RANKING, x(2, 3), x(2, 3), SIGNS, 1.5, reduction=reduction)
case(RANKING, x(2, 3), x(1, 3), given([[1.0], [-1.0]]), margin=2.5)
case(RANKING, x(), x(), given(1.0), 5.0)
case(RANKING, integers(3, high=-4), integers(3, high=-4), given([1, -1, 1], "int64"))
case(RANKING, x(3), x(3), given([1, -1, 1], "int64"), margin=5)
case(RANKING, x(0), x(0), given([], "float32").fixed, reduction="sum", smooth=False)
case(RANKING, given([1.0, 2.0]), given([1.0, 1.0]), given([1.0, -1.0]), note="at the kink", smooth=False)
case(RANKING, given([NAN, INF]), x(2), given([1.0, -1.0]), reduction="none", smooth=False, twice=False)
case(RANKING, x(3, dtype="float16"), x(3, dtype="float16"), given([1.0, -1.0, 1.0], "float16"), 4.0)
layer("MarginRankingLoss", x(3), x(3), given([1.0, -1.0, 1.0]).fixed)
layer("MarginRankingLoss", x(3), x(3), given([1.0, -1.0, 1.0]).fixed, build=(2.0,), reduction="none")

TRIPLET, WITH_DISTANCE = "triplet_margin_loss", "triplet_margin_with_distance_loss"
for loss in (TRIPLET, WITH_DISTANCE):
    for reduction in REDUCTIONS:
        case(loss, x(3, 4), x(3, 4), x(3, 4), reduction=reduction)
        case(loss, x(3, 4), x(3, 4), x(3, 4), margin=5.0, swap=True, reduction=reduction)
    case(loss, x(4), x(4), x(4), margin=6.0)
    case(loss, x(2, 3, 4), x(2, 3, 4), x(2, 1, 4), margin=3.0)
    case(loss, x(3, 4).transposed, x(3, 4).strided, x(3, 4), margin=4.0)
    case(loss, x(0, 4), x(0, 4), x(0, 4), reduction="none")
    case(loss, given([[1.0, NAN], [1.0, INF]]), x(2, 2), x(2, 2), reduction="none", smooth=False, twice=False)
for p in (1.0, 3, 1.5, INF):
    # The gradients of a sum and of an extreme are constant.
    case(TRIPLET, x(3, 4), x(3, 4), x(3, 4), 5.0, p)
case(TRIPLET, x(3, 4), x(3, 4), x(3, 4), 8.0, 2, 0.5, True)
case(TRIPLET, x(3, dtype="float16"), x(3, dtype="float16"), x(3, dtype="float16"), 6.0)


def by_squares(m, *args):
    return m.nn.functional.triplet_margin_with_distance_loss(
        *args, distance_function=lambda u, v: ((u - v) ** 2).sum(-1), margin=9.0
    )


case(WITH_DISTANCE, x(3, 4), x(3, 4), x(3, 4), call=by_squares, note="with squared distances")
layer("TripletMarginLoss", x(3, 4), x(3, 4), x(3, 4))
layer("TripletMarginLoss", x(3, 4), x(3, 4), x(3, 4), build=(5.0, 1.0, 0.5, True), reduction="sum")
layer("TripletMarginWithDistanceLoss", x(3, 4), x(3, 4), x(3, 4))
layer("TripletMarginWithDistanceLoss", x(3, 4), x(3, 4), x(3, 4), margin=5.0, swap=True, reduction="none")

# --- several classes: PyTorch has no second gradients -----------------------------------------------------------------

CLASSES = given([0, 2, 1, 2], "int64")
for reduction in REDUCTIONS:
    case("multi_margin_loss", x(4, 3), CLASSES, reduction=reduction, twice=False)
    case("multi_margin_loss", x(4, 3), CLASSES, 2, 0.3, reduction=reduction, twice=False)
    case("multi_margin_loss", x(4, 3), CLASSES, 1, 1.7, positive(3).fixed, reduction=reduction, twice=False)
case("multi_margin_loss", x(4, 3), CLASSES, p=2, margin=0.7, weight=positive(3).fixed, twice=False)
for target in (given(1, "int64"), given([1], "int64")):
    case("multi_margin_loss", x(3), target, margin=2.0, reduction="none", twice=False)
case("multi_margin_loss", x(), given(0, "int64"), smooth=False, twice=False)
case("multi_margin_loss", x(0, 3), given([], "int64"), reduction="none", twice=False)
case("multi_margin_loss", x(2, 1), given([0, 0], "int64"), smooth=False, twice=False)
case("multi_margin_loss", x(3, 4).transposed, given([0, 3, 1], "int64"), margin=2.0, twice=False)
case("multi_margin_loss", given([[1.0, 2.0, 0.0], [3.0, 1.0, 4.0]]), given([0, 0], "int64"), note="at the kink",
     smooth=False, twice=False)  # fmt: skip
case("multi_margin_loss", given([[1.0, NAN, 0.5], [NAN, 0.0, 1.0], [0.0, INF, 1.0]]), given([0, 0, 0], "int64"),
     reduction="none", smooth=False, twice=False)  # fmt: skip
layer("MultiMarginLoss", x(4, 3), CLASSES, twice=False)
layer("MultiMarginLoss", x(4, 3), CLASSES, build=(2, 0.5), reduction="none", twice=False)
case("MultiMarginLoss", x(4, 3), CLASSES, positive(3).fixed, twice=False,
     call=lambda m, a, b, w: m.nn.MultiMarginLoss(1, 2.0, w, reduction="sum")(a, b))  # fmt: skip

LISTS = given([[3, 0, -1, 1], [1, -1, -1, 2], [-1, 0, 1, 2]], "int64")
for reduction in REDUCTIONS:
    case("multilabel_margin_loss", x(3, 4), LISTS, reduction=reduction, twice=False)
case("multilabel_margin_loss", x(4), given([3, 0, -1, 1], "int64"), reduction="none", twice=False)
case("multilabel_margin_loss", x(4), given([3, 3, 0, -1], "int64"), note="and a class named twice", twice=False)
case("multilabel_margin_loss", x(3), given([2, 0, 1], "int64"), note="and every class", smooth=False, twice=False)
case("multilabel_margin_loss", x(), given(0, "int64"), smooth=False, twice=False)
case("multilabel_margin_loss", x(0, 3), integers(0, 3, high=3), reduction="none", twice=False)
case("multilabel_margin_loss", x(3, 4).transposed, LISTS.strided, twice=False)
case("multilabel_margin_loss", given([1.0, 2.0, 0.0]), given([0, -1, 0], "int64"), note="at the kink", smooth=False,
     twice=False)  # fmt: skip
layer("MultiLabelMarginLoss", x(3, 4), LISTS, twice=False)
layer("MultiLabelMarginLoss", x(3, 4), LISTS, reduction="none", twice=False)

# --- wrong calls ------------------------------------------------------------------------------------------------------

for loss in ("hinge_embedding_loss", "soft_margin_loss"):
    wrong(
        ShapeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2), m.ones(3)), f"{loss}:", "input (2,)",
        "target (3,)",
    )  # fmt: skip
    wrong(ArgumentError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2), m.ones(2), reduction="avg"),
          f"{loss}:", "'avg'")  # fmt: skip
    wrong(ArgumentTypeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2), 1), f"{loss}:", "target", "int")
wrong(
    NotDifferentiableError, lambda m: m.nn.functional.soft_margin_loss(m.ones(2), m.ones(2).requires_grad_()),
    "soft_margin_loss:", "target.detach()",
)  # fmt: skip
for shapes in (((3,), (3,), (3,)), ((2, 3), (2, 3), ()), ((1, 2, 3), (1, 2, 3), (2,)), ((2, 3), (3,), (2,))):
    wrong(
        ShapeError, lambda m, s=shapes: m.nn.functional.cosine_embedding_loss(*(m.ones(n) for n in s)),
        f"{COSINE}:", "(N, D)", *map(str, shapes),
    )  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.cosine_embedding_loss(m.ones(2, 3), m.ones(2, 4), m.ones(2)), f"{COSINE}:",
    "input2 (2, 4)",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.margin_ranking_loss(m.ones(2), m.ones(2), m.ones(())), f"{RANKING}:",
    "(2,) and ()",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.margin_ranking_loss(m.ones(2), m.ones(3), m.ones(2)), f"{RANKING}:",
    "input2 (3,)",
)  # fmt: skip
for loss in (TRIPLET, WITH_DISTANCE):
    wrong(
        ArgumentError, lambda m, f=loss: getattr(m.nn.functional, f)(*(m.ones(2, 3),) * 3, margin=0), f"{loss}:",
        "margin", "0",
    )  # fmt: skip
    wrong(
        ShapeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(2, 3), m.ones(2, 3), m.ones(3)), f"{loss}:",
        "(2, 3) and (3,)",
    )  # fmt: skip
    wrong(ArgumentError, lambda m, f=loss: getattr(m.nn.functional, f)(*(m.ones(2, 3),) * 3, reduction="avg"),
          f"{loss}:", "'avg'")  # fmt: skip
    wrong(ArgumentTypeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(3), [1.0], m.ones(3)), f"{loss}:",
          "positive", "list")  # fmt: skip
    wrong(ShapeError, lambda m, f=loss: getattr(m.nn.functional, f)(m.ones(3), m.ones(3), m.ones(2)), f"{loss}:",
          "negative (2,)")  # fmt: skip


def multi_margin(m, *args, **options):
    return m.nn.functional.multi_margin_loss(*args, **options)


wrong(ArgumentError, lambda m: multi_margin(m, m.ones(1, 3), m.tensor([3])), "multi_margin_loss:", "0 to 2", "3 to 3")
wrong(ArgumentError, lambda m: multi_margin(m, m.ones(1, 3), m.tensor([0]), p=3), "multi_margin_loss:", "1 or 2", "3")
wrong(DtypeError, lambda m: multi_margin(m, m.ones(1, 3), m.ones(1)), "multi_margin_loss:", "float32", "target.long()")
wrong(DtypeError, lambda m: multi_margin(m, m.ones(1, 3).long(), m.tensor([0])), "multi_margin_loss:", "input", "int64")
wrong(ShapeError, lambda m: multi_margin(m, m.ones(2, 3), m.tensor([0])), "multi_margin_loss:", "(2,)", "(1,)")
wrong(ShapeError, lambda m: multi_margin(m, m.ones(2, 0), m.tensor([0, 0])), "multi_margin_loss:", "(2, 0)")
wrong(ShapeError, lambda m: multi_margin(m, m.ones(1, 2, 3), m.tensor([0])), "multi_margin_loss:", "(1, 2, 3)")
wrong(
    ShapeError, lambda m: multi_margin(m, m.ones(1, 3), m.tensor([0]), weight=m.ones(2)), "multi_margin_loss:",
    "weight", "(3,)", "(2,)",
)  # fmt: skip
wrong(
    NotDifferentiableError,
    lambda m: multi_margin(m, m.ones(1, 3).requires_grad_(), m.tensor([0]), weight=m.ones(3).requires_grad_()),
    "multi_margin_loss:", "weight.detach()",
)  # fmt: skip


def multilabel(m, *args):
    return m.nn.functional.multilabel_margin_loss(*args)


MULTILABEL = "multilabel_margin_loss:"
wrong(ArgumentError, lambda m: multilabel(m, m.ones(3), m.tensor([0, -2, 1])), MULTILABEL, "-1 to 2", "-2 to 1")
wrong(ArgumentError, lambda m: multilabel(m, m.ones(3), m.tensor([0, -1, 3])), MULTILABEL, "-1 to 2", "-1 to 3")
wrong(ShapeError, lambda m: multilabel(m, m.ones(3), m.tensor([0, -1])), MULTILABEL, "(3,)", "(2,)")
wrong(ShapeError, lambda m: multilabel(m, m.ones(2, 0), m.ones(2, 0).long()), MULTILABEL, "(2, 0)")
wrong(DtypeError, lambda m: multilabel(m, m.ones(3), m.ones(3)), MULTILABEL, "float32", "target.long()")
