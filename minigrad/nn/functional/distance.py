"""Distances and similarities between vectors."""

from __future__ import annotations

from typing import Any

from ...dtypes import promote_types
from ...errors import DtypeError
from ...ops import norm, pdist
from ...ops.shape import checked_dim
from ...tensor import Tensor
from .loss_arguments import at_least, common_shape

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps over the last dimension; the shapes broadcast.

    The small `eps` keeps the gradient away from the kink where two vectors are equal.

    Raises:
        ShapeError: if the shapes do not broadcast.
    """
    common_shape("pairwise_distance", x1=x1, x2=x2)
    return norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along `dim`, a dimension of the common shape of x1 and x2.

    Each length that is divided by is at least `eps`; the gradient takes no notice of that limit, as in PyTorch.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DimError: for a dim out of range.
        DtypeError: if both are integers.
    """
    shape = common_shape("cosine_similarity", x1=x1, x2=x2)
    axis = checked_dim("cosine_similarity", dim, len(shape))
    dtype = promote_types(x1.dtype, x2.dtype)
    if dtype.kind not in "fc":
        raise DtypeError(f"cosine_similarity: needs a floating dtype, got {dtype}; write x1.float()")
    first, second = (_unit(x.to(dtype).expand(shape), axis, eps) for x in (x1, x2))
    return (first * second).sum(axis)


def _unit(x: Any, dim: int, eps: float) -> Any:
    return x / at_least(norm(x, 2, dim, keepdim=True), least=eps)
