"""Distances and similarities between vectors."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, given, integers, x
from op_strategies import pairs

from minigrad.errors import ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("distance")
case, wrong, layer, drawn = table.case, table.wrong, table.layer, table.drawn

NAN, INF = float("nan"), float("inf")

for p in (1, 1.5, 2.0, 3, 0.5, INF, -INF, -1.0):
    case("pairwise_distance", x(2, 3), x(2, 3), p)
# The number of different elements: its gradient vanishes, and PyTorch does not even record it.
case("pairwise_distance", x(2, 3).fixed, x(2, 3).fixed, 0)
case("pairwise_distance", x(2, 3), x(2, 3))
case("pairwise_distance", x(2, 3), x(2, 3), keepdim=True)
case("pairwise_distance", x(2, 3), x(2, 3), eps=0.5)
case("pairwise_distance", x(2, 3), x(2, 3), 3.0, 0.25, True)
case("pairwise_distance", x(2, 3), x(3))
case("pairwise_distance", x(4, 1, 3), x(2, 3))
case("pairwise_distance", x(3), x(3))
case("pairwise_distance", x(), x())
case("pairwise_distance", x(0, 3), x(0, 3))
case("pairwise_distance", x(2, 0), x(2, 0))
case("pairwise_distance", x(3, 2).transposed, x(3, 2).strided)
case("pairwise_distance", integers(2, 3, high=-4), integers(2, 3, high=-4))
case("pairwise_distance", x(3, dtype="float16"), x(3, dtype="float16"))
# Equal vectors: PyTorch's first gradient is 0, its second nan.
SAME = given([[1.0, 2.0], [0.0, 0.0]])
case("pairwise_distance", SAME, SAME.fixed, eps=0.0, note="of equal vectors", smooth=False, twice=False)
case("pairwise_distance", given([[1.0, -1.0, 0.0]]), given([[0.0, 0.0, 0.0]]), INF, 0.0, note="a tie", smooth=False)
case("pairwise_distance", given([[NAN, 1.0], [INF, 1.0]]), x(2, 2), smooth=False, twice=False)
# Without elements, PyTorch's second gradient of p = 3 is nan.
drawn("pairwise_distance", pairs(p=st.sampled_from([1, 2.0]), keepdim=st.booleans()))
layer("PairwiseDistance", x(2, 3), x(2, 3))
layer("PairwiseDistance", x(2, 3), x(2, 3), build=(1.0, 0.5, True))

case("cosine_similarity", x(2, 3), x(2, 3))
case("cosine_similarity", x(2, 3), x(2, 3), 0)
case("cosine_similarity", x(2, 3), x(2, 3), dim=-1)
case("cosine_similarity", x(2, 3, 4), x(2, 3, 4))
case("cosine_similarity", x(2, 3), x(3))
case("cosine_similarity", x(3), x(2, 3), dim=-1)
case("cosine_similarity", x(2, 1, 3), x(4, 3), dim=2)
# Parallel vectors, whatever their elements.
case("cosine_similarity", x(2, 1), x(2, 3), smooth=False)
case("cosine_similarity", x(3), x(3), 0)
case("cosine_similarity", x(), x(), 0, smooth=False)
case("cosine_similarity", x(0, 3), x(0, 3))
case("cosine_similarity", x(2, 0), x(2, 0))
case("cosine_similarity", x(2, 3).transposed, x(2, 3).strided)
case("cosine_similarity", x(2, 3), integers(2, 3, high=-4))
case("cosine_similarity", x(2, 3, dtype="float32"), x(2, 3, dtype="float64"))
case("cosine_similarity", x(1, 3, dtype="float16"), x(1, 3, dtype="float16"))
case("cosine_similarity", x(2, 3), x(2, 3), eps=8.0, note="limited", smooth=False)
case("cosine_similarity", x(2, 3), x(2, 3), 1, 2.0, note="partly limited", smooth=False)
# The second gradient at zero is nan in PyTorch.
case("cosine_similarity", given([[0.0, 0.0]]), x(1, 2), note="of zeros", smooth=False, twice=False)
case("cosine_similarity", given([[NAN, 1.0], [INF, 1.0]]), x(2, 2), smooth=False, twice=False)
drawn("cosine_similarity", pairs(dim=st.integers(-3, 2)))
layer("CosineSimilarity", x(2, 3), x(2, 3))
layer("CosineSimilarity", x(2, 3), x(2, 3), build=(0, 0.5), smooth=False)

# --- wrong calls ------------------------------------------------------------------------------------------------------

for name in ("pairwise_distance", "cosine_similarity"):
    wrong(
        ShapeError, lambda m, f=name: getattr(m.nn.functional, f)(m.ones(2, 3), m.ones(2, 4)), f"{name}:", "x1 (2, 3)",
        "x2 (2, 4)",
    )  # fmt: skip
    wrong(
        ArgumentTypeError, lambda m, f=name: getattr(m.nn.functional, f)(m.ones(2, 3), [1.0, 2.0, 3.0]), f"{name}:",
        "x2", "list",
    )  # fmt: skip
wrong(
    DimError,
    lambda m: m.nn.functional.cosine_similarity(m.ones(3), m.ones(3)),
    "cosine_similarity:",
    "dim 1",
    "-1 to 0",
)
wrong(
    DtypeError, lambda m: m.nn.functional.cosine_similarity(m.ones(2, 3).long(), m.ones(2, 3).long()),
    "cosine_similarity:", "int64", "x1.float()",
)  # fmt: skip
