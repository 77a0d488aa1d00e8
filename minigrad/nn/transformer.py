"""Transformers.

Source of all of them: A. Vaswani et al., "Attention Is All You Need" (2017), https://arxiv.org/abs/1706.03762; the
order with `norm_first`: R. Xiong et al., "On Layer Normalization in the Transformer Architecture" (2020),
https://arxiv.org/abs/2002.04745
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import Generator
from ..dtypes import as_dtype, get_default_dtype
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..tensor import Tensor, from_array
from . import functional as F
from . import init
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .functional.arguments import need_tensors
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer",
]  # fmt: skip

Activation = str | Callable[[Tensor], Any]


def _activation(name: str, activation: Any) -> Callable[[Tensor], Any]:
    if activation == "relu":
        return F.relu
    if activation == "gelu":
        return F.gelu
    if isinstance(activation, str) or not callable(activation):
        raise ArgumentError(f"{name}: activation must be 'relu', 'gelu' or a function, got {activation!r}")
    return activation


def _copies(name: str, layer: Module, count: int) -> ModuleList:
    """Deep copies of a layer, each with parameters of its own, equal at the start; random generators stay shared."""
    if not isinstance(layer, Module):
        raise ArgumentTypeError(f"{name}: expected a Module as layer, got {type(layer).__name__}")
    if not isinstance(count, int) or count < 1:
        raise ArgumentError(f"{name}: num_layers must be an int >= 1, got {count!r}")
    generators = [getattr(module, "generator", None) for module in layer.modules()]
    return ModuleList(copy.deepcopy(layer, {id(g): g for g in generators}) for _ in range(count))


class _Layer(Module):
    """What encoder and decoder layers share: blocks, each added to its input, with dropout and a LayerNorm."""

    norm_first: bool
    self_attn: MultiheadAttention
    activation: Callable[[Tensor], Any]

    def _residual(self, x: Any, block: Callable[[Any], Any], norm: Module, dropout: Module) -> Any:
        if self.norm_first:
            return x + dropout(block(norm(x)))
        return norm(x + dropout(block(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then two linear layers with an activation between, for input (S, N, d_model).

    Each of the two blocks f is a residual, LayerNorm(x + f(x)), or with `norm_first` x + f(LayerNorm(x)); dropout acts
    on f(x), on the attention weights and after the activation. With `batch_first` the input is (N, S, d_model); N may
    be missing. Masks are those of `MultiheadAttention`: True means hidden.

    Raises:
        ArgumentError: for sizes that do not fit together, or an unknown activation.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, dtype: Any = None, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, generator=generator
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype, generator=generator)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype, generator=generator)
        self.norm_first = norm_first
        for name in ("norm1", "norm2"):
            setattr(self, name, LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype))
        for name in ("dropout1", "dropout2"):
            setattr(self, name, Dropout(dropout, generator=generator))
        self.activation = _activation("TransformerEncoderLayer", activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Any:
        need_tensors("TransformerEncoderLayer", src=src)

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        x = self._residual(src, attend, self.norm1, self.dropout1)
        return self._residual(x, self._feed_forward, self.norm2, self.dropout2)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to `memory` (the output of an encoder), then two linear layers with an activation.

    Shapes, options and the order of residual, norm and dropout are those of `TransformerEncoderLayer`.

    Raises:
        ArgumentError: for sizes that do not fit together, or an unknown activation.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, dtype: Any = None, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for name in ("self_attn", "multihead_attn"):
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, generator=generator
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype, generator=generator)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype, generator=generator)
        self.norm_first = norm_first
        for name in ("norm1", "norm2", "norm3"):
            setattr(self, name, LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype))
        for name in ("dropout1", "dropout2", "dropout3"):
            setattr(self, name, Dropout(dropout, generator=generator))
        self.activation = _activation("TransformerDecoderLayer", activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        need_tensors("TransformerDecoderLayer", tgt=tgt, memory=memory)

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def attend_to_memory(x: Any) -> Any:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )[0]

        x = self._residual(tgt, attend, self.norm1, self.dropout1)
        x = self._residual(x, attend_to_memory, self.norm2, self.dropout2)
        return self._residual(x, self._feed_forward, self.norm3, self.dropout3)


class TransformerEncoder(Module):
    """`num_layers` copies of a layer, one after the other, and a norm at the end if one is given.

    PyTorch looks whether a mask is causal to choose a faster kernel, and may drop padding from its tensors in eval();
    here `is_causal=None` means False, and `enable_nested_tensor` and `mask_check` have no effect.

    Raises:
        ArgumentError, ArgumentTypeError: for a layer that is no Module, or fewer than one of them.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Any:
        x: Any = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer, one after the other, and a norm at the end if one is given.

    Raises:
        ArgumentError, ArgumentTypeError: for a layer that is no Module, or fewer than one of them.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        x: Any = tgt
        for layer in self.layers:
            x = layer(
                x, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                bool(tgt_is_causal), memory_is_causal,
            )  # fmt: skip
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder of `src` and a decoder of `tgt` that attends to its output, both with a LayerNorm at the end.

    Input (S, N, d_model) and (T, N, d_model), output (T, N, d_model); with `batch_first`, N comes first. Matrices start
    uniform as in X. Glorot and Y. Bengio (2010), https://proceedings.mlr.press/v9/glorot10a

    Raises:
        ArgumentError: for sizes that do not fit together, or an unknown activation.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = F.relu,
        custom_encoder: Module | None = None, custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, dtype: Any = None,
        *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

        def layer(kind: Any) -> Any:
            return kind(
                d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
                dtype, generator=generator,
            )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)

        if custom_encoder is None:
            custom_encoder = TransformerEncoder(layer(TransformerEncoderLayer), num_encoder_layers, norm())
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(layer(TransformerDecoderLayer), num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter, generator=generator)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        need_tensors("Transformer", src=src, tgt=tgt)
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ShapeError(f"Transformer: src and tgt must have the same batch, got shapes {src.shape}, {tgt.shape}")
        for what, x in (("src", src), ("tgt", tgt)):
            if not x.ndim or x.shape[-1] != self.d_model:
                raise ShapeError(
                    f"Transformer: {what} must have the size d_model = {self.d_model} at the end, got shape {x.shape}"
                )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = None) -> Tensor:
        """A causal mask (sz, sz) to add to scores: 0 where key <= query, -inf after.

        Raises:
            ArgumentError: for a negative size.
        """
        if not isinstance(sz, int) or sz < 0:
            raise ArgumentError(f"generate_square_subsequent_mask: sz must be an int >= 0, got {sz!r}")
        resolved = get_default_dtype() if dtype is None else as_dtype(dtype)
        return from_array(np.triu(np.full((sz, sz), -np.inf, resolved), 1))
