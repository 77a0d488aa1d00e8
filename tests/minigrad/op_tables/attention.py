"""Attention, as functions and as a module."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from op_harness import Table, booleans, given, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("attention")
case, layer, wrong, drawn = table.case, table.layer, table.wrong, table.drawn

NAN, INF = float("nan"), float("inf")
BLIND = given([[False, False, False], [True, False, True]])  # the first query sees no key
HIDDEN = given([[True, True, True], [False, True, False]])  # the same for multi-head attention, where True hides
CAUSAL = given([[0.0, -INF, -INF], [0.0, 0.0, -INF], [0.0, 0.0, 0.0]])


def twice_differentiable(function: Callable[..., Any], m_is_torch: bool) -> Callable[..., Any]:
    """PyTorch's fast kernel has no second derivatives, but it has a slow one of the same values that has."""

    def called(*args: Any, **options: Any) -> Any:
        if not m_is_torch:
            return function(*args, **options)
        attention = importlib.import_module("torch.nn.attention")
        with attention.sdpa_kernel(attention.SDPBackend.MATH):
            return function(*args, **options)

    return called


def slowly(m: Any, *args: Any, **options: Any) -> Any:
    function = m.nn.functional.scaled_dot_product_attention
    return twice_differentiable(function, m.__name__ == "torch")(*args, **options)


def layer_slowly(module: Any, *args: Any, **options: Any) -> Any:
    return twice_differentiable(module, type(module).__module__.startswith("torch"))(*args, **options)


# --- scaled_dot_product_attention -------------------------------------------------------------------------------------

NAME = "scaled_dot_product_attention"
q, k, v = x(1, 2, 2, 3), x(1, 2, 3, 3), x(1, 2, 3, 2)
case(NAME, q, k, v, twice=False, note="by the fast kernel")
case(NAME, q, k, v, None, 0.0, False, twice=False, note="by the fast kernel")
for shapes in (((2, 3), (3, 3), (3, 2)), ((2, 2, 1), (2, 3, 1), (2, 3, 2)), ((1, 2, 2, 2), (1, 2, 3, 2), (1, 2, 3, 2))):
    case(NAME, *(x(*shape) for shape in shapes), call=slowly)
    case(NAME, *(x(*shape) for shape in shapes), is_causal=True, call=slowly)
case(NAME, x(3, 2), x(2, 2), x(2, 2), is_causal=True, call=slowly, note="fewer keys")
case(NAME, x(2, 2, 2).transposed, x(2, 3, 2).strided, x(2, 3, 2).transposed, call=slowly)
case(NAME, x(1, 2, 2), x(2, 3, 2), x(2, 3, 2), call=slowly, note="broadcast")
case(NAME, x(2, 2).fixed, x(3, 2), x(3, 2), call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), scale=0.3, call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), scale=-2.0, call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), dropout_p=0.0, call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), dropout_p=1.0, call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), given([[True, False, True], [True, True, True]]), call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), BLIND, call=slowly, note="a query without keys")
case(NAME, x(2, 2, 2), x(2, 3, 2), x(2, 3, 2), booleans(3), call=slowly)
case(NAME, x(2, 2, 2), x(2, 3, 2), x(2, 3, 2), booleans(2, 1, 3), call=slowly)
case(NAME, x(2, 2), x(3, 2), x(3, 2), attn_mask=x(2, 3), call=slowly)
case(NAME, x(2, 2, 2), x(2, 3, 2), x(2, 3, 2), x(2, 3), call=slowly)
case(NAME, x(3, 2), x(3, 2), x(3, 2), CAUSAL, call=slowly, note="infinite mask", smooth=False)
case(NAME, x(2, 2), x(2, 2), x(2, 2), given([[-INF, -INF], [0.0, 1.0]]), call=slowly, note="blind", smooth=False)
case(NAME, x(1, 4, 2, 2), x(1, 2, 2, 2), x(1, 2, 2, 2), enable_gqa=True, call=slowly)
case(NAME, x(4, 2, 2), x(1, 2, 2), x(2, 2, 2), enable_gqa=True, is_causal=True, call=slowly)
case(NAME, x(2, 2, 2), x(2, 2, 2), x(2, 2, 2), enable_gqa=True, call=slowly)
case(NAME, x(0, 2), x(3, 2), x(3, 2), call=slowly, smooth=False)
case(NAME, x(2, 2), x(0, 2), x(0, 2), call=slowly, smooth=False)
case(NAME, x(2, 0), x(3, 0), x(3, 2), call=slowly, smooth=False)
case(NAME, given([[NAN, 1.0], [1.0, 2.0]]), x(3, 2), x(3, 2), call=slowly, smooth=False)
case(NAME, given([[1000.0, 0.0]]), given([[1000.0, 0.0], [0.0, 1.0]]), x(2, 2), call=slowly, smooth=False)
case(NAME, x(2, 2, dtype="float16"), x(3, 2, dtype="float16"), x(3, 2, dtype="float16"), twice=False)


@st.composite
def operands(draw: st.DrawFn) -> Any:
    """Batches that broadcast, sizes that mostly fit, a mask or none."""
    size = st.sampled_from([1, 2, 3])
    length, keys, width, depth = draw(size), draw(size), draw(size), draw(size)
    batch = draw(st.sampled_from([(), (2,), (1, 2)]))
    kept = tuple(draw(st.sampled_from([n, 1])) for n in batch)
    wrong_by = draw(st.integers(0, 9)) == 0

    def made(*shape: int) -> Any:
        return draw(tensors(st.just(shape)))

    inputs = (made(*batch, length, width), made(*kept, keys, width + wrong_by), made(*kept, keys, depth))
    masks = [{}, {"is_causal": True}, {"attn_mask": booleans(length, keys)}, {"attn_mask": made(keys)}]
    return inputs, {**draw(st.sampled_from(masks)), **draw(st.sampled_from([{}, {"scale": 0.5}]))}


drawn(NAME, operands(), call=slowly)

# --- multi_head_attention_forward -------------------------------------------------------------------------------------

NAME = "multi_head_attention_forward"


def weights(size: int = 2) -> tuple[Any, ...]:
    """in_proj_weight, in_proj_bias, no bias_k and bias_v, add_zero_attn, dropout_p, and the last projection."""
    return x(3 * size, size), x(3 * size), None, None, False, 0.0, x(size, size), x(size)


def without_weights(m: Any, *args: Any, **options: Any) -> Any:
    """Only the output: PyTorch returns None besides."""
    function = twice_differentiable(m.nn.functional.multi_head_attention_forward, m.__name__ == "torch")
    return function(*args, need_weights=False, **options)[0]


ALONE = "without weights"
# Second derivatives exist, but checking them numerically would take too long. In float32 the rounding of projections
# is amplified by the softmax, twice.
LARGE: dict[str, Any] = {"smooth": False, "loose": 20.0}

query, key, value = x(2, 1, 2), x(3, 1, 2), x(3, 1, 2)
case(NAME, query, key, value, 2, 1, *weights(), loose=LARGE["loose"])
case(NAME, query, key, value, 2, 2, *weights(), need_weights=True, **LARGE)
case(NAME, query, key, value, 2, 2, *weights(), average_attn_weights=False, **LARGE)
case(NAME, x(2, 2), x(3, 2), x(3, 2), 2, 2, *weights(), **LARGE)
case(NAME, x(2, 2), x(3, 2), x(3, 2), 2, 2, *weights(), average_attn_weights=False, **LARGE)
case(NAME, query, key, value, 2, 2, *weights(), True, None, True, HIDDEN, **LARGE)
case(NAME, query, key, value, 2, 2, *weights(), attn_mask=x(2, 3), **LARGE)
case(NAME, x(2, 2, 2), x(3, 2, 2), x(3, 2, 2), 2, 2, *weights(), attn_mask=x(4, 2, 3), **LARGE)
case(NAME, query, key, value, 2, 1, *weights(), key_padding_mask=given([[False, True, False]]), **LARGE)
case(NAME, x(2, 2), x(3, 2), x(3, 2), 2, 1, *weights(), key_padding_mask=given([False, True, False]), **LARGE)
both = {"attn_mask": x(2, 3).fixed, "key_padding_mask": x(1, 3)}
case(NAME, query, key, value, 2, 2, *weights(), **both, **LARGE)
case(NAME, x(3, 1, 2), key, value, 2, 2, *weights(), attn_mask=CAUSAL.fixed, is_causal=True, **LARGE)
case(NAME, query, key, value, 2, 2, *weights(), training=False, **LARGE)
in_weight, in_bias, _, _, _, _, out_weight, out_bias = weights()
unused = (None, None, False, 0.0)
extra = (x(1, 1, 2), x(1, 1, 2), True, 0.0)
masks = {"attn_mask": booleans(2, 3), "key_padding_mask": given([[False, True, False]])}
case(NAME, query, key, value, 2, 2, in_weight, None, *unused, out_weight, None, **LARGE)
case(NAME, query, key, value, 2, 2, in_weight, in_bias, *extra, out_weight, out_bias, **LARGE)
case(NAME, query, key, value, 2, 2, in_weight, in_bias, *extra, out_weight, out_bias, **masks, **LARGE)
separate = {"use_separate_proj_weight": True, "q_proj_weight": x(2, 2), "k_proj_weight": x(2, 3)}
separate["v_proj_weight"] = x(2, 1)
case(
    NAME, query, x(3, 1, 3), x(3, 1, 1), 2, 2, None, in_bias, *unused, out_weight, out_bias, **separate,
    **LARGE,
)  # fmt: skip
case(NAME, query, key, value, 2, 2, *weights(), call=without_weights, note=ALONE, **LARGE)
case(NAME, query, key, value, 2, 2, *weights(), attn_mask=HIDDEN, call=without_weights, note=ALONE, **LARGE)
case(NAME, x(2, 2), x(3, 2), x(3, 2), 2, 2, *weights(), call=without_weights, note=ALONE, **LARGE)
case(NAME, query, key, value, 2, 2, *weights(), **masks, call=without_weights, note=ALONE, **LARGE)
case(
    NAME, x(2, 2, 2), x(3, 2, 2), x(3, 2, 2), 2, 2, *weights(), attn_mask=x(4, 2, 3), call=without_weights, note=ALONE,
    **LARGE,
)  # fmt: skip
# With the promise of a causal mask, the mask itself is not read.
promised = {"attn_mask": given([[False, False, False]] * 2), "is_causal": True}
case(NAME, query, key, value, 2, 2, *weights(), **promised, call=without_weights, note=ALONE, **LARGE)

# --- MultiheadAttention -----------------------------------------------------------------------------------------------

NAME = "MultiheadAttention"


def output_only(module: Any, *inputs: Any) -> Any:
    return layer_slowly(module, *inputs, None, False)[0]


for options in ({}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 3, "vdim": 1}):
    inputs = (x(2, 2, 4), x(3, 2, options.get("kdim", 4)), x(3, 2, options.get("vdim", 4)))
    layer(NAME, *inputs, build=(4, 2), **LARGE, **options)
    layer(NAME, *inputs, build=(4, 2), **LARGE, call=output_only, note=ALONE, **options)
layer(NAME, x(2, 1, 2), x(1, 1, 2), x(1, 1, 2), build=(2, 1), bias=False)
layer(NAME, x(2, 3, 2), x(2, 1, 2), x(2, 1, 2), build=(2, 2), batch_first=True, **LARGE)
layer(NAME, x(3, 2), x(2, 2), x(2, 2), build=(2, 2, 0.0, True), batch_first=True, **LARGE)
layer(NAME, x(2, 1, 2), x(2, 1, 2), x(2, 1, 2), build=(2, 2), dropout=0.5, training=False, **LARGE)
layer(NAME, x(0, 1, 2), x(2, 1, 2), x(2, 1, 2), build=(2, 2), **LARGE)


def masked(module: Any, *inputs: Any) -> Any:
    *tensors_, padding, mask = inputs
    return module(*tensors_, key_padding_mask=padding, attn_mask=mask, average_attn_weights=False)


layer(
    NAME, x(2, 2, 2), x(3, 2, 2), x(3, 2, 2), given([[False, True, False], [False, False, True]]),
    given([[False, True, True], [False, False, False]]), build=(2, 2), call=masked, **LARGE,
)  # fmt: skip

# --- wrong calls ------------------------------------------------------------------------------------------------------


def asserting(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Some of its refusals PyTorch writes as assertions."""
    try:
        return function(*args, **options)
    except AssertionError as error:
        raise ValueError(str(error)) from error


START = "scaled_dot_product_attention:"


def attend(m: Any, *shapes: tuple[int, ...], **options: Any) -> Any:
    return m.nn.functional.scaled_dot_product_attention(*(m.ones(*shape) for shape in shapes), **options)


wrong(ShapeError, lambda m: attend(m, (2,), (2,), (2,)), START, "at least 2 dimensions", "(2,)")
wrong(ShapeError, lambda m: attend(m, (2, 3), (2, 4), (2, 3)), START, "(2, 3)", "(2, 4)", "last dimension")
wrong(ShapeError, lambda m: attend(m, (2, 3), (4, 3), (5, 3)), START, "do not fit together", "(5, 3)")
wrong(ShapeError, lambda m: attend(m, (2, 2, 3), (3, 2, 3), (3, 2, 3)), START, "(2, 2, 3)", "do not fit together")
wrong(
    DtypeError,
    lambda m: m.nn.functional.scaled_dot_product_attention(m.ones(2, 3), m.ones(2, 3).double(), m.ones(2, 3)),
    START, "key", "float64", "float32", ".to(dtype)",
)  # fmt: skip
wrong(DtypeError, lambda m: m.nn.functional.scaled_dot_product_attention(*[m.ones(2, 3).long()] * 3), START, "int64")
wrong(ArgumentTypeError, lambda m: m.nn.functional.scaled_dot_product_attention([[1.0]], m.ones(1, 1), m.ones(1, 1)),
      START, "query", "list")  # fmt: skip
wrong(ArgumentError, lambda m: attend(m, *[(2, 2)] * 3, dropout_p=1.5), START, "dropout_p", "[0, 1]", "1.5")
wrong(
    ArgumentError, lambda m: attend(m, *[(2, 2)] * 3, attn_mask=m.ones(2, 2), is_causal=True), START, "attn_mask",
    "is_causal",
)  # fmt: skip
wrong(DtypeError, lambda m: attend(m, *[(2, 2)] * 3, attn_mask=m.ones(2, 2).long()), START, "attn_mask", "int64")
wrong(ArgumentTypeError, lambda m: attend(m, *[(2, 2)] * 3, attn_mask=[[True]]), START, "attn_mask", "list")
wrong(ShapeError, lambda m: attend(m, *[(2, 2)] * 3, attn_mask=m.ones(3, 2)), START, "(3, 2)", "(2, 2)")
wrong(ShapeError, lambda m: attend(m, *[(2, 2)] * 3, attn_mask=m.ones(2, 2, 2)), START, "(2, 2, 2)")
wrong(
    ShapeError, lambda m: attend(m, (4, 2, 2), (3, 2, 2), (3, 2, 2), enable_gqa=True), START, "divide", "(3, 2, 2)",
    "(4, 2, 2)",
)  # fmt: skip

START = "multi_head_attention_forward:"


def heads(m: Any, shape: tuple[int, ...] = (3, 1, 4), count: int = 2, **changed: Any) -> Any:
    """A call that fits, but for the arguments given."""
    fitting = {
        "query": m.ones(*shape), "key": m.ones(3, 1, 4), "value": m.ones(3, 1, 4), "embed_dim_to_check": 4,
        "num_heads": count, "in_proj_weight": m.ones(12, 4), "in_proj_bias": m.ones(12), "bias_k": None, "bias_v": None,
        "add_zero_attn": False, "dropout_p": 0.0, "out_proj_weight": m.ones(4, 4), "out_proj_bias": m.ones(4),
    }  # fmt: skip
    return asserting(m.nn.functional.multi_head_attention_forward, **{**fitting, **changed})


wrong(ShapeError, lambda m: heads(m, (3, 4)), START, "(3, 4)", "(3, 1, 4)")
wrong(ShapeError, lambda m: heads(m, (3,)), START, "(3,)")
wrong(ShapeError, lambda m: heads(m, (3, 1, 2)), START, "embed_dim = 4", "(3, 1, 2)")
wrong(ShapeError, lambda m: heads(m, (3, 2, 4)), START, "same batch", "(3, 2, 4)")
wrong(ShapeError, lambda m: heads(m, key=m.ones(2, 1, 4)), START, "key and value", "(2, 1, 4)")
wrong(ArgumentError, lambda m: heads(m, count=3), START, "num_heads", "3 heads for 4")
wrong(ArgumentTypeError, lambda m: heads(m, in_proj_weight=None), START, "in_proj_weight", "None")
wrong(ArgumentTypeError, lambda m: heads(m, use_separate_proj_weight=True), START, "q_proj_weight", "None")
wrong(ShapeError, lambda m: heads(m, in_proj_weight=m.ones(12, 3)), START, "(12, 4)", "(12, 3)")
wrong(ShapeError, lambda m: heads(m, in_proj_bias=m.ones(11)), START, "in_proj_bias", "(12,)", "(11,)")
wrong(ShapeError, lambda m: heads(m, bias_k=m.ones(1, 1, 4)), START, "bias_v", "None")
wrong(ShapeError, lambda m: heads(m, attn_mask=m.ones(2, 2)), START, "attn_mask", "(3, 3)", "(2, 2)")
wrong(ShapeError, lambda m: heads(m, attn_mask=m.ones(3, 3, 3)), START, "attn_mask", "(2, 3, 3)", "(3, 3, 3)")
wrong(DtypeError, lambda m: heads(m, attn_mask=m.ones(3, 3).long()), START, "attn_mask", "int64")
wrong(ShapeError, lambda m: heads(m, key_padding_mask=m.ones(1, 2)), START, "key_padding_mask", "(1, 3)", "(1, 2)")
wrong(ArgumentTypeError, lambda m: heads(m, key_padding_mask=[True]), START, "key_padding_mask", "list")
wrong(ArgumentError, lambda m: heads(m, is_causal=True), START, "is_causal", "attn_mask", "None")
wrong(DtypeError, lambda m: heads(m, key=m.ones(3, 1, 4).double()), START, "key", "float64")

START = "MultiheadAttention:"
wrong(ArgumentError, lambda m: asserting(m.nn.MultiheadAttention, 4, 3), START, "embed_dim=4", "num_heads=3")
wrong(ArgumentError, lambda m: m.nn.MultiheadAttention(0, 1), START, "embed_dim=0")
wrong(ArgumentError, lambda m: m.nn.MultiheadAttention(4, 0), START, "num_heads=0")
