"""Attention layers."""

from __future__ import annotations

from typing import Any

from ..creation import Generator, zeros
from ..errors import ArgumentError, ArgumentTypeError
from ..tensor import Tensor
from . import functional as F
from . import init
from .functional.attention import check_operands
from .linear import Linear
from .module import Module, Parameter

__all__ = ["MultiheadAttention"]


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear`, under the name that PyTorch prints for the last projection of attention."""


class MultiheadAttention(Module):
    """`functional.multi_head_attention_forward`, with its parameters.

    Query (L, N, embed_dim), key (S, N, kdim) and value (S, N, vdim); with `batch_first`, N comes first; all also
    without N. Returns (output, weights), weights None unless `need_weights`. In masks True means hidden.

    The projections are in_proj_weight (3E, E), or q_proj_weight, k_proj_weight, v_proj_weight if kdim or vdim differ
    from embed_dim; they start uniform as in X. Glorot and Y. Bengio (2010), https://proceedings.mlr.press/v9/glorot10a,
    their biases at 0. `dropout` acts on the weights, in training.

    Source: A. Vaswani et al., "Attention Is All You Need" (2017), https://arxiv.org/abs/1706.03762

    Raises:
        ArgumentError: for sizes that are not positive, or heads that do not divide embed_dim.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        dtype: Any = None, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for what, size in (("embed_dim", embed_dim), ("num_heads", num_heads)):
            if not isinstance(size, int):
                raise ArgumentTypeError(
                    f"MultiheadAttention: {what} must be an int, got {type(size).__name__}: {size!r}"
                )
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ArgumentError(
                "MultiheadAttention: embed_dim and num_heads must be > 0, and num_heads divide embed_dim, got "
                f"embed_dim={embed_dim}, num_heads={num_heads}"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.add_zero_attn, self.batch_first = dropout, add_zero_attn, batch_first
        self.generator = generator
        self._separate = not self.kdim == self.vdim == embed_dim
        shapes = {
            "q_proj_weight": (embed_dim, embed_dim) if self._separate else None,
            "k_proj_weight": (embed_dim, self.kdim) if self._separate else None,
            "v_proj_weight": (embed_dim, self.vdim) if self._separate else None,
            "in_proj_weight": None if self._separate else (3 * embed_dim, embed_dim),
        }
        for name, shape in shapes.items():
            self.register_parameter(
                name,
                None
                if shape is None
                else Parameter(init.xavier_uniform_(zeros(shape, dtype=dtype), generator=generator)),
            )
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim, dtype=dtype)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, dtype, generator=generator)
        if bias:
            init.zeros_(self.out_proj.bias)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, None)
            if add_bias_kv:
                start = init.xavier_normal_(zeros(1, 1, embed_dim, dtype=dtype), generator=generator)
                self.register_parameter(name, Parameter(start))

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        check_operands("MultiheadAttention", query, key, value)
        swapped = self.batch_first and query.ndim == key.ndim == value.ndim == 3
        if swapped:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        output, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias,
            self.bias_k, self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias,
            training=self.training, key_padding_mask=key_padding_mask, need_weights=need_weights, attn_mask=attn_mask,
            use_separate_proj_weight=self._separate, q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight, v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights, is_causal=is_causal, generator=self.generator,
        )  # fmt: skip
        return output.transpose(0, 1) if swapped else output, weights
