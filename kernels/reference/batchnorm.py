"""Batch normalisation in plain NumPy: the specification that every faster version is tested against.

`x` is (N, C) or (N, C, ...): axis 1 holds the channels, and each channel is normalised over all other axes
together. With m values in a channel:

    mean = 1/m sum x          var = 1/m sum (x - mean)^2          (the biased variance)
    x_hat = (x - mean) / sqrt(var + eps)
    y = weight * x_hat + bias

`weight` and `bias` (gamma and beta in the paper) are (C,), or None for ones and zeros. Arguments are taken as they
come: `kernels` checks them.

Sources: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift", 2015, https://arxiv.org/abs/1502.03167; Kevin Zakka, "Deriving the Gradient for the Backward
Pass of Batch Normalization", 2016, https://kevinzakka.github.io/2016/09/14/batch_normalization/.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _axes(x: Array) -> tuple[int, ...]:
    """Every axis but the channels'."""
    return (0, *range(2, x.ndim))


def _spread(values: Array | None, x: Array, default: int = 1) -> Array:
    """(C,) -> (1, C, 1, ...), which broadcasts against x."""
    if values is None:
        values = np.full(x.shape[1], default, x.dtype)
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


def forward(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Training mode. Returns y like x, and the mean and inv_std = 1 / sqrt(var + eps) of each channel, (C,).

    Works in float64 whatever the dtype: the mean of float32 values near 1e6 would otherwise be off by more
    than their spread. (Complex input stays complex, which lets tests differentiate by a complex step.)
    """
    wide = x.astype(np.result_type(x.dtype, np.float64))
    mean = wide.mean(_axes(x))
    x_centered = wide - _spread(mean, x)
    var = (x_centered * x_centered).mean(_axes(x))
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = x_centered * _spread(inv_std, x)
    y = _spread(weight, x) * x_hat + _spread(bias, x, default=0)
    return y.astype(x.dtype), mean.astype(x.dtype), inv_std.astype(x.dtype)


def forward_eval(
    x: Array, running_mean: Array, running_var: Array, weight: Array | None, bias: Array | None, eps: float
) -> Array:
    """Evaluation mode: the statistics are given, and y is an affine function of x. Returns y like x."""
    inv_std = 1 / np.sqrt(running_var + eps)
    x_hat = (x - _spread(running_mean, x)) * _spread(inv_std, x)
    return _spread(weight, x) * x_hat + _spread(bias, x, default=0)


def backward_staged(
    dy: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """The chain rule one node at a time: y -> x_hat -> var -> mean -> x. Returns dx, dweight, dbias.

    `mean` and `inv_std` are those that `forward` returned.
    """
    axes = _axes(x)
    m = x.size // x.shape[1]
    x_centered = x - _spread(mean, x)
    inv_std = _spread(inv_std, x)
    x_hat = x_centered * inv_std

    # y = weight * x_hat + bias
    dbias = dy.sum(axes)
    dweight = (dy * x_hat).sum(axes)
    dx_hat = dy * _spread(weight, x)

    # x_hat = (x - mean) * (var + eps)^(-1/2), with var and mean as variables of their own
    dvar = (dx_hat * x_centered * (-1 / 2) * inv_std**3).sum(axes, keepdims=True)
    dmean = (-dx_hat * inv_std).sum(axes, keepdims=True)

    # var = 1/m sum (x - mean)^2 reaches mean too; this part is zero, because the deviations sum to zero
    # (up to the rounding of mean, which is why the two backwards differ a little in float32)
    dmean = dmean + dvar * (-2 / m) * x_centered.sum(axes, keepdims=True)

    # three roads lead to x: through x_hat directly, through var, through mean
    dx = dx_hat * inv_std + dvar * (2 / m) * x_centered + dmean / m
    return dx, dweight, dbias


def backward_closed(
    dy: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """The same gradient after the algebra is done:

        dx = inv_std / m * (m dx_hat - sum dx_hat - x_hat * sum(dx_hat * x_hat))

    Returns dx, dweight, dbias. Arguments as for `backward_staged`.
    """
    axes = _axes(x)
    m = x.size // x.shape[1]
    inv_std = _spread(inv_std, x)
    x_hat = (x - _spread(mean, x)) * inv_std

    dbias = dy.sum(axes)
    dweight = (dy * x_hat).sum(axes)
    dx_hat = dy * _spread(weight, x)
    dx = (
        inv_std / m * (m * dx_hat - dx_hat.sum(axes, keepdims=True) - x_hat * (dx_hat * x_hat).sum(axes, keepdims=True))
    )
    return dx, dweight, dbias
