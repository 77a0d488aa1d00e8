"""Filling tensors with starting values (`torch.nn.init`); all work in place and return the tensor."""

from __future__ import annotations

import math

import numpy as np

from ..creation import Generator, rand, randn, randperm
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..recording import no_grad
from ..tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


# --- simple values ------------------------------------------------------------------------------------------------


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b).

    Raises:
        ArgumentError: if a is larger than b.
    """
    _need_floats("uniform_", tensor)
    if not a <= b:
        raise ArgumentError(f"uniform_: needs a <= b, got a={a} and b={b}")
    return tensor.copy_(rand(tensor.shape, generator=generator, dtype=tensor.dtype) * (b - a) + a)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation.

    Raises:
        ArgumentError: if std is negative.
    """
    _need_floats("normal_", tensor)
    if not std >= 0:
        raise ArgumentError(f"normal_: std must be >= 0, got {std}")
    return tensor.copy_(randn(tensor.shape, generator=generator, dtype=tensor.dtype) * std + mean)


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal with the given mean and standard deviation, but only numbers within [a, b], both absolute limits.

    Numbers are drawn uniformly from [a, b] and each is kept with a probability proportional to the density there.

    Raises:
        ArgumentError: if a is not less than b, or std is not positive.
    """
    _need_floats("trunc_normal_", tensor)
    if not a < b:
        raise ArgumentError(f"trunc_normal_: needs a < b, got a={a} and b={b}")
    if not std > 0:
        raise ArgumentError(f"trunc_normal_: std must be positive, got {std}")
    nearest = min(max(mean, a), b)
    low, high = max(a, nearest - 10 * std), min(b, nearest + 10 * std)  # beyond, the density is below exp(-50)
    values = np.empty(tensor.numel(), tensor.dtype)
    pending = np.arange(tensor.numel())
    while len(pending):
        drawn = rand(len(pending), generator=generator, dtype=np.float64).numpy() * (high - low) + low
        density = np.exp(((nearest - mean) ** 2 - (drawn - mean) ** 2) / (2 * std * std))
        values[pending] = np.clip(drawn.astype(tensor.dtype), a, b)
        pending = pending[rand(len(pending), generator=generator, dtype=np.float64).numpy() >= density]
    return tensor.copy_(values.reshape(tensor.shape))


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element equal to `val`."""
    _need_tensor("constant_", tensor)
    return tensor.fill_(val)


@no_grad()
def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    _need_tensor("zeros_", tensor)
    return tensor.fill_(0)


@no_grad()
def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    _need_tensor("ones_", tensor)
    return tensor.fill_(1)


# --- structured values --------------------------------------------------------------------------------------------


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, also for a matrix that is not square.

    Raises:
        ShapeError: if the tensor is no matrix.
    """
    _need_matrix("eye_", tensor)
    return tensor.copy_(np.eye(*tensor.shape, dtype=tensor.dtype))


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (out, in, ...) of 1 to 3 spatial dimensions that passes each channel on as it is.

    Channel d of each group of outputs has a 1 in the middle of its kernel for input channel d, as far as there are.

    Raises:
        ShapeError: for another number of dimensions, or outputs that `groups` does not divide.
    """
    _need_tensor("dirac_", tensor)
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: needs a weight (out, in, ...) of 3, 4 or 5 dimensions, got {tensor.shape}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ShapeError(f"dirac_: groups must divide the {tensor.shape[0]} output channels, got groups={groups}")
    outputs = tensor.shape[0] // groups
    values = np.zeros(tensor.shape, tensor.dtype)
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(outputs, tensor.shape[1])):
            place = (group * outputs + channel, channel, *middle)
            values[place] = 1
    return tensor.copy_(values)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows, or columns if it has fewer of these, times `gain`.

    Dimensions after the first are taken as one. Every orthogonal matrix is equally likely.

    Raises:
        ShapeError: for fewer than 2 dimensions.

    Sources: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (2013), https://arxiv.org/abs/1312.6120; F. Mezzadri, "How to generate random matrices from the
    classical compact groups" (2006), https://arxiv.org/abs/math-ph/0609050
    """
    _need_floats("orthogonal_", tensor)
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least 2 dimensions, got shape {tensor.shape}")
    if not tensor.numel():
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    longer, shorter = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(randn(longer, shorter, generator=generator, dtype=np.float64).numpy())
    q *= np.where(np.diagonal(r) < 0, -1, 1)  # QR is unique, and q evenly distributed, once r has a positive diagonal
    return tensor.copy_((gain * (q if rows >= columns else q.T)).astype(tensor.dtype).reshape(tensor.shape))


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal with mean 0, but in each column the share `sparsity` of the rows, rounded up, is 0.

    Raises:
        ShapeError: if the tensor is no matrix.
        ArgumentError: if sparsity is not in [0, 1].

    Source: J. Martens, "Deep learning via Hessian-free optimization" (2010),
    https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf
    """
    _need_matrix("sparse_", tensor)
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity must lie in [0, 1], got {sparsity}")
    rows, columns = tensor.shape
    normal_(tensor, 0.0, std, generator)
    values = tensor.detach().numpy().copy()
    for column in range(columns):
        zeros = randperm(rows, generator=generator).numpy()[: math.ceil(sparsity * rows)]
        values[zeros, column] = 0
    return tensor.copy_(values)


# --- scaled to the number of inputs and outputs -------------------------------------------------------------------

_GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0, "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights are to be larger than for a linear layer, so that signals keep their size.

    `param` is the slope of "leaky_relu", 0.01 by default: its gain is sqrt(2 / (1 + param^2)).

    Raises:
        ArgumentError: for an unknown nonlinearity, or a slope that is not a number.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"calculate_gain: param must be a number, the slope of leaky_relu, got {param!r}")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known are leaky_relu, {', '.join(_GAINS)}"
        )
    return _GAINS[nonlinearity]


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed one output of a weight (out, in, ...), and how many outputs one input feeds."""
    _need_floats(name, tensor)
    if tensor.ndim < 2:
        raise ShapeError(f"{name}: a weight needs at least 2 dimensions (out, in, ...), got shape {tensor.shape}")
    outputs, inputs, *kernel = tensor.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def _xavier_std(name: str, tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2 / max(sum(_fans(name, tensor)), 1))  # without any weights, any scale will do


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with mean 0 and variance gain^2 * 2 / (fan_in + fan_out): a compromise between both directions.

    Raises:
        ShapeError: for fewer than 2 dimensions.

    Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010),
    https://proceedings.mlr.press/v9/glorot10a.html
    """
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the mean and the variance of `xavier_uniform_`, where source and errors are."""
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain), generator)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(name, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(max(fan_in if mode == "fan_in" else fan_out, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with mean 0 and variance gain^2 / fan, where `a` is the slope of the leaky ReLU that follows.

    With mode "fan_in" signals keep their size on the way forward, with "fan_out" gradients on the way back.

    Raises:
        ShapeError: for fewer than 2 dimensions.
        ArgumentError: for an unknown mode or nonlinearity.

    Source: K. He et al., "Delving Deep into Rectifiers" (2015), https://arxiv.org/abs/1502.01852
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with the mean and the variance of `kaiming_uniform_`, where source and errors are."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


# --- checks -------------------------------------------------------------------------------------------------------


def _need_tensor(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"{name}: expected a Tensor to fill, got {type(tensor).__name__}")


def _need_floats(name: str, tensor: Tensor) -> None:
    _need_tensor(name, tensor)
    if tensor.dtype.kind != "f":
        raise DtypeError(f"{name}: needs a floating tensor, got {tensor.dtype}")


def _need_matrix(name: str, tensor: Tensor) -> None:
    _need_tensor(name, tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"{name}: needs a matrix, got shape {tensor.shape}")
