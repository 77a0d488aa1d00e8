"""Tables of learned vectors."""

from __future__ import annotations

from typing import Any

from ..creation import Generator, zeros
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.shape import checked_int
from ..recording import no_grad
from ..tensor import Tensor
from . import functional as F
from . import init
from .functional.lookup import checked_mode, checked_padding, refuse_options
from .module import Module, Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both share: the weight, which starts standard normal unless it is given, and the padding row."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Tensor | None,
        freeze: bool,
        dtype: Any,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        num_embeddings = checked_int(name, "num_embeddings", num_embeddings)
        embedding_dim = checked_int(name, "embedding_dim", embedding_dim)
        if num_embeddings < 0 or embedding_dim < 0:
            raise ArgumentError(
                f"{name}: sizes must be >= 0, got num_embeddings={num_embeddings}, embedding_dim={embedding_dim}"
            )
        shape = (num_embeddings, embedding_dim)
        if weight is not None and weight.shape != shape:
            raise ShapeError(f"{name}: the given weight must have shape {shape}, got {weight.shape}")
        self.num_embeddings, self.embedding_dim = shape
        self.padding_idx = None if padding_idx is None else checked_padding(name, padding_idx, num_embeddings)
        start = zeros(shape, dtype=dtype) if weight is None else weight
        self.weight = Parameter(start, requires_grad=not freeze)
        if weight is None:
            self.reset_parameters(generator)

    @no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the weight again, with zeros in the row `padding_idx`."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            self.weight[self.padding_idx].zero_()


def _shape_of(name: str, embeddings: Any) -> tuple[int, int]:
    if not isinstance(embeddings, Tensor):
        raise ArgumentTypeError(f"{name}: embeddings must be a Tensor, got {type(embeddings).__name__}")
    if embeddings.ndim != 2:
        raise ShapeError(f"{name}: embeddings must be (num_embeddings, embedding_dim), got shape {embeddings.shape}")
    rows, columns = embeddings.shape
    return rows, columns


class Embedding(_Table):
    """The rows of a learned table with the given numbers: input (...) of int64 or int32, output (..., embedding_dim).

    The weight (num_embeddings, embedding_dim) starts standard normal; the row `padding_idx` starts at zero and gets no
    gradient.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        refuse_options("Embedding", max_norm, scale_grad_by_freq, sparse)
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, _freeze, dtype, generator)
        self.norm_type = norm_type

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer around the given table (num_embeddings, embedding_dim), whose memory it shares; frozen by default."""
        rows, columns = _shape_of("Embedding.from_pretrained", embeddings)
        return cls(
            rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Any:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        norm = "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{norm}"


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows of each bag of numbers; the arguments of the call are those of
    `functional.embedding_bag`.

    The weight (num_embeddings, embedding_dim) starts standard normal; the row `padding_idx` starts at zero and is left
    out of all bags.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        refuse_options("EmbeddingBag", max_norm, scale_grad_by_freq, sparse)
        checked_mode("EmbeddingBag", mode)
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, False, dtype, generator)
        self.norm_type, self.mode, self.include_last_offset = norm_type, mode, include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer around the given table (num_embeddings, embedding_dim), whose memory it shares; frozen by default."""
        rows, columns = _shape_of("EmbeddingBag.from_pretrained", embeddings)
        made = cls(
            rows, columns, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings, include_last_offset,
            padding_idx,
        )  # fmt: skip
        made.weight.requires_grad_(not freeze)
        return made

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Any:
        return F.embedding_bag(
            input, self.weight, offsets,
            mode=self.mode, per_sample_weights=per_sample_weights, include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        norm = "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{norm}, mode={self.mode!r}{padding}"
