"""Rows of a table, by their numbers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, distinct, given, integers, positive, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("lookup", once={"embedding_bag": "PyTorch has no second gradients of it; test_numerically checks ours"})
case, wrong, layer = table.case, table.wrong, table.layer

INDICES = given([0, 2, 1, 2], "int64")

case("embedding", INDICES, x(3, 2))
case("embedding", given([[0, 2], [1, 2]], "int64"), x(3, 2))
case("embedding", given([[0, 2], [1, 2]], "int32"), x(3, 2))
case("embedding", given(1, "int64"), x(3, 2))
case("embedding", integers(2, 2, 2, high=4), x(4, 3))
case("embedding", input=INDICES, weight=x(3, 2), padding_idx=None)
for padding in (0, 2, -1, -3):  # numerically, the row has a gradient
    case("embedding", INDICES, x(3, 2), padding, smooth=False)
case("embedding", given([2, 2], "int64"), x(3, 2), padding_idx=2, note="only padding", smooth=False)
case("embedding", INDICES, x(3, 2), None, None, 2.0, False, False)
case("embedding", given([], "int64"), x(3, 2), twice=False)  # PyTorch fails without indices
case("embedding", integers(0, 2, high=3), x(3, 2), twice=False)
case("embedding", INDICES, x(3, 0))
case("embedding", INDICES, x(3, 1))
case("embedding", given([[0, 2], [1, 2]], "int64").transposed, x(3, 2).transposed)
case("embedding", given([[0, 2], [1, 2]], "int64").strided, x(3, 2).strided)
case("embedding", INDICES, x(3, 2, dtype="float16"))
case("embedding", INDICES, integers(3, 2, high=9))
case("embedding", given([3, 1, 3], "int64"), x(5, 2), note="with rows unused")
table.drawn("embedding", st.tuples(
    st.tuples(
        st.lists(st.integers(1, 3), max_size=3).map(lambda shape: integers(*shape, high=3)),
        st.integers(0, 3).map(lambda width: Draw((3, width))),
    ),
    st.fixed_dictionaries({"padding_idx": st.sampled_from([None, 0, 1, -1])}),
))  # fmt: skip

OFFSETS = given([0, 1, 3], "int64")
for mode in ("sum", "mean", "max"):
    rows = distinct if mode == "max" else x
    case("embedding_bag", INDICES, rows(3, 2), OFFSETS, mode=mode, twice=False)
    case("embedding_bag", given([[0, 2], [1, 1]], "int64"), rows(3, 2), mode=mode, twice=False)
    case("embedding_bag", INDICES, rows(3, 2), OFFSETS, mode=mode, padding_idx=2, twice=False)
    case("embedding_bag", INDICES, rows(3, 2), OFFSETS, mode=mode, padding_idx=-2, twice=False)
    case("embedding_bag", INDICES, rows(3, 2), given([0, 2, 2, 4], "int64"), mode=mode, note="empty", twice=False)
    case(
        "embedding_bag", INDICES, rows(3, 2), given([0, 3, 4], "int64"), mode=mode, include_last_offset=True,
        twice=False,
    )  # fmt: skip
    case("embedding_bag", given([], "int64"), rows(3, 2), given([0, 0], "int64"), mode=mode, twice=False, smooth=False)
    case("embedding_bag", given([1], "int64"), rows(3, 2), given([0], "int64"), mode=mode, padding_idx=1, twice=False)
case("embedding_bag", given([0, 1, 1], "int64"), x(3, 2), given([0], "int64"), mode="max", note="a tie", twice=False)
case("embedding_bag", INDICES, x(3, 2), OFFSETS, twice=False)
case("embedding_bag", INDICES, x(3, 2), OFFSETS, None, 2, False, "sum", False, positive(4), False, 1, twice=False)
case("embedding_bag", INDICES, x(3, 2), OFFSETS, mode="sum", per_sample_weights=x(4), twice=False)
case(
    "embedding_bag", given([[0, 2], [1, 2]], "int32"), x(3, 2), mode="sum", per_sample_weights=x(2, 2), padding_idx=2,
    twice=False,
)  # fmt: skip
case("embedding_bag", given([[0, 2], [1, 2]], "int64"), x(3, 2).transposed, mode="mean", twice=False)

layer("Embedding", INDICES, build=(3, 2))
layer("Embedding", given([[0, 2], [1, 2]], "int64"), num_embeddings=3, embedding_dim=2, padding_idx=-1, smooth=False)
layer("Embedding", given([[0, 2], [1, 2]], "int32"), build=(3, 2, 0), smooth=False)
layer("EmbeddingBag", INDICES, OFFSETS, build=(3, 2), twice=False)
layer("EmbeddingBag", given([[0, 2], [1, 1]], "int64"), build=(3, 2), mode="sum", padding_idx=1, twice=False)
layer("EmbeddingBag", INDICES, given([0, 3, 4], "int64"), build=(3, 2), mode="max", include_last_offset=True,
      twice=False)  # fmt: skip
layer("EmbeddingBag", INDICES, OFFSETS, x(4), build=(3, 2), mode="sum", twice=False)

# --- wrong calls ------------------------------------------------------------------------------------------------------


def embedding(m: Any, indices: Any, *rest: Any, **options: Any) -> Any:
    return m.nn.functional.embedding(indices, *(rest or (m.ones(3, 2),)), **options)


def bag(m: Any, offsets: Any = (0, 1), indices: Any = (0, 2, 1, 2), **options: Any) -> Any:
    return m.nn.functional.embedding_bag(m.tensor(indices), m.ones(3, 2), m.tensor(offsets), **options)


wrong(DimError, lambda m: embedding(m, m.tensor([0, 3])), "embedding:", "0 to 2", "0 to 3")
wrong(DimError, lambda m: embedding(m, m.tensor([-1, 2])), "embedding:", "0 to 2", "-1 to 2")
wrong(DtypeError, lambda m: embedding(m, m.tensor([0.0, 1.0])), "embedding:", "float32", "input.long()")
wrong(DtypeError, lambda m: embedding(m, m.tensor([True])), "embedding:", "bool", "input.long()")
wrong(ShapeError, lambda m: embedding(m, m.tensor([0]), m.ones(3)), "embedding:", "weight", "(3,)")
wrong(ArgumentTypeError, lambda m: embedding(m, [0, 1]), "embedding:", "input", "list")
for name in ("embedding", "Embedding"):
    for option, value in (("max_norm", 1.0), ("scale_grad_by_freq", True), ("sparse", True)):
        wrong(
            NotImplementedError,
            lambda m, name=name, option=option, value=value: (
                embedding(m, m.tensor([0]), **{option: value})
                if name == "embedding"
                else m.nn.Embedding(3, 2, **{option: value})
            ),
            f"{name}:", f"{option}={value}", torch_allows=True,
        )  # fmt: skip
wrong(ArgumentError, lambda m: bag(m, mode="min"), "embedding_bag:", "'sum', 'mean' or 'max'", "'min'")
wrong(ArgumentError, lambda m: bag(m, [1, 2]), "embedding_bag:", "start at 0", "[1, 2]")
wrong(ArgumentError, lambda m: bag(m, [0, 5]), "embedding_bag:", "at most 4", "[0, 5]")
wrong(ArgumentError, lambda m: bag(m, [0, 3, 1]), "embedding_bag:", "grow", "[0, 3, 1]", torch_allows=None)
wrong(ArgumentError, lambda m: bag(m, [0], [[0, 1]]), "embedding_bag:", "2-dim", "offsets")
wrong(
    ArgumentError, lambda m: m.nn.functional.embedding_bag(m.tensor([0]), m.ones(3, 2)), "embedding_bag:", "offsets",
    "None",
)  # fmt: skip
wrong(ShapeError, lambda m: bag(m, [0], [[[0, 1]]]), "embedding_bag:", "vector or a matrix", "(1, 1, 2)")
wrong(ShapeError, lambda m: bag(m, [[0]]), "embedding_bag:", "offsets", "(1, 1)")
wrong(DimError, lambda m: bag(m, [0], [3]), "embedding_bag:", "0 to 2", "3")
wrong(
    ShapeError, lambda m: bag(m, mode="sum", per_sample_weights=m.ones(3)), "embedding_bag:", "per_sample_weights",
    "(4,)", "(3,)",
)  # fmt: skip
wrong(
    DtypeError, lambda m: bag(m, mode="sum", per_sample_weights=m.ones(4).double()), "embedding_bag:", "float64",
    "float32",
)  # fmt: skip
wrong(NotImplementedError, lambda m: bag(m, per_sample_weights=m.ones(4)), "embedding_bag:", "mode='sum'", "'mean'")
wrong(ArgumentError, lambda m: m.nn.Embedding(-1, 2), "Embedding:", "num_embeddings=-1")
wrong(ArgumentError, lambda m: m.nn.EmbeddingBag(3, 2, mode="x"), "EmbeddingBag:", "'x'", torch_allows=True)
