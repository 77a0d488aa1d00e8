"""Linear and bilinear maps."""

from __future__ import annotations

import math
from typing import Any

from ...errors import DtypeError, ShapeError
from ...ops import linear, matmul
from ...tensor import Tensor
from .arguments import need_tensors

__all__ = ["bilinear", "linear"]


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """x1^T W[o] x2 + b[o] for each output o: inputs (..., in1_features) and (..., in2_features), with equal leading
    sizes, weight (out_features, in1_features, in2_features), bias (out_features,), output (..., out_features).

    Raises:
        ShapeError: if the sizes do not fit.
        DtypeError: if the dtypes differ.
    """
    operands = {"input1": input1, "input2": input2, "weight": weight, **({} if bias is None else {"bias": bias})}
    need_tensors("bilinear", **operands)
    if len({o.dtype for o in operands.values()}) > 1:
        raise DtypeError(
            f"bilinear: {', '.join(operands)} must have one dtype, got "
            f"{', '.join(str(o.dtype) for o in operands.values())}; convert with .to(dtype)"
        )
    if not input1.ndim or not input2.ndim or input1.shape[:-1] != input2.shape[:-1]:
        raise ShapeError(
            f"bilinear: inputs must be (..., in1_features) and (..., in2_features) with equal leading sizes, got "
            f"shapes {input1.shape} and {input2.shape}"
        )
    *leading, in1 = input1.shape
    in2 = input2.shape[-1]
    if weight.ndim != 3 or weight.shape[1:] != (in1, in2):
        raise ShapeError(
            f"bilinear: weight must be (out_features, in1_features, in2_features) = (..., {in1}, {in2}), got shape "
            f"{weight.shape}"
        )
    outputs = weight.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise ShapeError(f"bilinear: bias must have shape (out_features,) = ({outputs},), got {bias.shape}")
    rows = math.prod(leading)
    # x1^T W for all outputs at once, as one product of matrices; then each row meets its x2.
    left = matmul(input1.reshape(rows, in1), weight.permute(1, 0, 2).reshape(in1, outputs * in2))
    out = matmul(left.reshape(rows, outputs, in2), input2.reshape(rows, in2, 1)).reshape(*leading, outputs)
    return out if bias is None else out + bias
