"""Attention: averages of values, weighted by how well their keys match a query."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...creation import Generator, zeros
from ...errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ...ops import cat, linear, softmax, where
from ...tensor import Tensor, from_array
from .arguments import need_numbers, need_tensors
from .regularization import dropout

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

NEVER = -math.inf  # added to a score, it makes the weight 0


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    generator: Generator | None = None,
) -> Any:
    """softmax(query key^T * scale + mask) value, for query (..., L, E), key (..., S, E) and value (..., S, V).

    Args:
        attn_mask: broadcasts to (..., L, S). Where a boolean mask is false, a query does not see a key; a floating mask
            is added to the scores. A query that sees no key at all gets zeros.
        dropout_p: the probability with which each weight is set to zero; there is no training mode here.
        is_causal: query i sees keys 0 to i only; not together with `attn_mask`.
        scale: 1 / sqrt(E) by default.
        enable_gqa: heads (dimension -3) of key and value serve several heads of the query each, in order.

    Source: A. Vaswani et al., "Attention Is All You Need" (2017), https://arxiv.org/abs/1706.03762; heads that share
    keys: J. Ainslie et al., "GQA" (2023), https://arxiv.org/abs/2305.13245

    Raises:
        ArgumentTypeError, ShapeError, DtypeError: tensors that are none, or do not fit together.
        ArgumentError: a dropout_p outside [0, 1], or both a mask and `is_causal`.
    """
    name = "scaled_dot_product_attention"
    check_operands(name, query, key, value)
    need_numbers(name, dropout_p=dropout_p)
    if not 0 <= dropout_p <= 1:
        raise ArgumentError(f"{name}: dropout_p is a probability in [0, 1], got {dropout_p}")
    if is_causal and attn_mask is not None:
        raise ArgumentError(f"{name}: give attn_mask or is_causal=True, got both; put the causal mask into attn_mask")
    if enable_gqa:
        key, value = (_repeated_heads(name, what, query, x) for what, x in (("key", key), ("value", value)))
    scores = _scores(name, query, key, scale)
    if is_causal:
        attn_mask = from_array(np.tri(*scores.shape[-2:], dtype=bool))
    if attn_mask is not None:
        scores = _masked(name, scores, attn_mask)
    return _product(name, dropout(_safe_softmax(scores), dropout_p, generator=generator), value)


def check_operands(name: str, query: Any, key: Any, value: Any) -> None:
    """Refuse what is no tensor, has another dtype than the query, or fewer than 2 dimensions.

    Raises:
        ArgumentTypeError, DtypeError, ShapeError.
    """
    need_tensors(name, query=query, key=key, value=value)
    for what, x in (("query", query), ("key", key), ("value", value)):
        if x.dtype != query.dtype or x.dtype.kind not in "fc":
            raise DtypeError(
                f"{name}: query, key and value must have one floating dtype, got {what} of {x.dtype} and query of "
                f"{query.dtype}; convert one with .to(dtype)"
            )
        if x.ndim < 2:
            raise ShapeError(f"{name}: {what} needs at least 2 dimensions (..., length, size), got shape {x.shape}")


def _repeated_heads(name: str, what: str, query: Tensor, x: Tensor) -> Any:
    """Each head of x repeated, so that there are as many as in the query."""
    if query.ndim < 3 or x.ndim < 3 or not x.shape[-3] or query.shape[-3] % x.shape[-3]:
        raise ShapeError(
            f"{name}: with enable_gqa, the heads (dimension -3) of {what} must divide those of the query, got shapes "
            f"{x.shape} and {query.shape}"
        )
    repeats = query.shape[-3] // x.shape[-3]
    shape = (*x.shape[:-2], repeats, *x.shape[-2:])
    return x.unsqueeze(-3).expand(shape).reshape(*x.shape[:-3], query.shape[-3], *x.shape[-2:])


def _scores(name: str, query: Any, key: Any, scale: float | None = None) -> Any:
    """How well each query matches each key, (..., L, S)."""
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"{name}: query {query.shape} and key {key.shape} must have one size in the last dimension")
    if scale is not None:
        need_numbers(name, scale=scale)
    else:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    return _product(name, query * scale, key.mT)


def _product(name: str, x: Any, y: Any) -> Any:
    try:
        return x @ y
    except ShapeError as error:
        raise ShapeError(f"{name}: the shapes of query, key and value do not fit together: {error}") from None


def _masked(name: str, scores: Any, mask: Any) -> Any:
    need_tensors(name, attn_mask=mask)
    if mask.dtype != np.bool_ and mask.dtype != scores.dtype:
        raise DtypeError(f"{name}: attn_mask must be bool or of the query's {scores.dtype}, got {mask.dtype}")
    try:
        fits = np.broadcast_shapes(mask.shape, scores.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: attn_mask of shape {mask.shape} does not broadcast to the scores {scores.shape}")
    return where(mask, scores, NEVER) if mask.dtype == np.bool_ else scores + mask


def _safe_softmax(scores: Any) -> Any:
    """The softmax over keys, and zeros instead of nan for a query that sees none."""
    blind = np.logical_and.reduce(scores._array == NEVER, axis=-1, keepdims=True)
    if not blind.any():
        return softmax(scores, -1)
    return where(from_array(blind), 0.0, softmax(where(from_array(blind), 0.0, scores), -1))


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    generator: Generator | None = None,
) -> tuple[Any, Any]:
    """Attention in `num_heads` subspaces: project query, key and value, attend in each head, join and project again.

    Query (L, N, E), key (S, N, ...) and value (S, N, ...), all also without N. Returns the output (L, N, E), and with
    `need_weights` the weights: (N, L, S) averaged over heads, or (N, num_heads, L, S), after dropout; otherwise None.

    Args:
        in_proj_weight: (3E, E), the projections of query, key and value below each other; unless
            `use_separate_proj_weight`, with `q_proj_weight` (E, E), `k_proj_weight`, `v_proj_weight`.
        bias_k, bias_v: (1, 1, E), one more key and value that every query sees; `add_zero_attn` adds one of zeros.
        attn_mask: (L, S) or (N * num_heads, L, S). Where a boolean mask is TRUE, a query does NOT see a key, the
            opposite of `scaled_dot_product_attention`; a floating one is added to the scores.
        key_padding_mask: (N, S), keys that no query sees where true, or added.
        is_causal: a promise that attn_mask is causal; without weights and padding, the mask itself is then not read.

    A query that sees no key gets nan with `need_weights`, and zeros (before the last projection) without.

    Source: A. Vaswani et al., "Attention Is All You Need" (2017), https://arxiv.org/abs/1706.03762

    Raises:
        ArgumentTypeError, ShapeError, DtypeError, ArgumentError: arguments that do not fit together.
        NotImplementedError: for `static_k` and `static_v`.
    """
    name = "multi_head_attention_forward"
    for what, static in (("static_k", static_k), ("static_v", static_v)):
        if static is not None:
            raise NotImplementedError(f"{name}: {what} is not supported; pass keys and values to be projected")
    check_operands(name, query, key, value)
    given = {
        "in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias, "bias_k": bias_k, "bias_v": bias_v,
        "out_proj_bias": out_proj_bias, "q_proj_weight": q_proj_weight, "k_proj_weight": k_proj_weight,
        "v_proj_weight": v_proj_weight, "key_padding_mask": key_padding_mask, "attn_mask": attn_mask,
    }  # fmt: skip
    need_tensors(name, out_proj_weight=out_proj_weight, **{k: v for k, v in given.items() if v is not None})
    batched = query.ndim == 3
    _check_ranks(name, query, key, value, key_padding_mask)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    _check_sizes(name, query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if is_causal and attn_mask is None:
        raise ArgumentError(f"{name}: is_causal=True also needs the causal attn_mask, got None")
    causal = is_causal and key_padding_mask is None and not need_weights
    mask = None if causal else _joint_mask(name, query, key, num_heads, attn_mask, key_padding_mask)

    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else (in_proj_weight,)
    q, k, v = _projections(name, (query, key, value), weights, in_proj_bias)
    if bias_k is not None or bias_v is not None:
        k, v = _with_one_more(name, k, bias_k, "bias_k"), _with_one_more(name, v, bias_v, "bias_v")
        mask = _seeing_one_more(mask)
    q, k, v = (_heads(x, num_heads) for x in (q, k, v))
    if add_zero_attn:
        zero = zeros((*k.shape[:2], 1, k.shape[3]), dtype=k.dtype)
        k, v = cat([k, zero], 2), cat([v, zero], 2)
        mask = _seeing_one_more(mask)

    dropout_p = dropout_p if training else 0.0
    attention: Any = None
    if need_weights:
        scores = _scores(name, q, k)
        attention = softmax(scores if mask is None else scores + mask, -1)
        attention = dropout(attention, dropout_p, generator=generator)
        out = attention @ v
        attention = attention.mean(1) if average_attn_weights else attention
    else:
        out = scaled_dot_product_attention(q, k, v, mask, dropout_p, causal, generator=generator)
    out = linear(out.permute(2, 0, 1, 3).reshape(query.shape), out_proj_weight, out_proj_bias)
    if batched:
        return out, attention
    return out.squeeze(1), None if attention is None else attention.squeeze(0)


def _check_ranks(name: str, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Any) -> None:
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        raise ShapeError(
            f"{name}: query, key and value must all be (length, batch, size), or all (length, size), got shapes "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    if key_padding_mask is None:
        return
    expected = key.shape[:-1][::-1]
    if key_padding_mask.shape != expected:
        raise ShapeError(
            f"{name}: key_padding_mask must have shape {expected}, for key {key.shape}, got {key_padding_mask.shape}"
        )


def _check_sizes(
    name: str, query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int, separate: bool
) -> None:
    if query.shape[-1] != embed_dim:
        raise ShapeError(f"{name}: query must have the size embed_dim = {embed_dim} at the end, got {query.shape}")
    if not isinstance(num_heads, int) or num_heads <= 0 or embed_dim % num_heads:
        raise ArgumentError(
            f"{name}: num_heads must be an int that divides embed_dim, got {num_heads!r} heads for {embed_dim}"
        )
    common = 2 if separate else 3
    if key.shape[:common] != value.shape[:common]:
        what = "length and batch" if separate else "shape"
        raise ShapeError(f"{name}: key and value must have the same {what}, got {key.shape} and {value.shape}")
    if query.shape[1] != key.shape[1]:
        raise ShapeError(f"{name}: query and key must have the same batch, got shapes {query.shape} and {key.shape}")


def _joint_mask(name: str, query: Tensor, key: Tensor, num_heads: int, attn_mask: Any, key_padding_mask: Any) -> Any:
    """Both masks as one that is added to scores (N, num_heads, L, S); None without masks."""
    length, batch, _ = query.shape
    keys = key.shape[0]
    masks = []
    if attn_mask is not None:
        mask = _additive(name, "attn_mask", attn_mask, query.dtype)
        if mask.shape == (length, keys):
            masks.append(mask)
        elif mask.shape == (batch * num_heads, length, keys):
            masks.append(mask.reshape(batch, num_heads, length, keys))
        else:
            raise ShapeError(
                f"{name}: attn_mask must have shape {(length, keys)} or {(batch * num_heads, length, keys)}, one for "
                f"each head of each example, got {mask.shape}"
            )
    if key_padding_mask is not None:
        padding = _additive(name, "key_padding_mask", key_padding_mask, query.dtype)
        masks.append(padding.reshape(batch, 1, 1, keys))
    return sum(masks[1:], masks[0]) if masks else None


def _additive(name: str, what: str, mask: Any, dtype: Any) -> Any:
    """A mask as numbers to add to the scores: -inf where a boolean one is true."""
    if mask.dtype == np.bool_:
        return from_array(np.where(mask._array, dtype.type(NEVER), dtype.type(0)))
    if mask.dtype != dtype:
        raise DtypeError(f"{name}: {what} must be bool or of the query's {dtype}, got {mask.dtype}")
    return mask


def _seeing_one_more(mask: Any) -> Any:
    """The mask for one more key at the end, which every query sees."""
    return None if mask is None else cat([mask, zeros((*mask.shape[:-1], 1), dtype=mask.dtype)], -1)


def _with_one_more(name: str, x: Any, bias: Any, what: str) -> Any:
    if bias is None or bias.shape != (1, 1, x.shape[2]):
        got = "None" if bias is None else f"shape {bias.shape}"
        raise ShapeError(f"{name}: {what} must have shape {(1, 1, x.shape[2])}, got {got}; give both or neither")
    return cat([x, bias.expand(1, x.shape[1], x.shape[2])], 0)


def _projections(name: str, inputs: tuple[Any, ...], weights: tuple[Any, ...], bias: Any) -> list[Any]:
    """Query, key and value, each with its own projection."""
    size = inputs[0].shape[-1]
    if any(w is None for w in weights):
        needed = "in_proj_weight" if len(weights) == 1 else "q_proj_weight, k_proj_weight and v_proj_weight"
        raise ArgumentTypeError(f"{name}: {needed} must be a Tensor, got None; see use_separate_proj_weight")
    shapes = [(3 * size, size)] if len(weights) == 1 else [(size, x.shape[-1]) for x in inputs]
    for weight, shape in zip(weights, shapes, strict=True):
        if weight.shape != shape:
            raise ShapeError(f"{name}: a projection must have shape {shape} for these inputs, got {weight.shape}")
    if bias is not None and bias.shape != (3 * size,):
        raise ShapeError(f"{name}: in_proj_bias must have shape {(3 * size,)}, got {bias.shape}")
    matrices = weights[0].chunk(3) if len(weights) == 1 else weights
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip(inputs, matrices, biases, strict=True)]


def _heads(x: Any, num_heads: int) -> Any:
    """(L, N, E) as (N, num_heads, L, E / num_heads)."""
    length, batch, size = x.shape
    return x.reshape(length, batch, num_heads, size // num_heads).permute(1, 2, 0, 3)
